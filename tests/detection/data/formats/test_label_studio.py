from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from argusvl.core.errors import DataError


def region(label: str = "cell", **changes: Any) -> dict[str, Any]:
    value = {"x": 25, "y": 50, "width": 50, "height": 25, "rotation": 0, "rectanglelabels": [label]}
    value |= changes.pop("value", {})
    sides = {"original_width": 64, "original_height": 48, "image_rotation": 0}
    return {"id": "a", "type": "rectanglelabels", **sides, "value": value, **changes}


def task(*regions: Any, image: str = "a.jpg", **changes: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": list(regions)}], **changes}


def read(source: Any, *tasks: Any, image: str = "a.jpg") -> Any:
    source.image(image)
    source.json("export.json", tasks)
    return source.read("label-studio")


@pytest.mark.parametrize(
    "address",
    [
        "/data/local-files/?d=images/a%20b.jpg",
        "http://127.0.0.1:8080/data/local-files/?d=images/a%20b.jpg",
        "/data/upload/3/0123abcd-a%20b.jpg",
        "s3://bucket/folder/a%20b.jpg",
        "images/a b.jpg",
        "/somewhere/else/a b.jpg",
    ],
)
def test_an_image_is_found_by_whatever_address_a_task_has(address: str, source: Any) -> None:
    listed = read(source, task(region(), image=address), image="images/a b.jpg")
    assert source.found(listed) == []
    annotation = listed.images[0].annotate()
    assert annotation.size == (64, 48) and annotation.relative
    assert source.objects(annotation) == [("cell", (0.25, 0.5, 0.75, 0.75))]


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (region(value={"rotation": 30}), "not-a-box"),
        (region(image_rotation=90), "not-a-box"),
        (region(type="polygonlabels", value={"points": [[1, 2], [3, 4], [5, 1]]}), "not-a-box"),
        (region(type="ellipselabels"), "not-a-box"),
        (region(type="keypointlabels"), "not-a-box"),
        (region(value={"x": "wide"}), "box-not-a-number"),
        (region(value={"rectanglelabels": []}), "empty-label"),
        (region(value={"rectanglelabels": ["a", "b"]}), "malformed-annotation"),
        (region(type="choices"), "left-out"),
        ("region", "malformed-annotation"),
    ],
)
def test_what_is_no_box_is_refused_by_name(one: Any, kind: str, source: Any) -> None:
    listed = read(source, task(one, region("other")))
    assert [slug for slug, _ in source.found(listed)] == [kind]
    assert [o.label for o in listed.images[0].annotate().objects] == ["other"]


def test_two_tasks_of_one_picture_are_joined_and_equal_boxes_are_one(source: Any) -> None:
    empty, both = task(), task(region(), region("other"))
    listed = read(source, task(region()), both, task(annotations=[]), empty)
    assert [slug for slug, _ in source.found(listed)] == ["listed-twice", "image-without-annotation"]
    annotation = listed.images[0].annotate()
    assert annotation.usable and annotation.size == (64, 48)
    assert [one.label for one in annotation.objects] == ["cell", "other"]


def test_a_prediction_is_nobodys_label(source: Any) -> None:
    listed = read(source, task(annotations=[], predictions=[{"result": [region()]}]))
    assert [kind for kind, _ in source.found(listed)] == ["image-without-annotation"]
    assert not listed.images[0].annotate().usable


def test_the_ground_truth_is_used_and_a_cancelled_answer_never(source: Any) -> None:
    answers = [
        {"result": [region("true")], "ground_truth": True},
        {"result": [region("late")]},
        {"result": [region("skipped")], "was_cancelled": True},
    ]
    listed = read(source, task(annotations=answers))
    assert [kind for kind, _ in source.found(listed)] == ["left-out"]
    assert [o.label for o in listed.images[0].annotate().objects] == ["true"]


@pytest.mark.parametrize("image", ["../secret.jpg", "/data/local-files/?d=../secret.jpg", "..%2Fsecret.jpg"])
def test_an_image_outside_of_the_folder_is_not_read(image: str, source: Any) -> None:
    source.image("../secret.jpg")
    listed = read(source, task(region(), image=image))
    assert listed.images == [] and [one.slug for one in listed.findings] == ["missing-image"]


def test_a_pixel_offset_is_refused(source: Any) -> None:
    source.json("export.json", [])
    with pytest.raises(DataError, match="shares of the image"):
        source.read("label-studio", pixel_offset=1)


@pytest.mark.parametrize(
    "value", [{}, 3, [3], [{"data": {}}], [{"data": {"image": 3}}], [{"data": {"image": "//["}}]]
)
def test_what_is_no_task_is_a_finding(value: Any, source: Any) -> None:
    source.text("export.json", json.dumps(value))
    listed = source.read("label-studio")
    assert [kind for kind, _ in source.found(listed)] == ["malformed-annotation"]


def test_what_a_real_label_studio_has_exported_is_read_whole(source: Any) -> None:
    recorded = Path(__file__).with_name("label_studio_export.json").read_text("utf-8")
    tasks = json.loads(recorded)
    for one in tasks:
        source.image(f"images/{one['data']['image'].rpartition('/')[2]}", (364, 252))
    source.text("export.json", recorded)
    listed = source.read("label-studio")
    assert source.found(listed) == []
    assert len(listed.images) == len(tasks) == 3
    for entry, one in zip(listed.images, tasks, strict=True):
        annotation, stated = entry.annotate(), one["annotations"][0]["result"]
        assert annotation.size == (364, 252)
        assert [o.label for o in annotation.objects] == [r["value"]["rectanglelabels"][0] for r in stated]
        for shown, wanted in zip(annotation.objects, stated, strict=True):
            left, top, right, bottom = shown.box_xyxy_px
            sides = (left, top, right - left, bottom - top)
            names = ("x", "y", "width", "height")
            assert sides == pytest.approx([wanted["value"][name] / 100 for name in names])
