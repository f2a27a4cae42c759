from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from argusvl.detection.data.formats import format_of
from argusvl.detection.data.formats.base import ReadOptions, Source, json_by_lines


def document(**changes: Any) -> dict[str, Any]:
    """Two images, two categories, one box and one outline; each entry stands on a line of its own when indented."""
    return {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48},
            {"id": 9, "file_name": "b.jpg", "width": 64, "height": 48},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [4, 5, 20.5, 30]},
            {
                "id": 2,
                "image_id": 7,
                "category_id": 1,
                "segmentation": [[1, 2, 30, 2, 30, 40], [0, 9, 2, 9, 2, 10]],
            },
        ],
        "categories": [{"id": 1, "name": "screw"}, {"id": 3, "name": "螺丝/已安装"}],
        **changes,
    }


def put(source: Any, value: Any, **keywords: Any) -> Source:
    source.image("a.jpg")
    source.image("b.jpg")
    source.json("coco.json", value, **keywords)
    listed: Source = source.read("coco")
    return listed


def test_boxes_outlines_and_images_without_any_are_read(source: Any) -> None:
    listed = put(source, document())
    assert source.found(listed) == []
    first, second = (image.annotate() for image in listed.images)
    assert source.objects(first) == [("螺丝/已安装", (4, 5, 24.5, 35)), ("screw", (0, 2, 30, 40))]
    assert (first.size, second.objects, len(second.entries)) == ((64, 48), (), 0)


@pytest.mark.parametrize(
    ("annotations", "images", "splits"),
    [
        ("annotations/instances_train2017.json", "train2017", ["train"]),
        ("annotations/instances_val2017.json", "images/val2017", ["val"]),
        ("annotations/instances_test.json", "images", ["test"]),
        ("train/_annotations.coco.json", "train", ["train"]),
        ("valid/_annotations.coco.json", "valid", ["val"]),
        ("train.json", "images/train", ["train"]),
        ("labels.json", "data", [None]),
    ],
)
def test_the_trees_of_the_common_tools(source: Any, annotations: str, images: str, splits: list[Any]) -> None:
    source.image(f"{images}/a.jpg")
    source.image(f"{images}/b.jpg")
    source.json(annotations, document())
    source.json("annotations/captions_train2017.json", {"no": "instances"})
    listed = source.read("coco")
    assert source.found(listed) == []
    assert [image.name for image in listed.images] == [f"{images}/a.jpg", f"{images}/b.jpg"]
    assert [image.split for image in listed.images] == splits * 2


def test_a_file_may_be_named_itself_and_stale_folders_in_it_do_no_harm(source: Any) -> None:
    value = document()
    value["images"][0]["file_name"] = "C:\\photos\\old\\a.jpg"
    value["images"][1]["file_name"] = "/somewhere/else/b.jpg"
    put(source, value)
    listed = source.read("coco", "coco.json")
    assert source.found(listed) == []
    assert [image.name for image in listed.images] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_a_file_without_one_of_its_parts_is_named(source: Any, key: str) -> None:
    value = document()
    del value[key]
    listed = put(source, value)
    assert [(f.slug, f.where) for f in listed.findings] == [("malformed-annotation", "coco.json:1")]
    assert f"lacks {key}" in listed.findings[0].what


OWNED = {"image_id": 7, "category_id": 1}
BOX = {"bbox": [1, 2, 3, 4]}
BAD_ENTRIES: dict[str, tuple[Any, str]] = {
    "unknown image": (OWNED | BOX | {"image_id": 8}, "unknown-id"),
    "no image": ({"category_id": 1} | BOX, "unknown-id"),
    "unknown category": (OWNED | BOX | {"category_id": 2}, "unknown-id"),
    "category of a type that no id has": (OWNED | BOX | {"category_id": [1]}, "unknown-id"),
    "three numbers": (OWNED | {"bbox": [1, 2, 3]}, "box-not-a-number"),
    "text": (OWNED | {"bbox": [1, 2, 3, "4"]}, "box-not-a-number"),
    "nothing": (OWNED, "box-not-a-number"),
    "two points": (OWNED | {"segmentation": [[1, 2, 3, 4]]}, "polygon-too-short"),
    "one point thrice": (OWNED | {"segmentation": [[1, 2] * 3]}, "polygon-too-short"),
    "odd": (OWNED | {"segmentation": [[1, 2, 3, 4, 5]]}, "box-not-a-number"),
    "mask": (OWNED | {"segmentation": {"counts": [1], "size": [2, 2]}}, "not-a-box"),
    "crowd": (OWNED | BOX | {"iscrowd": 1}, "crowd-region"),
    "no object": (["image_id"], "unknown-id"),
}


