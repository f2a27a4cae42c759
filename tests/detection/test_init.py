"""Every configuration that is written for a data set loads, and the run that it describes can start."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from argusvl.assets import MODELS
from argusvl.core.errors import CheckpointError, DataError
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.data.manifest import read_manifest
from argusvl.detection.data.measuring import symmetries
from argusvl.detection.data.preparing.convert import ConvertOptions, convert
from argusvl.detection.init import StartingConfig, make_starting_config
from argusvl.detection.task import DetectionTask
from argusvl.tasks import load_run_config

CLOSED = ("RBC", "WBC", "Platelets")
CHINESE = ("螺丝/已拧紧", "螺丝/未拧紧", "标签贴纸", "挡风板/已安装")


@pytest.fixture(autouse=True)
def _nothing_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What ships with an installation does not change these tests."""
    monkeypatch.setitem(MODELS, "argus-tiny", tmp_path / "ships" / "argus_tiny")


Labels = Callable[[random.Random], str]


def one_of(labels: Sequence[str]) -> Labels:
    return lambda rng: rng.choice(labels)


def free_text(rng: random.Random) -> str:
    words = ["a", "rusty", "screw", "beside", "the", "door", "left", "big", "螺", "/"]
    # A type stands before the first "/".
    return " ".join([*rng.choices(words[:-1]), *rng.choices(words, k=5)]) + str(rng.randrange(1000))


def write_set(
    folder: Path,
    name: str,
    rng: random.Random,
    records: int,
    *,
    labels: Labels,
    most: int = 6,
    several: bool = False,
    teachers: bool = False,
) -> None:
    """A records file with pictures of any size."""
    folder.mkdir(exist_ok=True)

    def scene(number: int, key: str) -> dict[str, Any]:
        images, objects = [], []
        for k in range(2 if several and number % 2 else 1):
            width, height = rng.randrange(40, 400), rng.randrange(40, 300)
            images.append(f"{name}{number}{key}{k}.png")
            Image.new("RGB", (width, height), (number % 256, 80, 90)).save(folder / images[-1])
            for _ in range(rng.randrange(0 if number else 1, most + 1)):
                x, y = rng.uniform(0, width - 8), rng.uniform(0, height - 8)
                box = [x, y, rng.uniform(x + 4, width), rng.uniform(y + 4, height)]
                objects.append({"bbox_2d": box, "desc": labels(rng), "image": k})
        return {"images": images, "objects": objects}

    lines = []
    for number in range(records):
        record: dict[str, Any] = {"student": scene(number, "s")}
        if teachers and number % 2:
            record["teachers"] = [scene(number, "t")]
        lines.append(json.dumps(record, ensure_ascii=False))
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def made(folder: Path, data: Path, **options: Any) -> tuple[StartingConfig, DetectionRunConfig]:
    """The configuration, from its text; the run that it describes can start."""
    starting = make_starting_config(data, **options)
    (folder / "my.yaml").write_text(starting.yaml, "utf-8")
    config = load_run_config(folder / "my.yaml")
    assert isinstance(config, DetectionRunConfig)
    assert config == starting.config
    assert config.training.bf16 == "auto", "no machine is assumed"
    assert DetectionTask(config).check() == []
    return starting, config


