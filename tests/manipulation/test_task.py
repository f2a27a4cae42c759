"""The task of hands by the engine and by the commands, with a small model."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from argusvl.cli.main import run
from argusvl.config.loading import load_config
from argusvl.core.batch import Batch
from argusvl.core.errors import ArgusError, ConfigError, DataError
from argusvl.manipulation.config import HandRunConfig
from argusvl.manipulation.data.dataset import collate
from argusvl.manipulation.data.reading import open_hands
from argusvl.manipulation.init import make_starting_config
from argusvl.manipulation.predict import HandPredictor, HandQuery
from argusvl.manipulation.predict.predictor import parse_camera_option
from argusvl.manipulation.task import HandTask
from argusvl.synthetic.hands.camera import project
from argusvl.tasks import TASKS, task_at
from argusvl.training.run import run_training

pytestmark = pytest.mark.usefixtures("quiet_logging")

MakeTask = Callable[..., HandTask]

SMALL: dict[str, Any] = {
    "encoder": "small",
    "frozen_stages": 0,
    "encoder_lr": 1e-3,
    "image_size": 64,
    "hidden_size": 32,
    "num_layers": 1,
    "num_heads": 2,
    "max_steps": 4,
    "eval_steps": 4,
    "save_steps": 4,
    "per_device_train_batch_size": 8,
    "dataloader_num_workers": 0,
    "report_to": [],
    "logging_steps": 2,
}


@pytest.fixture(scope="session")
def config_file(hand_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("configuration") / "hands.yaml"
    file.write_text(make_starting_config(hand_folder / "train", hand_folder / "val", "folder", {}, {}))
    return file


def overrides(values: dict[str, Any]) -> list[str]:
    return [f"{name}={json.dumps(value)}" for name, value in values.items()]


@pytest.fixture
def make_task(config_file: Path, tmp_path: Path) -> MakeTask:
    def make(**changes: Any) -> HandTask:
        values = {**SMALL, "output_dir": str(tmp_path / "run"), **changes}
        return HandTask(load_config(config_file, HandRunConfig, overrides(values)))

    return make


@pytest.fixture(scope="session")
def run_folder(config_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run."""
    out = tmp_path_factory.mktemp("run") / "hands"
    assert run(["train", str(config_file), *overrides({**SMALL, "output_dir": str(out)})]) == 0
    return out


@pytest.fixture(scope="module")
def predictor(run_folder: Path) -> HandPredictor:
    return HandPredictor.from_pretrained(run_folder)


def test_the_starting_configuration_is_whole_and_says_why(config_file: Path, hand_folder: Path) -> None:
    text = config_file.read_text()
    config = load_config(config_file, HandRunConfig)
    assert config.data.train == hand_folder / "train" and config.model.objects == ["box"]
    assert "# max_steps decides" in text and "passes over 24 hands" in text


def test_a_run_leaves_figures_beside_the_mean_pose(run_folder: Path) -> None:
    text = (run_folder / "checkpoint-4" / "trainer_state.json").read_text()
    for name in ("mpjpe_root", "mpjpe_pa", "mpjpe_root_coarse", "mean_pose_mpjpe_root", "spread"):
        assert name in text
    assert task_at(run_folder) == "manipulation"


def test_every_parameter_is_in_one_group_and_a_rate_of_zero_freezes(make_task: MakeTask) -> None:
    from argusvl.training.parameter_groups import assign_parameters, freeze_untrained

    task = make_task(encoder_lr=0.0)
    model = task.model()
    groups = assign_parameters(model, task.parameter_groups())
    assert {g.name for g in groups} == {"encoder", "decoder", "refinement", "heads"}
    freeze_untrained(groups)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (not name.startswith("encoder.")), name