@pytest.mark.parametrize(("entry", "kind"), BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_a_bad_annotation_is_named_by_its_line(source: Any, entry: Any, kind: str) -> None:
    value = document()
    value["annotations"].insert(1, entry)
    source.text("coco.json", json_by_lines(value))
    for name in ("a.jpg", "b.jpg"):
        source.image(name)
    listed = source.read("coco")
    assert source.found(listed) == [(kind, "coco.json:8")]
    assert len(listed.images[0].annotate().objects) == 2


def test_a_box_that_is_none_will_be_reported_with_its_line(source: Any) -> None:
    value = document()
    value["annotations"][0]["bbox"] = [4, 5, -1, 30]
    listed = put(source, value, indent=1)
    bad, good = listed.images[0].annotate().objects
    text = (source.root / "coco.json").read_text("utf-8").splitlines()
    line = int(bad.where.rsplit(":", 1)[1])
    assert text[line] == '   "id": 1,'
    assert good.where == "coco.json: annotations[1]"


def test_repeated_ids_and_entries_without_any_are_named(source: Any) -> None:
    value = document()
    value["categories"] += [{"id": 1, "name": "other"}, {"name": "no id"}, {"id": 4, "name": " "}]
    value["images"] += [{"id": 7, "file_name": "b.jpg"}, {"id": 10}, {"id": 11, "file_name": "b.jpg"}]
    listed = put(source, value)
    kinds = sorted(kind for kind, _ in source.found(listed))
    assert kinds == sorted(
        ["duplicate-id"] * 2 + ["malformed-annotation"] * 3 + ["listed-twice", "missing-size"]
    )
    assert [image.name for image in listed.images] == ["a.jpg", "b.jpg"]


def listed_twice(source: Any, second: dict[str, Any]) -> Source:
    """Its second entry repeats the box of the first and has one of its own."""
    value = document()
    value["images"] += [{"id": 11, "file_name": "a.jpg", "width": 64, "height": 48, **second}]
    repeated = {**value["annotations"][0], "image_id": 11}
    value["annotations"] += [repeated, {**repeated, "bbox": [1, 1, 2, 2]}]
    return put(source, value, indent=1)


def test_the_objects_of_an_image_that_is_listed_twice_are_joined(source: Any) -> None:
    listed = listed_twice(source, {})
    [(found, where)] = source.found(listed)
    text = (source.root / "coco.json").read_text("utf-8").splitlines()
    assert found == "listed-twice" and text[int(where.split(":")[1])] == '   "id": 11,'
    assert "listed 2 times; its 3 objects were joined, and 1 that stood twice" in listed.findings[0].what
    first, second = (image.annotate() for image in listed.images)
    assert [box for _, box in source.objects(first)] == [(4, 5, 24.5, 35), (0, 2, 30, 40), (1, 1, 3, 3)]
    assert [one.index for one in first.objects] == [0, 1, 2]
    assert not second.entries and not listed.refused_images


def test_entries_of_one_image_that_contradict_each_other_are_an_error(source: Any) -> None:
    listed = listed_twice(source, {"width": 128})
    assert [kind for kind, _ in source.found(listed)] == ["listings-differ"]
    assert "as 64×48, and here as 128×48: of this entry, 2 objects cannot be used" in listed.findings[0].what
    assert len(listed.images[0].annotate().objects) == 2
    assert (listed.refused_images, listed.refused_objects) == (0, 2)


def test_an_image_in_two_splits_is_an_error_and_stays_in_the_first(source: Any) -> None:
    source.image("images/a.jpg")
    for split in ("train", "val"):
        one = document(images=document()["images"][:1])
        source.json(f"annotations/instances_{split}.json", one)
    listed = source.read("coco")
    assert source.found(listed) == [("listings-differ", "annotations/instances_val.json:1")]
    assert "as train, and here as val" in listed.findings[0].what
    assert [(one.name, one.split) for one in listed.images] == [("images/a.jpg", "train")]
    assert listed.refused_objects == 2


def test_absent_images_are_refused_and_unlisted_ones_are_said(source: Any) -> None:
    source.image("a.jpg")
    source.image("extra.jpg")
    source.json("coco.json", document())
    listed = source.read("coco")
    assert source.found(listed) == [("missing-image", "coco.json:1"), ("not-listed", ".")]
    assert listed.refused_images == 1


def test_a_category_that_no_file_uses_is_said_once(source: Any) -> None:
    categories = [{"id": 1, "name": "screw"}, {"id": 3, "name": "nut"}, {"id": 4, "name": "things"}]
    for split, image, used in (("train", "a.jpg", 1), ("valid", "b.jpg", 3)):
        source.image(f"{split}/{image}")
        entry = {"id": 1, "image_id": 7, "category_id": used, "bbox": [1, 2, 3, 4]}
        images = [{"id": 7, "file_name": image, "width": 64, "height": 48}]
        value = document(images=images, annotations=[entry], categories=categories)
        source.json(f"{split}/_annotations.coco.json", value)
    listed = source.read("coco")
    assert [(f.slug, f.severity) for f in listed.findings] == [("unused-category", "warning")]
    assert "1 of 3 categories has no object: 'things'" in listed.findings[0].what


def test_a_real_set_keeps_the_splits_of_its_folders(shared_data: Callable[[str], Path]) -> None:
    listed = format_of("coco").read(shared_data("chess"), ReadOptions())
    assert Counter(image.split for image in listed.images) == {"train": 202, "val": 58, "test": 29}
    assert [f.slug for f in listed.findings] == ["unused-category"]
    assert "'pieces'" in listed.findings[0].what
    labels = Counter(o.label for image in listed.images for o in image.annotate().objects)
    assert (labels["bishop"], labels.total()) == (1, 2870)
