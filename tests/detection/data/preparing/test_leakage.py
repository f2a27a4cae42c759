"""What is said of pictures that stand in a data set more than once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argusvl.detection.data.preparing.check import CheckOptions, CheckReport, check_records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures of coloured squares, each another, and a few ways to have ``0.png`` again."""
    for number in range(4):
        rng = np.random.default_rng(number)
        squares = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(squares).resize((128, 96), Image.Resampling.BICUBIC).save(tmp_path / f"{number}.png")
    first = Image.open(tmp_path / "0.png")
    (tmp_path / "same.png").write_bytes((tmp_path / "0.png").read_bytes())
    first.resize((116, 87)).save(tmp_path / "smaller.jpg", quality=70)
    marked = first.copy()
    marked.paste((255, 255, 255), (60, 40, 68, 48))
    marked.save(tmp_path / "marked.png")
    return tmp_path


def check(folder: Path, **splits: list[str]) -> CheckReport:
    for name, images in splits.items():
        lines = [json.dumps({"images": [i], "objects": [_box(0)]}) for i in images]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return check_records(folder, CheckOptions())


def _box(x: int) -> dict[str, object]:
    return {"bbox_2d": [x, 0, x + 50, 50], "desc": "square"}


def found(report: CheckReport) -> list[tuple[str, str, str | None]]:
    kinds = ("split-overlap", "split-copy", "split-view", "copy-in-split")
    return [(f.slug, f.severity, f.numbers["image"]) for f in report.findings if f.slug in kinds]


@pytest.mark.parametrize(
    ("copy", "kind", "severity", "said"),
    [
        ("0.png", "split-overlap", "error", "stands in val and in train"),
        ("same.png", "split-copy", "error", "is the same file as 0.png in train"),
        ("smaller.jpg", "split-copy", "error", "encoded again, resized or brightened) of 0.png in train"),
        ("marked.png", "split-view", "warning", "shows nearly the same as 0.png in train"),
    ],
)
def test_a_picture_of_train_in_val(folder: Path, copy: str, kind: str, severity: str, said: str) -> None:
    report = check(folder, train=["1.png", "0.png"], val=["2.png", copy])
    assert found(report) == [(kind, severity, copy)]
    one = next(f for f in report.findings if f.slug == kind)
    assert said in one.what
    assert "train.jsonl:2" in one.what
    assert one.where.endswith("val.jsonl:2")


def test_the_teacher_pool_is_a_split_too(folder: Path) -> None:
    report = check(folder, train=["0.png"], test=["1.png"], teacher_pool=["same.png", "2.png"])
    assert found(report) == [("split-copy", "error", "same.png")]


def test_copies_within_a_split_are_warned_of_and_views_are_not(folder: Path) -> None:
    report = check(folder, train=["0.png", "smaller.jpg", "same.png"], val=["1.png"])
    assert sorted(found(report)) == [
        ("copy-in-split", "warning", "same.png"),
        ("copy-in-split", "warning", "smaller.jpg"),
    ]
    (folder / "val.jsonl").unlink()
    assert found(check(folder, train=["0.png", "marked.png"])) == []


def test_an_image_annotated_on_two_lines_is_named_with_both(folder: Path) -> None:
    lines = [{"images": ["0.png"], "objects": [_box(0)]}, {"images": ["0.png"], "objects": [_box(60)]}]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, [*lines, lines[0]])))
    report = check_records(folder, CheckOptions())
    said = [f.what for f in report.findings if f.slug == "copy-in-split"]
    assert ["with other objects" in said[0], "with the same objects" in said[1]] == [True, True]


def test_a_window_of_several_images_may_share_them_with_the_next(folder: Path) -> None:
    lines = [{"images": [f"{k}.png", f"{k + 1}.png"], "objects": []} for k in range(3)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert found(check_records(folder, CheckOptions())) == []