@pytest.mark.parametrize("seed", [0, 1, 3, 6, 7])  # with and without val, pool, teachers and several images
def test_what_is_written_loads_and_the_run_can_start(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    labels = free_text if seed % 4 == 3 else one_of(CHINESE if seed % 2 else CLOSED)
    data, count = tmp_path / "data set", rng.randrange(1, 12)
    write_set(data, "train", rng, count, labels=labels, several=seed % 3 == 0, teachers=seed % 3 == 1)
    if seed % 2:
        write_set(data, "val", rng, rng.randrange(1, 5), labels=labels, several=True)
    if seed % 4 < 2:
        write_set(data, "teacher_pool", rng, 2, labels=labels)
    starting, config = made(tmp_path, data)
    assert (config.data.val is not None) == bool(seed % 2)
    shown = seed % 4 < 2 or (seed % 3 == 1 and config.data.num_teachers > 0)
    assert (config.data.teacher_ratio > 0) == shown
    assert any("no held-out" in note for note in starting.notes) == (config.data.val is None)
    assert any("fewest" in note for note in starting.notes) == (count < 10)


@pytest.mark.parametrize(
    ("labels", "vocabularies", "language"),
    [(CLOSED, ("closed", "closed"), "en"), (CHINESE, ("open", "closed"), "zh")],
)
def test_names_are_a_vocabulary_and_levels_begin_with_one(
    tmp_path: Path, labels: Sequence[str], vocabularies: tuple[str, str], language: str
) -> None:
    write_set(tmp_path / "cells", "train", random.Random(1), 9, labels=one_of(labels))
    starting, config = made(tmp_path, tmp_path / "cells")
    data, architecture = config.data, config.model.architecture
    assert (data.vocabulary, data.caption_vocabulary, data.prompt_language) == (*vocabularies, language)
    assert config.training.run_name == "cells" and labels[0].split("/")[0] in starting.yaml
    assert architecture is not None and (architecture.vocab_size > 512) == (language == "zh")


@pytest.mark.parametrize(
    ("label", "known", "flips", "hue"),
    [
        ("scarred leftover", (0.5, 0.6), (0.5, 0.5, 0.5), 0.02),
        ("screw", (0.5, 0.82), (0.5, 0.0, 0.0), 0.02),
        ("screw", (1.0, 0.6), (0.0, 0.0, 0.5), 0.02),
        ("screw", (1.0, 1.0), (0.0, 0.0, 0.0), 0.02),
        ("red wire", None, (0.5, 0.0, 0.0), 0.0),
        ("top screw", (0.5, 0.5), (0.5, 0.0, 0.0), 0.02),
        ("上方螺丝", (0.5, 0.5), (0.5, 0.0, 0.0), 0.02),
        ("left screw", (0.5, 0.5), (0.0, 0.0, 0.0), 0.02),
        ("左侧螺丝", (0.5, 0.5), (0.0, 0.0, 0.0), 0.02),
    ],
)
def test_pictures_are_turned_and_coloured_unless_they_or_their_descriptions_tell(
    label: str,
    known: tuple[float, float] | None,
    flips: tuple[float, ...],
    hue: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``known``: the shares of mirrored and of turned pictures that are known as such."""

    def told_apart(files: Sequence[Path]) -> symmetries.ToldApart | None:
        assert len(files) == 4 and all(file.is_file() for file in files)
        return known and symmetries.ToldApart(*known)

    monkeypatch.setattr(symmetries, "told_apart", told_apart)
    write_set(tmp_path / "data", "train", random.Random(1), 4, labels=lambda _: label)
    starting = make_starting_config(tmp_path / "data")
    changes = starting.config.data.augmentation
    assert (changes.horizontal_flip, changes.vertical_flip, changes.rotate90) == flips
    assert changes.hue == hue
    assert (f"off: {label!r}" in starting.yaml) == (label not in ("screw", "scarred leftover"))


def test_the_most_objects_decide_about_queries_and_about_small_images(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    Image.new("RGB", (60, 48)).save(data / "a.png")
    boxes = [[x, y, x + 5, y + 5] for x in range(0, 54, 5) for y in range(0, 42, 5)]
    line = {"images": ["a.png"], "objects": [{"bbox_2d": box, "desc": "cell"} for box in boxes]}
    (data / "train.jsonl").write_text(json.dumps(line) + "\n")
    starting, config = made(tmp_path, data)
    assert 6 * len(boxes) <= config.detection.detection_num_queries < 7 * len(boxes)
    assert config.data.min_pixels >= 14 * 14 * len(boxes)
    assert f"19 in 20 images have at most {len(boxes)}" in starting.yaml


def test_the_manifest_decides_about_pixels(voc: Any, tmp_path: Path) -> None:
    for name in "abcdef":
        voc.pair(name)
    options = ConvertOptions("voc", 784, 3136, teacher_pool=1, val_fraction=0.3, seed=0)
    convert(voc.root, tmp_path / "data", options)
    _, config = made(tmp_path, tmp_path / "data")
    limits = read_manifest(tmp_path / "data").limits
    assert limits is not None
    assert (config.data.min_pixels, config.data.max_pixels) == (limits.min_pixels, limits.max_pixels)
    assert config.data.teacher_pool is not None and config.data.num_teachers == 1


def test_more_images_need_fewer_passes_but_not_fewer_steps(tmp_path: Path) -> None:
    steps, passes = [], []
    for records in (1, 8, 400):
        data = tmp_path / str(records)
        write_set(data, "train", random.Random(1), min(records, 8), labels=lambda _: "cell")
        line = (data / "train.jsonl").read_text().splitlines()[0]
        (data / "train.jsonl").write_text(f"{line}\n" * records)
        _, config = made(tmp_path, data)
        training = config.training
        assert training.max_steps % training.eval_steps == 0
        assert training.per_device_train_batch_size <= records
        steps.append(training.max_steps)
        passes.append(training.max_steps * training.per_device_train_batch_size / records)
    assert steps == sorted(steps)
    assert passes[-1] < passes[1]


def test_a_file_of_any_name_and_a_root_elsewhere(tmp_path: Path) -> None:
    write_set(tmp_path / "pictures", "all", random.Random(1), 3, labels=lambda _: "cell")
    (tmp_path / "lists").mkdir()
    shutil.move(tmp_path / "pictures" / "all.jsonl", tmp_path / "lists" / "first list.jsonl")
    _, config = made(tmp_path, tmp_path / "lists", root=tmp_path / "pictures")
    assert config.data.root == tmp_path / "pictures"
    assert config.data.train == tmp_path / "lists" / "first list.jsonl"
    assert config.training.run_name == "first_list"


@pytest.mark.parametrize(("held_out", "patience"), [(19, None), (20, 3)])
def test_few_held_out_pictures_end_no_training(held_out: int, patience: int | None, tmp_path: Path) -> None:
    for name, records in (("train", 12), ("val", held_out)):
        write_set(tmp_path / "data", name, random.Random(0), records, labels=one_of(CLOSED))
    starting, config = made(tmp_path, tmp_path / "data")
    assert config.training.early_stopping_patience == patience
    assert any("by chance" in note for note in starting.notes) == (patience is None)


@pytest.mark.parametrize("seed", range(3))
def test_training_agrees_on_crowds(seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Empty images, held-out ones and demonstrations must count for both in the same way."""
    rng = random.Random(seed)
    for name in ("train", "val", "teacher_pool"):
        write_set(tmp_path / "data", name, rng, 12, labels=one_of(CLOSED), most=40)
    with caplog.at_level("WARNING"):
        made(tmp_path, tmp_path / "data")
    assert "would reach every object" not in caplog.text


# --- models ---------------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_ours_settles_the_head(scenes: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    _, config = made(tmp_path, scenes, model=str(tiny_checkpoint))
    section = config.detection
    assert config.model.model_path == tiny_checkpoint and config.model.architecture is None
    assert (section.detection_hidden_size, section.detection_caption_max_tokens) == (32, 6)
    assert section.detection_num_queries == 300  # the best so many vision tokens: no weights
    task = DetectionTask(config)
    assert config.model.transfer_vocab_size is not None
    assert task.model().get_input_embeddings().weight.shape[0] == len(task.processor.tokenizer)


@pytest.mark.parametrize(("kinds", "weight"), [(1, 50.0), (8, 25.0)])
def test_boxes_weigh_more(tiny_checkpoint: Path, tmp_path: Path, kinds: int, weight: float) -> None:
    labels = [f"kind{k}" for k in range(kinds)]
    write_set(tmp_path / "data", "train", random.Random(0), 45, labels=one_of(labels))
    starting, config = made(tmp_path, tmp_path / "data" / "train.jsonl", model=str(tiny_checkpoint))
    assert config.detection.detection_bbox_weight == weight
    assert config.detection.detection_giou_weight == weight * 0.4
    assert ("boxes are what is left" in starting.yaml) == (weight == 50.0)


def test_what_ships_is_the_default_and_has_a_name(
    scenes: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make_starting_config(scenes).config.model.model_path is None
    monkeypatch.setitem(MODELS, "argus-tiny", tiny_checkpoint)
    for model in (None, "argus-tiny"):
        _, config = made(tmp_path, scenes, model=model)
        assert str(config.model.model_path) == "argus-tiny"
    assert make_starting_config(scenes, model="random").config.model.architecture is not None


def test_a_stock_model_gets_a_new_head(scenes: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    _, config = made(tmp_path, scenes, model=str(tiny_checkpoint / "qwen"))
    assert config.training.vision_lr < 1e-4
    assert config.training.gradient_checkpointing
    DetectionTask(config).model()


def test_descriptions_too_long_for_the_head_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    write_set(tmp_path / "data", "train", random.Random(1), 3, labels=lambda _: "serial number 0123456789")
    with pytest.raises(CheckpointError, match="at most 6 tokens") as error:
        make_starting_config(tmp_path / "data", model=str(tiny_checkpoint))
    assert f"--model {tiny_checkpoint}/qwen" in str(error.value)
    made(tmp_path, tmp_path / "data", model=f"{tiny_checkpoint}/qwen")


@pytest.mark.parametrize("model", ["argus-tiny", "nothing", "empty", "other"])
def test_no_such_model(scenes: Path, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError) as error:
        make_starting_config(scenes, model=model)
    assert error.value.remedy


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "data", "said"),
    [
        ({}, "absent", "no such file or folder"),
        ({"a.txt": ""}, ".", "no other JSONL file"),
        ({"a.jsonl": "{}\n", "b.jsonl": "{}\n"}, ".", "a.jsonl, b.jsonl"),
        ({"blank.jsonl": "\n\n"}, "blank.jsonl", "holds no record"),
        ({"none.jsonl": '{"images": ["a.png"], "objects": []}\n'}, "none.jsonl", "nothing to learn"),
    ],
)
def test_nothing_to_train_on(tmp_path: Path, files: dict[str, str], data: str, said: str) -> None:
    Image.new("RGB", (60, 48)).save(tmp_path / "a.png")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        make_starting_config(tmp_path / data)


@pytest.mark.parametrize("good", [0, 3])
def test_bad_records_are_named(tmp_path: Path, good: int) -> None:
    rng = random.Random(0)
    write_set(tmp_path / "data", "train", rng, 3, labels=lambda _: "cell")
    file = tmp_path / "data" / "train.jsonl"
    lines = file.read_text().splitlines()[:good]
    file.write_text("\n".join([*lines, '{"images": ["gone.png"], "objects": []}', "{", "[]"]))
    with pytest.raises(DataError) as error:
        make_starting_config(tmp_path / "data")
    counts = "3 of 6 records cannot be used" if good else "none of 3 records can be used"
    for said in (counts, "gone.png", f"train.jsonl:{good + 2}", "argus data check"):
        assert said in str(error.value)


def test_a_box_outside_its_image_is_found_too(tmp_path: Path) -> None:
    Image.new("RGB", (60, 48)).save(tmp_path / "a.png")
    line = {"images": ["a.png"], "objects": [{"bbox_2d": [1, 1, 99, 40], "desc": "x"}]}
    (tmp_path / "train.jsonl").write_text(json.dumps(line))
    with pytest.raises(DataError, match="reaches outside"):
        make_starting_config(tmp_path)


def test_descriptions_of_any_characters_stay_in_their_comments(tmp_path: Path) -> None:
    nasty = ["a # b: c", "x\u2028y", 'q"uote', "tab\there", "\ufeffbom", "- list", "{brace}", "left\x85"]
    write_set(tmp_path / "data", "train", random.Random(1), 9, labels=one_of(nasty), most=9)
    starting, config = made(tmp_path, tmp_path / "data")
    assert config.data.train == tmp_path / "data" / "train.jsonl" and config.data.labels is None
    assert not set("\x85\u2028\ufeff") & set(starting.yaml)
