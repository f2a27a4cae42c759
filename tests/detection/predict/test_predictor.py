from __future__ import annotations

import gc
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from argusvl.core import precision
from argusvl.core.errors import ArgusError, CheckpointError, ConfigError, ImageError, ModelError
from argusvl.detection.data.detections import Detections
from argusvl.detection.data.records import RecordFile, Scene
from argusvl.detection.measure.calibration import Calibration
from argusvl.detection.predict import Predictor
from argusvl.detection.predict.checkpoint import DetectionAssets, load_teacher_pool
from argusvl.run.checkpoints import BestCheckpoint, write_best

LABELS = ("挡风板", "标签贴纸", "bbu基带处理单元")


@pytest.fixture
def pictures(scenes: Path) -> list[Path]:
    return [scenes.parent / f"{k}.png" for k in range(6)]


class FixedHead:
    """Says the same boxes about every image, the first query most certain; records what it was given."""

    device = torch.device("cpu")
    config = SimpleNamespace(detection_enabled=True, caption_max_tokens=4, num_queries=2, nms_iou=None)

    def __init__(self, boxes_cxcywh_norm: list[list[float]]) -> None:
        self.boxes = torch.tensor(boxes_cxcywh_norm)
        self.batches: list[dict[str, Any]] = []

    def eval(self) -> FixedHead:
        return self

    def __call__(self, **batch: Any) -> Any:
        self.batches.append(batch)
        images, queries = len(batch["student_image_index"]), len(self.boxes)
        types = torch.zeros(images, queries, len(batch["vocabulary_ids"]))
        types[..., 0] = 4.0
        return SimpleNamespace(
            boxes_cxcywh_norm=self.boxes.expand(images, -1, -1),
            objectness_logits=torch.linspace(5, 4, queries).expand(images, -1),
            type_logits=types,
        )


def similar(a: Detections, b: Detections) -> None:
    assert a.labels == b.labels and a.captions == b.captions
    np.testing.assert_allclose(a.boxes_xyxy_px, b.boxes_xyxy_px, atol=1e-3)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)


@pytest.mark.parametrize("size", [(640, 480), (101, 333), (1000, 77)])
def test_boxes_are_in_the_callers_pixels(predictor: Predictor, size: tuple[int, int]) -> None:
    width, height = size
    truth = np.array([[0, 0, width, height], [3, 5, width - 7, height - 11]], dtype=np.float64)
    normed = truth / [width, height, width, height]
    cxcywh = np.concatenate([(normed[:, :2] + normed[:, 2:]) / 2, normed[:, 2:] - normed[:, :2]], axis=1)
    model = FixedHead(cxcywh.tolist())
    fixed = Predictor(model, predictor.processor, predictor.assets)  # type: ignore[arg-type]
    (found,) = fixed.predict_detection(Image.new("RGB", size), captions=False)
    assert found.image_size == size
    np.testing.assert_allclose(found.boxes_xyxy_px, truth, atol=1e-3)
    _, h, w = model.batches[0]["image_grid_thw"][0].tolist()
    assert (w * 14, h * 14) != size  # the model saw another size


def test_the_mirror_is_a_second_look_at_the_pictures(predictor: Predictor, pictures: list[Path]) -> None:
    head = FixedHead([[0.3, 0.5, 0.4, 0.4], [0.7, 0.5, 0.4, 0.4]])
    predictor.model = head  # type: ignore[assignment]
    (once,) = predictor.predict_detection(pictures[0], teachers=1, captions=False)
    (twice,) = predictor.predict_detection(pictures[0], teachers=1, captions=False, mirror=True)
    alone, first, second = head.batches
    torch.testing.assert_close(first["pixel_values"], alone["pixel_values"])
    of_teacher = int(first["image_grid_thw"][0].prod())
    seen, again = first["pixel_values"], second["pixel_values"]
    torch.testing.assert_close(again[:of_teacher], seen[:of_teacher])
    assert not torch.equal(again[of_teacher:], seen[of_teacher:])
    # The two boxes are each other's mirror images: they have nothing to correct.
    np.testing.assert_allclose(twice.boxes_xyxy_px, once.boxes_xyxy_px, atol=0.1)


