"""The task that joins detection to the engine: groups, terms, checks before a run, models from every source."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from argusvl.config.loading import load_config, to_yaml
from argusvl.core.errors import CheckpointError, ConfigError, ModelError
from argusvl.detection.commands import step_time
from argusvl.detection.commands.probing import probe
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.data import records, scan_cache
from argusvl.detection.data.sampling.tokenizer import load_tokenizer
from argusvl.detection.measure.calibration import Fit, fit_calibration
from argusvl.detection.measure.matched_predictions import MatchedPredictions
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.losses import LOSSES, AssignedPairs, Descriptions, LossSpec, WrittenAnswers
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.predict import Predictor
from argusvl.detection.predict.checkpoint import DetectionAssets
from argusvl.detection.task import DetectionTask
from argusvl.training.losses import LossAggregation
from argusvl.training.parallel import Parallel
from argusvl.training.parameter_groups import assign_parameters, describe_groups, freeze_untrained
from argusvl.training.run import run_training
from argusvl.visual.feature_statistics import layer_statistics
from argusvl.visual.loss_landscape import loss_landscape

MakeTask = Callable[..., DetectionTask]
BOX = [4.0, 4.0, 30.0, 40.0]
GROUPS = {"vision", "merger", "llm", "detection", "adapter"}

QUICK = (
    *("per_device_train_batch_size=2", "eval_steps=2", "save_steps=3"),
    *("logging_steps=1", "report_to=[]", "save_total_limit=9"),
)


def picture(path: Path, size: tuple[int, int] = (56, 84), orientation: int | None = None) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path, exif=exif)
    return path.name


def scene(name: str, *boxes: list[float], desc: str = "螺丝/正确") -> dict[str, Any]:
    return {"images": [name], "objects": [{"bbox_2d": box, "desc": desc} for box in boxes]}


def write(path: Path, *lines: dict[str, Any] | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


def train_on(data: Path, *descs: str) -> None:
    """Training records with one object each, of these descriptions."""
    write(data / "train.jsonl", *(scene(f"train{k}.png", BOX, desc=desc) for k, desc in enumerate(descs)))


def start_from(folder: Path) -> tuple[str, str]:
    """The overrides of a run that starts from a folder of weights."""
    return "architecture=null", f"model_path={folder}"


def save(task: DetectionTask, folder: Path) -> tuple[str, str]:
    """Weights, and what the task keeps beside them; the overrides of a run that starts from them."""
    torch.manual_seed(0)
    task.model().save_pretrained(folder)
    task.save_assets(folder)
    return start_from(folder)


def losses_of(task: DetectionTask, model: torch.nn.Module, count: int) -> tuple[Any, Any, dict[str, Any]]:
    """The total loss of so many training samples, their batch, and its terms."""
    dataset = task.train_dataset()
    batch = task.collate([dataset[k] for k in range(count)])
    terms = model(**batch.inputs).loss_terms
    loss, _ = LossAggregation(task.loss_terms()).combine(terms, batch.counts, 1.0)
    return loss, batch, terms


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four good training records, two for evaluation and two teachers."""
    folder = tmp_path / "data"
    for split, count in (("train", 4), ("val", 2), ("pool", 2)):
        names = [picture(folder / f"{split}{k}.png") for k in range(count)]
        write(folder / f"{split}.jsonl", *(scene(name, BOX) for name in names))
    return folder


@pytest.fixture
def make_task(tmp_path: Path, data: Path, complete_config: str, small_model: tuple[str, ...]) -> MakeTask:
    def make(*overrides: str) -> DetectionTask:
        file = tmp_path / "run.yaml"
        file.write_text(complete_config, encoding="utf-8")
        # Twice, as one key may be overridden once only.
        paths = (f"data.train={data}/train.jsonl", f"data.val={data}/val.jsonl", f"output_dir={tmp_path}/run")
        file.write_text(
            to_yaml(load_config(file, DetectionRunConfig, (*small_model, *paths))), encoding="utf-8"
        )
        return DetectionTask(load_config(file, DetectionRunConfig, overrides))

    return make


