from __future__ import annotations

import json
from typing import Any

import pytest

from argusvl.detection.data.formats.base import Annotation
from argusvl.detection.data.formats.labelme import parse_labelme
from argusvl.detection.data.formats.text import JsonText, parse_json


def shape(points: Any, kind: str | None = "rectangle", label: Any = "screw") -> dict[str, Any]:
    stated = {} if kind is None else {"shape_type": kind}
    return {"label": label, "points": points, **stated, "flags": {}}


def document(*shapes: Any, **changes: Any) -> dict[str, Any]:
    return {"version": "5.5.0", "shapes": list(shapes), "imageWidth": 64, "imageHeight": 48, **changes}


def parse(value: Any) -> Annotation:
    read = parse_json(json.dumps(value, indent=1).encode(), "a.json")
    assert isinstance(read, JsonText)
    return parse_labelme(read)


@pytest.mark.parametrize(
    ("one", "box"),
    [
        (shape([[1, 2], [30, 40]]), (1, 2, 30, 40)),
        (shape([[30, 2], [1, 40]]), (1, 2, 30, 40)),
        (shape([[1, 2], [30, 2], [30, 40], [1, 40]]), (1, 2, 30, 40)),
        (shape([[1, 2], [30, 5.5], [7, 40]], "polygon"), (1, 2, 30, 40)),
        (shape([[1, 2], [30, 5.5], [7, 40]], None), (1, 2, 30, 40)),
        (shape([[20, 20], [23, 24]], "circle"), (15, 15, 25, 25)),
        (shape([[1, 2], [30, 40]], "mask"), (1, 2, 30, 40)),
    ],
)
def test_shapes_become_boxes(one: dict[str, Any], box: tuple[float, ...]) -> None:
    read = parse(document(one))
    assert (read.findings, read.size) == ((), (64, 48))
    assert read.objects[0].box_xyxy_px == box


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (shape([[1, 2], [3, 4]], "polygon"), "polygon-too-short"),
        (shape([[1, 2]]), "not-a-box"),
        (shape([[1, 2], [3, 4]], "line"), "not-a-box"),
        (shape([[1, 2]], "point"), "not-a-box"),
        (shape([[1, 2], [3, 4], [5, 6]], "linestrip"), "not-a-box"),
        (shape([[1, 2], [3, 4]], "blob"), "not-a-box"),
        (shape([[1, 2], [3, None]]), "box-not-a-number"),
        (shape([]), "box-not-a-number"),
        (shape("x"), "box-not-a-number"),
        (shape([[1, 2], [30, 40]], label=""), "empty-label"),
        (shape([[1, 2], [30, 40]], label=3), "empty-label"),
        ("shape", "malformed-annotation"),
    ],
)
def test_a_bad_shape_is_named_by_its_line_and_the_others_are_read(one: Any, kind: str) -> None:
    value = document(one, shape([[1, 2], [30, 40]]))
    read = parse(value)
    assert [(f.slug, f.where) for f in read.findings] == [(kind, "a.json:4")]
    assert [o.index for o in read.objects] == [1]
    assert len(read.entries) == 2


def test_files_without_shapes_or_size() -> None:
    for value in ({"version": "5"}, [1]):
        assert [f.slug for f in parse(value).findings] == ["malformed-annotation"]
    assert [f.slug for f in parse(document(imageWidth=None)).findings] == ["missing-size"]


def test_splits_by_folder_and_pairs_by_name(source: Any) -> None:
    for name in ("train/a", "valid/a", "b"):
        source.image(f"{name}.jpg")
        source.json(f"{name}.json", document())
    source.image("img/c.png")
    source.json("ann/c.json", document(imagePath="..\\img\\c.png"))
    listed = source.read("labelme")
    assert source.found(listed) == []
    splits = {"b.jpg": None, "img/c.png": None, "train/a.jpg": "train", "valid/a.jpg": "val"}
    assert source.splits(listed) == splits