def test_a_batch_gives_what_single_images_give(predictor: Predictor, pictures: list[Path]) -> None:
    together = predictor.predict_detection(pictures, score_threshold=0, batch_size=4)
    single = [predictor.predict_detection(p, score_threshold=0)[0] for p in pictures]
    assert [d.image_size for d in together] == [Image.open(p).size for p in pictures]
    for a, b in zip(together, single, strict=True):
        assert len(a) == 12
        similar(a, b)


def test_a_turned_image_is_made_upright(predictor: Predictor, pictures: list[Path], tmp_path: Path) -> None:
    upright = Image.open(pictures[0]).convert("RGB")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # stored lying on its left side
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.png", exif=exif)
    expected = predictor.predict_detection(upright, score_threshold=0)[0]
    by_path = predictor.predict_detection(tmp_path / "phone.png", score_threshold=0)[0]
    by_image = predictor.predict_detection(Image.open(tmp_path / "phone.png"), score_threshold=0)[0]
    assert expected.note == "" and expected.image_size == (160, 120)
    for turned in (by_path, by_image):
        assert turned.note == "turned upright (EXIF 6)"
        assert turned.image_size == (160, 120)
        similar(turned, expected)


def test_other_labels_can_be_asked_for(predictor: Predictor, pictures: list[Path]) -> None:
    found = predictor.predict_detection(
        pictures[0], labels=["螺丝", "fan"], score_threshold=0, captions=False
    )[0]
    assert set(found.labels) <= {"螺丝", "fan"}
    assert found.label_scores.min() >= 0.5  # of two labels the better one
    trained = predictor.predict_detection(pictures[0], score_threshold=0, captions=False)[0]
    assert set(trained.labels) <= set(LABELS)
    with pytest.raises(ConfigError, match="given twice"):
        predictor.predict_detection(pictures[0], labels=["fan", "fan"])


def test_captions_are_written_for_what_is_kept(predictor: Predictor, pictures: list[Path]) -> None:
    everything = predictor.predict_detection(pictures[0], score_threshold=0)[0]
    threshold = float(everything.scores[4])
    best = predictor.predict_detection(pictures[0], score_threshold=threshold)[0]
    assert len(best) == 5
    assert best.captions == everything.captions[:5]  # type: ignore[index]
    assert all(isinstance(c, str) for c in best.captions or [None])
    assert predictor.predict_detection(pictures[0], captions=False, score_threshold=0)[0].captions is None
    assert len(predictor.predict_detection(pictures[0], score_threshold=1.0)[0]) == 0


def test_teachers_are_a_number_of_the_pool_or_given_scenes(
    predictor: Predictor, pictures: list[Path], scenes: Path, tiny_checkpoint: Path
) -> None:
    alone = predictor.predict_detection(pictures[0], score_threshold=0)[0]
    taught = predictor.predict_detection(pictures[0], teachers=2, score_threshold=0)[0]
    assert np.abs(alone.scores - taught.scores).max() > 1e-6
    (first, *others) = load_teacher_pool(tiny_checkpoint)
    assert len(others) == 2 and len(predictor.load_teachers(2)) == 2
    given = Scene(tuple(str(tiny_checkpoint / image) for image in first.images), first.objects)
    shown = predictor.predict_detection(pictures[0], teachers=[given], score_threshold=0)[0]
    assert np.abs(alone.scores - shown.scores).max() > 1e-6
    with pytest.raises(ConfigError, match="teachers is 4, the checkpoint's pool holds 3"):
        predictor.predict_detection(pictures[0], teachers=4)


def test_the_very_picture_is_no_teacher(predictor: Predictor, pictures: list[Path], scenes: Path) -> None:
    record = RecordFile(scenes)[0].student
    own = Scene((str(pictures[0]),), record.objects)
    alone = predictor.predict_detection(pictures[0], score_threshold=0)[0]
    similar(predictor.predict_detection(pictures[0], teachers=[own], score_threshold=0)[0], alone)


def test_the_prompt_can_be_another(predictor: Predictor, pictures: list[Path]) -> None:
    alone = predictor.predict_detection(pictures[0], score_threshold=0)[0]
    other = predictor.predict_detection(pictures[0], prompt="只找螺丝", score_threshold=0)[0]
    assert np.abs(alone.scores - other.scores).max() > 1e-7