@pytest.fixture
def checkpoint(make_task: MakeTask, tmp_path: Path) -> Path:
    """As the engine writes it: weights, then what the task keeps beside them."""
    save(make_task(), tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


# Parameter groups


def test_every_parameter_is_in_exactly_one_of_five_groups(make_task: MakeTask) -> None:
    task = make_task()
    model = task.model()
    groups = {g.name: set(g.parameters) for g in assign_parameters(model, task.parameter_groups())}
    assert groups.keys() == GROUPS
    names = [name for name, _ in model.named_parameters()]
    assert sorted(name for members in groups.values() for name in members) == sorted(names)
    assert groups["merger"] == {n for n in names if n.startswith("qwen.model.visual.merger.")}
    assert groups["vision"] == {n for n in names if n.startswith("qwen.model.visual.")} - groups["merger"]
    assert groups["adapter"] == {n for n in names if "vision_adapter" in n or "language_adapter" in n}
    assert all(n.startswith("detection_head.memory_builder.") for n in groups["adapter"])
    assert groups["detection"] == {n for n in names if n.startswith("detection_head.")} - groups["adapter"]
    assert {n.split(".")[2] for n in groups["llm"] if n.startswith("qwen.model.")} == {"language_model"}
    assert all(groups.values())


def test_rate_zero_freezes_a_group_and_nothing_else(make_task: MakeTask) -> None:
    model = make_task().model()
    for group in sorted(GROUPS):
        model.requires_grad_(True)
        specs = make_task(
            f"{group}_lr=0", *(f"{other}_lr=0.001" for other in GROUPS - {group})
        ).parameter_groups()
        groups = assign_parameters(model, specs)
        freeze_untrained(groups)
        for each in groups:
            assert {p.requires_grad for p in each.parameters.values()} == {each.name != group}
        rates = {row.group: (row.learning_rate, row.trainable) for row in describe_groups(model, specs)}
        assert rates.pop(group) == (0.0, 0)
        assert all(rate == 0.001 and count > 0 for rate, count in rates.values())


def test_without_detection_there_is_no_head_and_no_term_of_it(make_task: MakeTask) -> None:
    task = make_task("detection_enabled=false")
    model = task.model()
    groups = {g.name: g.parameters for g in assign_parameters(model, task.parameter_groups())}
    assert not groups["detection"] and not groups["adapter"] and groups["llm"] and groups["vision"]
    assert [term.name for term in task.loss_terms()] == ["teacher_lm", "student_lm"]
    loss, _, _ = losses_of(task, model, 2)
    loss.backward()
    assert loss > 0
    assert task.evaluate(model, task.eval_dataset(), Parallel()) == {}


def test_head_and_adapters_wait_for_the_freezing_epochs(make_task: MakeTask) -> None:
    groups = {g.name: g for g in make_task("detection_freeze_epochs=1.5").parameter_groups()}
    assert {name for name, g in groups.items() if g.frozen_epochs == 1.5} == {"detection", "adapter"}


# Loss terms


@pytest.mark.parametrize("queries", ["learned", "proposals"])
def test_every_term_is_declared_and_counted(make_task: MakeTask, queries: str) -> None:
    task = make_task(f"detection_queries={queries}")
    torch.manual_seed(0)
    loss, batch, terms = losses_of(task, task.model(), 4)
    declared = {term.name: term for term in task.loss_terms()}
    assert terms.keys() <= declared.keys()
    unused = {name for name in declared if name not in terms}
    assert unused == (set() if queries == "proposals" else {n for n in declared if n.endswith("_proposal")})
    assert {term.count for term in declared.values()} <= batch.counts.keys()
    by_hand = sum(
        declared[name].weight * value / max(batch.counts[declared[name].count], 1)
        for name, value in terms.items()
    )
    torch.testing.assert_close(loss, by_hand)


def test_terms_have_their_weights_counts_and_names_in_the_log(make_task: MakeTask) -> None:
    task = make_task("detection_proposal_weight=0.5", "detection_bbox_weight=4")
    terms = {term.name: term for term in task.loss_terms()}
    assert [terms[f"bbox_l1{stage}"].weight for stage in ("", "_aux", "_proposal")] == [4, 4, 2]
    assert {terms[n].count for n in ("bbox_l1", "bbox_giou")} == {"objects"}
    assert terms["objectness"].count == terms["caption"].count == "student_samples"
    assert terms["teacher_lm"].log_as == ("teacher_lm_loss", "lm_loss")
    logged = {terms[n].log_as for n in ("bbox_l1", "bbox_giou", "objectness", "caption")}
    assert logged == {"bbox_l1_loss", "bbox_giou_loss", "objectness_loss", "caption_loss"}
    by_tokens = {t.name: t for t in make_task("detection_caption_normalization=tokens").loss_terms()}
    assert by_tokens["caption"].count == "caption_tokens"


@pytest.mark.parametrize(
    ("view", "total", "weight", "stages"),
    [
        (WrittenAnswers, lambda answers: answers.logits.square().sum(), "detection_type_weight", {"": 3.0}),
        (
            *(AssignedPairs, lambda pairs: pairs.boxes_cxcywh_norm.sum(), "detection_type_weight"),
            {"": 3.0, "_aux": 3.0, "_proposal": 1.5},
        ),
        (Descriptions, lambda descriptions: descriptions.logits.square().sum(), 3.0, {"": 3.0}),
    ],
)
def test_a_loss_is_a_function_and_a_line(
    make_task: MakeTask,
    monkeypatch: pytest.MonkeyPatch,
    view: Any,
    total: Callable[[Any], torch.Tensor],
    weight: float | str,
    stages: dict[str, float],
) -> None:
    """With its line it is computed, counted, weighted and logged; without it nothing knows of it."""
    task = make_task(
        "detection_queries=proposals", "detection_proposal_weight=0.5", "detection_type_weight=3"
    )
    torch.manual_seed(0)
    model = task.model().eval()
    _, batch, _ = losses_of(task, model, 4)
    counts, weights = batch.counts, {f"toy{stage}": factor for stage, factor in stages.items()}

    def step() -> tuple[dict[str, torch.Tensor], float, dict[str, float]]:
        terms, losses = model(**batch.inputs).loss_terms, LossAggregation(task.loss_terms())
        loss, sums = losses.combine(terms, counts, 1.0)
        return terms, loss.item(), losses.figures(sums.tolist(), counts)

    terms, loss, logged = step()
    monkeypatch.setitem(LOSSES, "toy", LossSpec(total, view, "objects", weight))
    more, higher, logged_more = step()
    added = {name: value.item() / counts["objects"] for name, value in more.items() if name not in terms}
    assert added.keys() == weights.keys() and min(added.values()) > 0
    weighted = sum(weights[name] * value for name, value in added.items())
    assert higher - loss == pytest.approx(weighted, rel=1e-3)
    told = {f"{name}_loss": value for name, value in added.items()}
    assert logged_more == pytest.approx(logged | told, rel=1e-5)


@pytest.mark.parametrize("queries", ["learned", "proposals"])
def test_accumulated_samples_give_the_same_gradients(make_task: MakeTask, data: Path, queries: str) -> None:
    teachers = ("teacher_ratio=0.5", f"teacher_pool={data}/pool.jsonl")
    task = make_task(f"detection_queries={queries}", *teachers, "horizontal_flip=0")
    dataset, aggregation = task.train_dataset(), LossAggregation(task.loss_terms())
    samples = [dataset[k] for k in range(4)]
    gradients = []
    for size in (4, 2, 1):
        torch.manual_seed(0)
        model = task.model()
        batches = [task.collate(samples[k : k + size]) for k in range(0, 4, size)]
        counts = aggregation.counts_of(batches)
        for batch in batches:
            terms = model(**batch.inputs).loss_terms
            aggregation.combine(terms, counts, 1.0)[0].backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for accumulated in gradients[1:]:
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(
                accumulated[name], gradient, rtol=1e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_memory_is_counted_of_a_way_that_no_table_offers(make_task: MakeTask) -> None:
    task = make_task("bf16=false", "gradient_checkpointing=true", "device=cpu")
    weights = sum(p.numel() for p in task.model().parameters())
    assert 16 * weights < task.memory_needed() < 1 << 30


def test_a_step_is_timed_for_each_size(make_task: MakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_task("per_device_train_batch_size=2", "device=cpu").config
    tokens: list[int] = []
    forward, shape = ArgusForDetection.forward, DetectionTask.model_config

    def stored_in_half(self: DetectionTask) -> ArgusDetectionConfig:
        config = shape(self)
        for part in (config.qwen_config, config.text_sizes, config.vision_sizes):
            part.dtype = torch.bfloat16
        return config

    def noted(self: ArgusForDetection, **batch: Any) -> Any:
        assert {p.dtype for p in self.parameters()} == {torch.float32}  # as training holds them
        tokens.append(int(batch["mm_token_type_ids"].sum()))
        return forward(self, **batch)

    monkeypatch.setattr(DetectionTask, "model_config", stored_in_half)
    monkeypatch.setattr(ArgusForDetection, "forward", noted)
    # Which of the two is more, a busy machine decides as well. The first step sets memory up.
    assert min(step_time.seconds_per_step(config, 100, 4)) > 0
    assert tokens == [8, 200, 8, 200, 8, 200, 8]
    monkeypatch.setattr(step_time, "_SECONDS", 0.0)
    step_time.seconds_per_step(config, 100, 4)
    assert len(tokens) == 7 + 3


# A whole run


CURVES = {
    *("lm_loss", "teacher_lm_loss", "student_lm_loss"),
    *("bbox_l1_loss", "bbox_giou_loss", "objectness_loss", "caption_loss"),
    *(f"{kind}/{group}" for kind in ("wn", "gn", "lr") for group in GROUPS),
    "memory/rss_mib",
    *("throughput/tokens_per_second", "throughput/images_per_second", "throughput/padding_share"),
}
"""What the detector promises to draw in TensorBoard at every logging step."""


@pytest.mark.parametrize(
    "overrides",
    [
        (
            *("bf16=true", "gradient_checkpointing=true", "report_to=[tensorboard]", "teacher_ratio=1"),
            "per_device_train_batch_size=4",  # objects and teachers in every step
            *("detection_assignment=several_to_one", "detection_nms_iou=0.6"),
        ),
        ("bf16=true", "detection_queries=learned", "ema_decay=0.9"),
        ("collator_type=packed", "gradient_accumulation_steps=2", "gradient_checkpointing=true"),
        ("detection_enabled=false",),
    ],
)
def test_a_run_is_trained_and_used(make_task: MakeTask, data: Path, overrides: tuple[str, ...]) -> None:
    """A text-only record and one without objects are among the samples."""
    lines = (data / "train.jsonl").read_text("utf-8").splitlines()
    empty = {"images": ["train2.png"], "objects": []}
    write(data / "train.jsonl", *lines[:2], empty, {"images": [], "objects": []})
    given = {"num_teachers": "1", "teacher_pool": f"{data}/pool.jsonl", "max_steps": "2"}
    given |= dict(word.split("=", 1) for word in (*QUICK, "save_steps=2", *overrides))
    task = make_task(*(f"{key}={value}" for key, value in given.items()))
    result = run_training(task, task.config)
    if task.config.infrastructure.report_to:
        events = EventAccumulator(str(result.output_dir / "tensorboard")).Reload()
        drawn = events.Tags()
        assert CURVES | {"eval/AP", "eval/AP50", "eval/AP75"} <= set(drawn["scalars"])
        assert all([event.step for event in events.Scalars(name)] == [1, 2] for name in CURVES)
        assert drawn["images"], "predictions beside the truth"
    assert result.steps == 2 and result.last_checkpoint is not None
    loaded = ArgusForDetection.from_pretrained(result.last_checkpoint)
    torch.manual_seed(task.config.training.seed)
    first = task.model().state_dict()
    moved = [name for name, tensor in loaded.state_dict().items() if not torch.equal(tensor, first[name])]
    assert any(name.startswith("qwen.model.language_model") for name in moved)
    if task.config.detection.detection_enabled:
        assert any(name.startswith("detection_head") for name in moved)
        assert result.best_checkpoint == result.last_checkpoint and "AP50" in result.evaluation
        assert (result.output_dir / "calibration.json").is_file()
        predictor = Predictor.from_pretrained(result.best_checkpoint)
        assert len(predictor.predict_detection([data / "val0.png"])) == 1


def test_a_checkpoint_of_another_architecture_is_refused(make_task: MakeTask, tmp_path: Path) -> None:
    steps = ("max_steps=1", "eval_steps=9", "save_steps=1", "report_to=[]", "val=null")
    run = make_task(*steps)
    run_training(run, run.config)
    wider = make_task(*steps, "detection_ffn_size=64")
    with pytest.raises(ConfigError, match="detection_ffn_size was 48 and is 64") as by_configuration:
        run_training(wider, wider.config, resume=True)
    assert "take that back, start a new run in another output_dir" in str(by_configuration.value.remedy)
    with pytest.raises(CheckpointError, match="its weights do not fit the configured model") as by_weights:
        run_training(wider, wider.config, resume=True, allow_changes=True)
    assert "checkpoint-1" in str(by_weights.value.where) and "resume with" in str(by_weights.value.remedy)

    other = tmp_path / "llama"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "llama", "hidden_size": 64}')
    with pytest.raises(CheckpointError, match="model_type is 'llama', expected 'qwen2_5_vl'") as by_type:
        make_task(*start_from(other)).model()
    assert "give a Qwen2.5-VL folder" in str(by_type.value.remedy)


def test_a_resumed_run_keeps_what_it_had_learned(
    make_task: MakeTask, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels and tokenizer, and the calibration of what is saved before the next evaluation."""
    fitted = fit_calibration(predictions_to_calibrate())
    monkeypatch.setattr("argusvl.detection.task.fit_calibration", lambda matched: fitted)
    before, after = ("螺丝/正确", "标签/缺失"), ("螺丝/正确", "标签/挡风板/缺失")
    train_on(data, *before, *before)
    task = make_task("max_steps=3", *QUICK)
    first = run_training(task, task.config).last_checkpoint
    assert first is not None

    unfit = Fit(None, "later", fitted.report)
    monkeypatch.setattr("argusvl.detection.task.fit_calibration", lambda matched: unfit)
    train_on(data, *after, *after)
    rest = [option for option in QUICK if not option.startswith(("eval", "save_steps"))]
    later = ("max_steps=5", *rest, "eval_steps=100", "save_steps=4")
    changed = make_task(*later)
    assert changed.processor.tokenizer.get_vocab() != task.processor.tokenizer.get_vocab()
    with pytest.raises(ConfigError, match="the training records have changed"):
        run_training(make_task(*later), changed.config, resume=True)
    resumed = make_task(*later)
    last = run_training(resumed, resumed.config, resume=True, allow_changes=True).last_checkpoint
    assert last is not None and last != first
    middle = first.with_name("checkpoint-4")
    for folder in (first, middle, last):
        tokenizer = load_tokenizer(folder / "qwen")
        assert tokenizer.get_vocab() == task.processor.tokenizer.get_vocab()
        assets = DetectionAssets.load(folder)
        assert set(assets.labels) == set(before) == set(assets.descriptions or ())
    assets = DetectionAssets.load(middle)
    assert assets.calibration == fitted.calibration is not None
    assert assets.calibration_note == f"{fitted.note}, 1 step before these weights"
    measured = json.loads((middle / "calibration.json").read_text("utf-8"))
    del measured["measured_on"]
    assert measured == json.loads(json.dumps(asdict(fitted.report)))

    other = Path(shutil.copytree(first, tmp_path / "other"))
    ids = json.loads((other / "qwen" / "tokenizer.json").read_text("utf-8"))
    vocabulary = ids["model"]["vocab"]
    one, two = list(vocabulary)[40:42]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (other / "qwen" / "tokenizer.json").write_text(json.dumps(ids), encoding="utf-8")
    with pytest.raises(CheckpointError, match="not that of training"):
        make_task(*later).load_assets(other)


def test_records_are_parsed_once(make_task: MakeTask, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    decode = records.decode_line
    monkeypatch.setattr(records, "decode_line", lambda line: parsed.append(line) or decode(line))
    monkeypatch.setattr(scan_cache, "CACHED_FROM", 1)
    overrides = ("vocabulary=open", "caption_vocabulary=closed")

    def learned() -> tuple[Any, ...]:
        task = make_task(*overrides)
        task.train_records.fingerprint()
        return task.labels, task.descriptions, task.processor.tokenizer.get_vocab()

    first = learned()
    assert sorted(parsed) == sorted((data / "train.jsonl").read_bytes().splitlines(keepends=True))
    parsed.clear()
    assert learned() == first and not parsed

    def checked() -> list[str]:
        return [one.slug for one in make_task(*overrides).check()]

    assert checked() == [] and len(parsed) == 4 + 2
    parsed.clear()
    assert checked() == [] and not parsed
    assert [one.slug for one in make_task(*overrides, "detection_caption_max_tokens=1").check()]
    picture(data / "val1.png", size=(56, 20))
    assert checked() == ["box-out-of-bounds"] == checked()


# Captions and calibration


def test_captions_are_closed_as_the_vocabulary_is(make_task: MakeTask, data: Path) -> None:
    descs = ("螺丝/正确", "螺丝/松动", "标签")
    train_on(data, *descs)
    assert set(make_task().descriptions or ()) == set(descs)
    assert make_task("caption_vocabulary=open").descriptions is None
    assert make_task("vocabulary=open").descriptions is None
    by_segment = make_task("vocabulary=open", "caption_vocabulary=closed")
    assert by_segment.labels == ["标签", "螺丝"] and set(by_segment.descriptions or ()) == set(descs)
    of_one = make_task("vocabulary=open", "caption_vocabulary=closed", "labels=[螺丝]")
    assert of_one.descriptions == ("螺丝/松动", "螺丝/正确")
    findings = make_task(f"labels=[{'螺丝' * 60}]").check()
    assert [one.slug for one in findings] == ["caption-too-long"]


def test_scores_are_calibrated_by_the_evaluation_before_a_save(
    make_task: MakeTask, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task()
    torch.manual_seed(0)
    model, dataset, folder = task.model(), task.eval_dataset(), tmp_path / "saved"
    folder.mkdir()
    task.save_assets(folder)
    assets = DetectionAssets.load(folder)
    assert assets.calibration is None and assets.calibration_note == "no held-out records were evaluated"
    assert assets.descriptions == ("螺丝/正确",)
    task.evaluate(model, dataset, Parallel())
    task.save_assets(folder)
    assert "2 held-out images: at least 5 are needed" in DetectionAssets.load(folder).calibration_note

    fitted = fit_calibration(predictions_to_calibrate())
    monkeypatch.setattr("argusvl.detection.task.fit_calibration", lambda matched: fitted)
    figures = task.evaluate(model, dataset, Parallel())
    assert figures["ece"] == fitted.report.ece
    task.save_assets(folder)
    assert DetectionAssets.load(folder).calibration == fitted.calibration is not None
    run = tmp_path / "run"
    run.mkdir()
    task.finish(run, folder)
    written = json.loads((run / "calibration.json").read_text("utf-8"))
    assert written["ece"] < written["ece_before"] and "held-out" in written["measured_on"]


def predictions_to_calibrate() -> MatchedPredictions:
    rng = np.random.default_rng(0)
    scores, images = rng.random(600), np.arange(600) % 10
    none = np.zeros(0, np.int64)
    return MatchedPredictions(
        scores, rng.random(600) < scores**3, images, np.zeros((0, 1)), none, none, 10, 200
    )


# The check before a run


def test_the_check_finds_everything_at_once(make_task: MakeTask, data: Path) -> None:
    picture(data / "turned.jpg", orientation=6)
    (data / "none.png").write_bytes(b"no image at all")
    crowd = [[1.0 + k, 1.0, 20.0 + k, 20.0] for k in range(9)]
    write(
        data / "train.jsonl",
        scene("train0.png", BOX),
        scene("absent.png", BOX),
        scene("train1.png", *crowd),
        scene("turned.jpg", BOX),
        scene("train2.png", [4.0, 4.0, 57.0, 40.0]),
        scene("none.png", BOX),
        scene("train3.png", BOX, desc="".join(map(chr, range(0x4E00, 0x4F00)))),
        scene("train3.png", BOX),
    )
    findings = make_task().check()
    expected = [
        *("absent.png", "9 objects in train1.png, detection_num_queries is 8", "EXIF orientation is 6"),
        *("reaches outside its image train2.png of 56×84", "none.png", "detection_caption_max_tokens is 40"),
    ]
    for finding, message in zip(findings, expected, strict=True):
        assert message in str(finding) and finding.remedy
    for line in (3, 5, 7):
        assert any(f"train.jsonl:{line}" in finding.where for finding in findings)


def test_a_malformed_line_is_one_finding_beside_the_others(make_task: MakeTask, data: Path) -> None:
    """The tokenizer is learned from the records, so lengths cannot be checked; everything else is."""
    good = scene("train0.png", BOX)
    write(data / "train.jsonl", good, '{"images": [', scene("absent.png", BOX), good)
    findings = make_task().check()
    assert len(findings) == 2
    assert "train.jsonl:2: malformed-json" in str(findings[0]) and "absent.png" in findings[1].where


def test_missing_and_empty_files_are_findings_too(make_task: MakeTask, data: Path) -> None:
    (data / "val.jsonl").write_text("\n")
    findings = make_task("teacher_ratio=0.5", f"teacher_pool={data}/absent.jsonl").check()
    assert len(findings) == 2
    assert "absent.jsonl: missing-records" in str(findings[0]) and "val.jsonl: no-records" in str(findings[1])
    (data / "train.jsonl").unlink()
    assert any("train.jsonl: missing-records" in str(finding) for finding in make_task().check())


def test_a_conversation_too_long_is_found(make_task: MakeTask) -> None:
    lengths = [len(make_task().train_dataset()[k].conversation) for k in range(4)]
    findings = make_task(f"model_max_length={max(lengths) - 1}").check()
    assert len(findings) == lengths.count(max(lengths))
    assert all(f"model_max_length is {max(lengths) - 1}" in finding.what for finding in findings)


def test_a_conversation_too_long_with_teachers_is_found(make_task: MakeTask, data: Path) -> None:
    task = make_task()
    alone = max(len(task.train_dataset()[k].conversation) for k in range(4))
    limit = (f"model_max_length={alone + 10}",)
    teachers = ("teacher_ratio=1", f"teacher_pool={data}/pool.jsonl")
    assert make_task(*limit).check() == []
    findings = make_task(*limit, *teachers).check()
    assert len(findings) == 1 and "with the longest teachers of the pool, 4 of 4 records" in findings[0].what
    assert make_task(*limit, *teachers, "over_length_policy=drop_teachers").check() == []
    # The length that is announced is the one that a sample with that teacher has.
    drawn = make_task(*teachers).train_dataset()
    longest = max(len(drawn[k].conversation) for k in range(4))
    assert f"has {longest} tokens with them" in findings[0].what
    findings = make_task(*teachers, "num_teachers=3").check()
    assert len(findings) == 1 and "has 2 teachers, num_teachers is 3" in findings[0].what


def test_a_pool_that_holds_a_held_out_picture_is_refused(make_task: MakeTask, data: Path) -> None:
    lines = (data / "pool.jsonl").read_text("utf-8").splitlines()
    (data / "links").mkdir()
    (data / "links" / "other-name.png").symlink_to(data / "val1.png")
    write(data / "pool.jsonl", *lines, scene("links/other-name.png", BOX))
    shown = ("teacher_ratio=0.5", f"teacher_pool={data}/pool.jsonl")
    (finding,) = make_task(*shown).check()
    assert finding.slug == "pool-in-val"
    assert f"{data}/pool.jsonl:3 and {data}/val.jsonl:2" in finding.what
    with pytest.raises(ConfigError, match="held out as well"):
        make_task(*shown).train_dataset()
    assert make_task("teacher_ratio=0", shown[1]).check() == []


def small_and_crowded(data: Path) -> None:
    picture(data / "tiny.png", (28, 28))
    write(data / "train.jsonl", scene("tiny.png", *[[1.0 + k, 1.0, 20.0 + k, 20.0] for k in range(5)]))


@pytest.mark.parametrize(
    ("change", "overrides", "said", "good"),
    [
        (
            *(small_and_crowded, "", "5 objects in tiny.png, patches in it that can propose one are 4"),
            ["detection_queries=learned", "detection_enabled=false"],
        ),
        (
            *(lambda data: write(data / "train.jsonl", scene("train0.png")), "", "so there are no labels"),
            ["detection_enabled=false"],
        ),
        (
            *(lambda data: None, "metric_for_best_model=dense_caption_mAP_meteor", "argusvl[pycocoevalcap]"),
            ["metric_for_best_model=dense_caption_mAP_chrf"],
        ),
        (
            *(lambda data: None, "architecture=null model_path=argus-hand transfer_vocab_size=320"),
            *("model_type is 'argus_hand'", [""]),
        ),
    ],
    ids=["a small image of many objects", "no labels", "what METEOR needs", "a model of another task"],
)
def test_what_is_found_is_gone_with_what_it_is_about(
    make_task: MakeTask,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    overrides: str,
    said: str,
    good: list[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    change(data)
    (finding,) = make_task(*overrides.split()).check()
    assert said in str(finding)
    for others in good:
        assert make_task(*others.split()).check() == []


# Models from every source


def test_training_goes_on_from_a_checkpoint_of_ours(make_task: MakeTask, checkpoint: Path) -> None:
    task = make_task(*start_from(checkpoint))
    torch.manual_seed(99)
    model = task.model()
    torch.manual_seed(0)
    expected = make_task().model().state_dict()
    assert model.state_dict().keys() == expected.keys()
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, expected[name]), name
    assert model.loss_settings is not None
    saved = load_tokenizer(checkpoint / "qwen")
    assert task.processor.tokenizer.get_vocab() == saved.get_vocab()
    assert task.check() == []
    _, _, terms = losses_of(task, model, 1)
    terms["bbox_l1"].backward()


def test_a_run_stands_for_its_checkpoint(make_task: MakeTask, checkpoint: Path, tmp_path: Path) -> None:
    saved = tmp_path / "mine" / "checkpoint-4"
    saved.parent.mkdir()
    checkpoint.rename(saved)
    path = start_from(saved.parent)
    assert make_task(*path).check() == []
    assert make_task(*path).model_config().hidden_size == make_task().model_config().hidden_size
    for file in (saved / "model.safetensors", saved / "qwen" / "model.safetensors"):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        (found,) = make_task(*path).check()
        assert found.where == str(file) and "is truncated" in found.what
        file.write_bytes(whole)


def test_a_plain_qwen_folder_gets_a_new_head(
    make_task: MakeTask, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        model = make_task(*start_from(checkpoint / "qwen"), "detection_num_queries=5").model()
    assert model.config.num_queries == 5
    assert "new, starting at random: detection_head, " in caplog.text


def test_what_shapes_no_weight_may_change(make_task: MakeTask, checkpoint: Path) -> None:
    path = start_from(checkpoint)
    model = make_task(*path, "detection_dropout=0.25", "detection_nms_iou=0.6").model()
    assert model.config.dropout == 0.25 and model.config.nms_iou == 0.6
    rates = {m.p for m in model.detection_head.modules() if isinstance(m, torch.nn.Dropout)}
    assert rates == {0.25}
    assert make_task(*path, "detection_num_queries=9").model().config.num_queries == 9  # of more proposals
    with pytest.raises(ConfigError, match=r"detection_ffn_size is 32, .* has 48") as caught:
        make_task(*path, "detection_ffn_size=32").model()
    assert caught.value.where == "detection_ffn_size"
    with pytest.raises(ConfigError, match="detection_enabled is False") as caught:
        make_task(*path, "detection_enabled=false").model()
    assert f"{checkpoint}/qwen" in str(caught.value)


def test_a_checkpoint_gets_a_second_eye_and_keeps_it(
    make_task: MakeTask, checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    eye = "detection_second_eye=efficientnet-lite0"
    with caplog.at_level("INFO"):
        task = make_task(*start_from(checkpoint), eye)
        model = task.model()
    assert "gets a second eye, efficientnet-lite0" in caplog.text
    groups = assign_parameters(model, task.parameter_groups())
    (network,) = (group.parameters for group in groups if group.name == "eye")
    assert network and all(".eye.network." in name for name in network)
    model.save_pretrained(tmp_path / "seeing")
    task.save_assets(tmp_path / "seeing")
    path = start_from(tmp_path / "seeing")
    again = make_task(*path, eye).model()
    assert all(torch.equal(t, model.state_dict()[n]) for n, t in again.state_dict().items())
    without = make_task(*path).model()
    assert without.config.second_eye == "none" and not any("eye" in name for name in without.state_dict())
    assert all(torch.equal(t, model.state_dict()[n]) for n, t in without.state_dict().items())


def test_the_number_of_learned_queries_stays(make_task: MakeTask, tmp_path: Path) -> None:
    path = save(make_task("detection_queries=learned"), tmp_path / "c")
    with pytest.raises(ConfigError, match=r"detection_num_queries is 9, .* has 8"):
        make_task(*path, "detection_queries=learned", "detection_num_queries=9").model()


def test_a_named_tokenizer_is_taken(make_task: MakeTask, checkpoint: Path, tmp_path: Path) -> None:
    saved = load_tokenizer(checkpoint / "qwen")
    saved.add_tokens(["never-learned-from-the-records"])
    saved.save_pretrained(tmp_path / "tokenizer")
    task = make_task(f"tokenizer_path={tmp_path}/tokenizer")
    assert "never-learned-from-the-records" in task.processor.tokenizer.get_vocab()
    assert task.model().get_input_embeddings().weight.shape[0] == len(saved)


def test_a_vocabulary_is_moved(make_task: MakeTask, checkpoint: Path, data: Path, tmp_path: Path) -> None:
    path = start_from(checkpoint)
    own = make_task(*path)
    task = make_task(*path, "transfer_vocab_size=320")
    own_size, size = len(own.processor.tokenizer), len(task.processor.tokenizer)
    assert size <= 320 < own_size
    model = task.model()
    assert model.get_input_embeddings().weight.shape[0] == size
    expected = own.model().state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name]) or "embed_tokens" in name or "lm_head" in name, name
    assert task.check() == []
    model.save_pretrained(tmp_path / "c")
    task.save_assets(tmp_path / "c")
    predictor = Predictor.from_pretrained(tmp_path / "c")
    assert predictor.processor.tokenizer.get_vocab() == task.processor.tokenizer.get_vocab()
    assert len(predictor.predict_detection([data / "val0.png"])) == 1


def test_the_order_of_tokens_tells_equal_labels_apart(make_task: MakeTask, tmp_path: Path) -> None:
    assert not make_task("labels=['12', '22']").model().config.labels_in_order
    path = save(make_task("labels=['12', '21']"), tmp_path / "c")
    assert Predictor.from_pretrained(tmp_path / "c").model.detection_head.type_scorer.in_order
    again = make_task(*path, "labels=['1', '2']").model()
    assert not again.detection_head.type_scorer.in_order


def test_the_configured_attention_reaches_the_stock_model(make_task: MakeTask, checkpoint: Path) -> None:
    for source in ((), start_from(checkpoint)):
        model = make_task(*source, "attn_implementation=eager").model()
        assert model.qwen.config.text_config._attn_implementation == "eager"


def test_a_checkpoint_stands_on_its_own(make_task: MakeTask, data: Path, tmp_path: Path) -> None:
    save(make_task("teacher_ratio=0.7", f"teacher_pool={data}/pool.jsonl"), tmp_path / "c")
    Image.open(data / "val0.png").save(tmp_path / "photo.png")
    for file in data.glob("*"):
        file.unlink()
    predictor = Predictor.from_pretrained(tmp_path / "c")
    assert len(predictor.predict_detection([tmp_path / "photo.png"], teachers=2)) == 1
    stated = json.loads((tmp_path / "c" / "qwen" / "preprocessor_config.json").read_text("utf-8"))
    assert stated["size"] == {"shortest_edge": 784, "longest_edge": 12544}


def test_language_alone_needs_no_objects(make_task: MakeTask, data: Path, tmp_path: Path) -> None:
    write(data / "train.jsonl", *(scene(f"train{k}.png") for k in range(4)))
    save(make_task("detection_enabled=false"), tmp_path / "saved")
    predictor = Predictor.from_pretrained(tmp_path / "saved", device="cpu")
    assert predictor.assets.labels == ()
    with pytest.raises(ModelError, match="no detection head"):
        predictor.predict_detection([data / "train0.png"])
    assert len(predictor.predict_text([data / "train0.png"], max_new_tokens=2)) == 1


def test_held_out_records_that_are_trained_on_are_named(
    make_task: MakeTask, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (data / "same.jsonl").symlink_to(data / "train.jsonl")
    assert not make_task().check() and "N-119" not in caplog.text
    assert not make_task(f"data.val={data / 'same.jsonl'}").check(), "on purpose, it may start"
    assert make_task(f"data.val={data / 'train.jsonl'}").eval_dataset() is not None
    assert caplog.text.count("data.val is data.train") == caplog.text.count("N-119") == 2


def test_unlisted_labels_are_named(make_task: MakeTask, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(
        data / "train.jsonl",
        scene("train0.png", BOX, [6.0, 6.0, 40.0, 50.0], desc="标签贴纸"),
        scene("train1.png", BOX),
    )
    assert make_task("labels=[螺丝/正确]").check() == []
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "label '标签贴纸' of 2 training objects is not in data.labels: it is found, but its type is never learned"
    ]


def test_too_few_queries_are_named(make_task: MakeTask, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    boxes = [[4.0 * k, 4.0, 4.0 * k + 3, 40.0] for k in range(1, 6)]
    write(data / "train.jsonl", *(scene(f"train{k}.png", *boxes) for k in range(4)))

    def warned(*overrides: str) -> list[str]:
        caplog.clear()
        assert make_task(*overrides).check() == []
        return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]

    several = ["detection_queries=proposals", "detection_assignment=several_to_one", "detection_nms_iou=0.6"]
    (message,) = warned(*several, "detection_positives_per_object=3", "detection_num_queries=14")
    assert message.startswith("detection_num_queries is 14; about 15 would reach every object")
    assert warned(*several, "detection_positives_per_object=3", "detection_num_queries=15") == []
    one = ["detection_queries=learned", "detection_assignment=one_to_one", "detection_num_queries=5"]
    assert warned(*one) == []


# Looking into what was trained


def test_a_checkpoint_is_looked_into(make_task: MakeTask, checkpoint: Path, data: Path) -> None:
    probed = probe(checkpoint, make_task().config, device="cpu")
    assert probed.batch == f"the first 2 records of {data}/val.jsonl"
    assert not probed.model.training and probed.loss() == probed.loss() > 0
    seen = {one.name for one in layer_statistics(probed.model, probed.forward)}
    assert any(".visual." in n for n in seen) and any(".captioner." in n for n in seen)
    found = [(one.name, one.image.size, len(one.heads)) for one in probed.attention()]
    assert found == [(f"val{k}.png", (56, 84), 2) for k in range(2)]
    landscape, here = loss_landscape(probed.model, probed.loss, points=3), probed.loss()
    assert landscape.centre == pytest.approx(here, rel=1e-5)


def test_a_run_without_held_out_records_cannot_be_looked_into(make_task: MakeTask, checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="no held-out records"):
        probe(checkpoint, make_task("data.val=null").config, device="cpu")