def test_a_checkpoint_predicts_in_the_pictures_own_frame(predictor: HandPredictor, hand_folder: Path) -> None:
    for record in list(open_hands(hand_folder / "val", "folder", {}))[:4]:
        query = HandQuery(record.box_xyxy_px, record.side, record.camera)
        (found,) = predictor.predict([record.image], [query])
        assert found.side == record.side and found.note == ""
        np.testing.assert_allclose(project(found.joints_m, record.camera), found.joints_px)
        left, top, right, bottom = record.box_xyxy_px
        wide = max(right - left, bottom - top)
        middle = np.array([left + right, top + bottom]) / 2
        assert np.abs(found.joints_px[0] - middle).max() < 3 * wide
        line = found.to_jsonl("a.png")
        assert len(line["joints_mm"]) == 21
        touches = found.contact.max() >= 0.5
        assert line.get("object", {}).get("name") == ("box" if touches else None) == found.object_name
        json.dumps(line)


def test_a_mirrored_picture_of_the_other_hand_is_the_same_hand_mirrored(
    predictor: HandPredictor, hand_folder: Path
) -> None:
    record = open_hands(hand_folder / "val", "folder", {})[0]
    picture = Image.open(record.image)
    width = picture.width
    left, top, right, bottom = record.box_xyxy_px
    camera = record.camera.copy()
    camera[0, 2] = width - camera[0, 2]
    other = {"right": "left", "left": "right"}[record.side]
    (one,) = predictor.predict([picture], [HandQuery(record.box_xyxy_px, record.side, record.camera)])
    mirrored = HandQuery(np.array([width - right, top, width - left, bottom]), other, camera)
    (two,) = predictor.predict([picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)], [mirrored])
    np.testing.assert_allclose(two.joints_m * [-1, 1, 1], one.joints_m, atol=2e-3)


def test_without_k_and_box_some_are_assumed_and_said(predictor: HandPredictor, hand_folder: Path) -> None:
    picture = hand_folder / "val" / "000.png"
    (found,) = predictor.predict([picture], [HandQuery()])
    assert "no K was given" in found.note and "whole picture" in found.note
    either = predictor.predict([picture] * 2, [HandQuery(side="left"), HandQuery(side="right")])
    surer = max(either, key=lambda hand: hand.confidence.mean())
    assert found.side == surer.side and np.allclose(found.joints_m, surer.joints_m, atol=1e-4)
    assert np.isfinite(found.joints_m).all()
    np.testing.assert_array_equal(parse_camera_option("4,5,6,7"), [[4, 0, 6], [0, 5, 7], [0, 0, 1]])


@pytest.mark.parametrize(
    ("query", "what"),
    [
        (HandQuery(np.array([500.0, 10, 600, 90])), "outside"),
        (HandQuery(camera=np.zeros((3, 3))), "K"),
        (HandQuery(camera=np.full((3, 3), np.nan)), "K"),
    ],
)
def test_a_query_that_cannot_be_is_refused(
    predictor: HandPredictor, hand_folder: Path, query: HandQuery, what: str
) -> None:
    with pytest.raises(DataError, match=what) as refused:
        predictor.predict([hand_folder / "val" / "000.png"], [query])
    assert refused.value.remedy


def test_what_is_no_picture_and_no_query_is_refused(predictor: HandPredictor, hand_folder: Path) -> None:
    picture = hand_folder / "val" / "000.png"
    assert predictor.predict([], []) == []
    lists = HandQuery([2, 2, 60, 60], "left", np.diag([90.0, 90, 1]).tolist())
    assert predictor.predict([picture], [lists])[0].side == "left"
    for images, queries in (([picture], []), ([np.zeros((8, 8, 3))], [HandQuery()])):
        with pytest.raises(DataError, match="queries|ndarray"):
            predictor.predict(images, queries)
    for wrong in ({"side": "Left"}, {"box_xyxy_px": ["a", 1, 2, 3]}, {"camera": "K"}):
        with pytest.raises(DataError, match=next(iter(wrong))):
            HandQuery(**wrong)