def test_pixel_limits_other_than_the_trained_ones_are_refused_by_both_numbers(tiny_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"max_pixels 99999 was asked for.*trained with 12544"):
        Predictor.from_pretrained(tiny_checkpoint, max_pixels=99999)
    with pytest.raises(CheckpointError, match=r"min_pixels 1 .*trained with 3136"):
        Predictor.from_pretrained(tiny_checkpoint, min_pixels=1)
    Predictor.from_pretrained(tiny_checkpoint, min_pixels=3136, max_pixels=12544)


def test_limits_that_differ_within_the_checkpoint_are_refused(checkpoint: Path) -> None:
    file = checkpoint / "qwen" / "preprocessor_config.json"
    file.write_text(json.dumps({"size": {"shortest_edge": 3136, "longest_edge": 12544}}))
    Predictor.from_pretrained(checkpoint)
    file.write_text(json.dumps({"size": {"shortest_edge": 3136, "longest_edge": 50176}}))
    with pytest.raises(CheckpointError, match=r"says max_pixels 50176, argus\.json says 12544"):
        Predictor.from_pretrained(checkpoint)


def test_generate_points_to_what_gives_boxes(predictor: Predictor, pictures: list[Path]) -> None:
    with pytest.raises(ModelError, match="predict_detection"):
        predictor.generate(pictures[0])
    with pytest.raises(ModelError, match="predict_detection"):
        predictor.model.generate(input_ids=torch.zeros(1, 1, dtype=torch.long))


def test_a_device_that_is_not_there_is_an_error_not_another_device(tiny_checkpoint: Path) -> None:
    absent = "cuda:7" if torch.cuda.is_available() else "cuda"
    with pytest.raises(ConfigError, match="cannot be used"):
        Predictor.from_pretrained(tiny_checkpoint, device=absent)
    with pytest.raises(ConfigError, match="warp"):
        Predictor.from_pretrained(tiny_checkpoint, device="warp")


@pytest.mark.parametrize(("speed", "dtype"), [(0.1, torch.float32), (5.0, torch.bfloat16)])
def test_it_computes_in_what_the_machine_is_faster_in(
    tiny_checkpoint: Path,
    pictures: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    speed: float,
    dtype: torch.dtype,
) -> None:
    expected = Predictor.from_pretrained(tiny_checkpoint, device="cpu").predict_detection(pictures[0])
    monkeypatch.setattr(precision, "cpu_speed", lambda: speed)
    predictor = Predictor.from_pretrained(tiny_checkpoint, device="cpu")
    seen: set[torch.dtype] = set()
    layer = predictor.model.qwen.model.language_model.layers[0].mlp.up_proj
    layer.register_forward_hook(lambda module, given, found: seen.add(found.dtype))
    (found,) = predictor.predict_detection(pictures[0])
    assert seen == {dtype}
    assert layer.weight.dtype == torch.float32
    assert len(found) == pytest.approx(len(expected[0]), abs=2)


def test_bad_images_are_left_out(predictor: Predictor, pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(pictures[0].read_bytes()[:200])
    images = [pictures[0], tmp_path / "cut.png", tmp_path / "absent.png", pictures[1], pictures[2]]
    with pytest.raises(ImageError, match=r"cut\.png"):
        predictor.predict_detection(images)
    refused: list[tuple[Any, ArgusError]] = []
    found = list(predictor.stream(images, batch_size=2, on_error=lambda *pair: refused.append(pair)))
    assert [image for image, _ in found] == [pictures[0], pictures[1], pictures[2]]
    assert [image for image, _ in refused] == [tmp_path / "cut.png", tmp_path / "absent.png"]
    with pytest.raises(ConfigError, match="batch_size is 0"):
        predictor.predict_detection(images, batch_size=0)
    with pytest.raises(ArgusError, match="expected a path or a Pillow image, got int"):
        predictor.predict_detection([3])  # type: ignore[list-item]


def test_nothing_accumulates_over_images(predictor: Predictor, pictures: list[Path]) -> None:
    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    counts = []
    for k, _ in enumerate(predictor.stream(pictures * 3, batch_size=1, score_threshold=0)):
        if k in (5, 11, 17):
            counts.append(tensors())
    assert len(set(counts)) == 1


def test_each_picture_is_opened_once_and_read_at_most_a_batch_ahead(
    predictor: Predictor, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, taken = Counter[str](), 0
    real = os.open

    def counted(path: Any, *args: Any, **kwargs: Any) -> int:
        opened.update([str(path)] if Path(str(path)) in pictures else [])
        return real(path, *args, **kwargs)

    def given() -> Iterator[Path]:
        nonlocal taken
        for picture in itertools.islice(itertools.cycle(pictures), 12):
            taken += 1
            yield picture

    monkeypatch.setattr(os, "open", counted)
    answered = 0
    for answered, _ in enumerate(predictor.stream(given(), batch_size=2, captions=False), 1):
        assert taken <= answered + 2 * 2
    assert answered == taken == opened.total() == 12


def test_a_written_answer_becomes_boxes_in_the_callers_pixels(
    predictor: Predictor, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # 160×120 is shown as 112×84 or the like: the answer's boxes are in those pixels.
    plan = predictor.assets.limits.plan(160, 120, "x")
    w, h = plan.resized_size
    answer = json.dumps(
        [
            {"bbox_2d": [0, 0, w, h], "label": "挡风板/已安装"},
            {"bbox_2d": [w / 2, h / 4, w + 50, h], "label": "标签贴纸"},
            {"bbox_2d": [w + 1, 0, w + 9, h], "label": "标签贴纸"},
            {"bbox_2d": [5, 5, 5, 9], "label": "标签贴纸"},
        ],
        ensure_ascii=False,
    )
    ids = predictor.processor.encode(answer)

    def write(**arguments: Any) -> torch.Tensor:
        return torch.cat([arguments["input_ids"], torch.tensor([ids])], dim=1)

    monkeypatch.setattr(predictor.model.qwen, "generate", write)
    (prediction,) = predictor.predict_text(pictures[0])
    assert prediction.text == answer and prediction.complete
    assert prediction.detections.boxes_xyxy_px.tolist() == [[0, 0, 160, 120], [80, 30, 160, 120]]
    assert prediction.detections.labels == ("挡风板", "标签贴纸")
    assert prediction.detections.captions == ("挡风板/已安装", "标签贴纸")
    assert prediction.detections.scores.tolist() == [1, 1]
    assert len(prediction.dropped) == 2
    assert "outside the image" in prediction.dropped[1]

    ids = ids[:-12]  # as a length limit would cut it
    assert not predictor.predict_text(pictures[0])[0].complete


def test_a_runs_folder_stands_for_its_best_checkpoint(checkpoint: Path, pictures: list[Path]) -> None:
    run = checkpoint.parent
    write_best(run, BestCheckpoint(checkpoint=checkpoint.name, step=200, metric="AP50", value=0.5))
    predictor = Predictor.from_pretrained(run)
    assert predictor.folder == checkpoint
    assert len(predictor.load_teachers(1)) == 1
    write_best(run, BestCheckpoint(checkpoint="checkpoint-400", step=400, metric="AP50", value=0.6))
    with pytest.raises(CheckpointError, match="no such checkpoint folder") as caught:
        Predictor.from_pretrained(run)
    assert "checkpoint-400" in str(caught.value)


def test_a_run_folder_without_a_best_is_answered_with_the_checkpoints_in_it(tiny_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        Predictor.from_pretrained(tiny_checkpoint.parent)
    assert str(tiny_checkpoint) in str(caught.value)


def test_a_calibration_and_descriptions_are_read_as_written(tmp_path: Path, tiny_checkpoint: Path) -> None:
    calibration = Calibration(0.1, 7.0, -5.5, 0.6, 100, 1716)
    assets = replace(
        DetectionAssets.load(tiny_checkpoint),
        descriptions=("挡风板/已安装", "标签贴纸"),
        calibration=calibration,
        calibration_note="fitted",
    )
    assets.save(tmp_path)
    assert DetectionAssets.load(tmp_path) == assets
    assert load_teacher_pool(tmp_path) == ()


def test_a_teacher_pool_that_leads_out_is_refused(checkpoint: Path) -> None:
    pool = checkpoint / "teacher_pool.jsonl"
    changed = pool.read_text(encoding="utf-8").replace("teacher_images/0001", "../../0001")
    pool.write_text(changed, encoding="utf-8")
    with pytest.raises(
        CheckpointError, match=r"teacher_pool\.jsonl: names '\.\./\.\./0001_0\.png', which is not in"
    ):
        load_teacher_pool(checkpoint)