def test_commands_work_for_hands_as_for_boxes(
    run_folder: Path, hand_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val, out = str(hand_folder / "val"), tmp_path / "eval"
    assert run(["eval", str(run_folder), val, "--out", str(run_folder / "val"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["hands"] == 10 and set(figures["per_joint_mm"]) >= {"wrist", "thumb_tip"}
    words = ["predict", str(run_folder), f"{val}/001.png", "--box", "whole", "--side", "left"]
    assert run([*words, "--draw", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["side"] == "left"
    assert [one.suffix for one in out.iterdir()] == [".jpg"]
    assert run(["predict", str(run_folder), val, "--box", "whole"]) == 0
    said = capsys.readouterr().err
    assert said.count("no K was given") == 2
    assert "000.png: the whole picture" in said and "9 more images: the whole picture" in said
    assert run(["report", str(run_folder)]) == 0
    page = (run_folder / "report.html").read_text()
    assert "mean pose" in page and "data:image/jpeg" in page and "Mean error of each joint" in page
    assert run(["init", "--task", "manipulation", val]) == 0


def test_training_begins_from_a_checkpoint_of_the_same_crop(
    predictor: HandPredictor, run_folder: Path, make_task: MakeTask
) -> None:
    model, trained = make_task(model_path=str(run_folder)).model(), predictor.model
    for (name, one), (_, two) in zip(model.named_parameters(), trained.named_parameters(), strict=True):
        np.testing.assert_array_equal(one.detach(), two.detach(), err_msg=name)


def test_findings_name_what_is_wrong_with_the_data(
    hand_folder: Path, make_task: MakeTask, tmp_path: Path
) -> None:
    assert make_task().check() == []
    shared = make_task(val=str(hand_folder / "train")).check()
    assert [one.slug for one in shared] == ["hand-data-shared"]
    spoilt = spoil(hand_folder / "train", tmp_path / "spoilt", range(24))
    found = make_task(train=str(spoilt)).check()
    assert len(found) == 24 and all(one.remedy and "hands[" in one.where for one in found)


def spoil(source: Path, folder: Path, numbers: Iterable[int]) -> Path:
    """The same data with hands that are wrong, each in one of three ways."""
    shutil.copytree(source, folder)
    value = json.loads((folder / "hands.json").read_text())
    for number in numbers:
        hand = value["hands"][number]
        if number % 3 == 0:
            hand["joints"][5] = [-1, -1, -1]
        elif number % 3 == 1:
            hand["side"] = "right" if hand["side"] == "left" else "left"
        else:
            hand["joints"] = (1000 * np.array(hand["joints"])).tolist()
    (folder / "hands.json").write_text(json.dumps(value))
    return folder


@pytest.mark.parametrize("part", ["train", "val"])
def test_no_run_begins_on_what_is_left_of_data_with_bad_records(
    part: str, hand_folder: Path, make_task: MakeTask, tmp_path: Path
) -> None:
    spoilt = spoil(hand_folder / part, tmp_path / "spoilt", range(1, 8))
    task = make_task(**{part: str(spoilt)})
    with pytest.raises(DataError, match=r"7 of \d+ hands cannot be used; the first: .*hands\[1\]") as refused:
        run_training(task, task.config)
    assert "--validate-only" in str(refused.value.remedy) and refused.value.where == str(spoilt)
    assert len(task.check()) == 7 and not (tmp_path / "run" / "checkpoint-4").exists()


def test_pictures_turned_by_their_exif_tag_are_refused_in_training_and_turned_in_prediction(
    predictor: HandPredictor, hand_folder: Path, make_task: MakeTask, tmp_path: Path
) -> None:
    turned = shutil.copytree(hand_folder / "train", tmp_path / "turned") / "003.png"
    picture = Image.open(turned)
    tag = Image.Exif()
    tag[ExifTags.Base.Orientation] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(turned, exif=tag)
    (found,) = make_task(train=str(turned.parent)).check()
    assert found.slug == "exif-orientation" and "upright" in found.remedy
    ours, upright = predictor.predict([turned, picture], [HandQuery(), HandQuery()])
    np.testing.assert_allclose(ours.joints_px, upright.joints_px, atol=1e-3)
    assert "turned upright" in ours.note and "turned" not in upright.note


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_heads": 4, "image_size": 96}, "image_size 64, num_heads 2"),
        ({"objects": ["mug"], "positions": False}, r"positions True, objects \['box'\]"),
        ({"encoder_stages": 7}, "encoder_stages 5"),
    ],
)
def test_sizes_that_a_checkpoint_has_decided_are_refused_before_a_run(
    change: dict[str, Any], told: str, run_folder: Path, make_task: MakeTask
) -> None:
    (found,) = make_task(model_path=str(run_folder), **change).check()
    assert re.search(told, found.what) and "model_path: null" in found.remedy
    assert make_task(model_path=str(run_folder), dropout=0.3, frozen_stages=2).check() == []


def test_a_model_that_cannot_be_is_found_before_a_run(run_folder: Path, make_task: MakeTask) -> None:
    for change, told in (
        ({"num_heads": 7}, "multiple of 28"),
        ({"model_path": str(run_folder / "nothing")}, "no such"),
        ({"model_path": "argus-tiny"}, "another task"),
    ):
        (found,) = make_task(**change).check()
        assert told in f"{found.what} {found.remedy}"


def test_odd_options_are_refused(config_file: Path) -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        load_config(config_file, HandRunConfig, ["root=/tmp"])
    with pytest.raises(ArgusError):
        load_config(config_file, HandRunConfig, ["metric_for_best_model=AP50"])
    assert set(TASKS["manipulation"].figure_specs()) >= {"mpjpe_root", "mpjpe_pa", "auc_root"}


def findings_and_spread(
    config_file: Path, out: Path, steps: int = 160, **changes: Any
) -> tuple[dict[str, Any], float]:
    """A run: what the doctor found, by id, and the spread of what it answers at the end."""
    length = {"max_steps": steps, "eval_steps": steps, "save_steps": steps, "logging_steps": steps // 2}
    values = SMALL | length | {"output_dir": str(out), "ema_decay": None} | changes
    assert run(["train", str(config_file), *overrides(values)]) == 0
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    state = json.loads((out / f"checkpoint-{steps}" / "trainer_state.json").read_text())
    (spread,) = (entry["eval_spread"] for entry in state["log_history"] if "eval_spread" in entry)
    return {one["finding"]["id"]: one["finding"] for one in events if one["event"] == "found"}, spread


def test_without_positions_a_run_collapses_and_what_the_doctor_says_cures_it(
    config_file: Path, tmp_path: Path
) -> None:
    found, collapsed = findings_and_spread(config_file, tmp_path / "without", positions=False)
    assert "differ by" in found["T-001"]["what"] and collapsed < 0.05
    assert "positions: false → true" in found["T-001"]["remedy"].lower()
    found, cured = findings_and_spread(config_file, tmp_path / "with", positions=True)
    assert "T-001" not in found and cured > 5 * collapsed


def test_pictures_that_do_not_reach_the_model_are_named(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blank(*arguments: Any) -> Batch:
        batch = collate(*arguments)
        blank = torch.zeros_like(batch.inputs["pixel_values"])
        return replace(batch, inputs=batch.inputs | {"pixel_values": blank})

    monkeypatch.setattr("argusvl.manipulation.task.collate", blank)
    found, spread = findings_and_spread(config_file, tmp_path / "run", steps=40)
    assert "pixel_values" in found["N-419"]["what"] and spread < 0.05


def test_a_picture_that_cannot_be_read_does_not_take_its_batch_with_it(
    predictor: HandPredictor, hand_folder: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    good = sorted((hand_folder / "val").glob("*.png"))[:4]
    refused: list[Path] = []
    images = [good[0], bad, *good[1:]]
    told = predictor.stream(images, HandQuery(), batch_size=3, on_error=lambda path, _: refused.append(path))
    found = dict(told)
    assert list(found) == good and refused == [bad]
    twice = predictor.stream([good[0], good[0]], HandQuery(), batch_size=2, on_error=lambda *_: None)
    assert [image for image, _ in twice] == [good[0], good[0]]
    (alone,) = predictor.predict([good[3]], [HandQuery()])
    np.testing.assert_allclose(found[good[3]].joints_m, alone.joints_m, atol=1e-4)
