from __future__ import annotations

from typing import Any

import pytest
import yaml

from argusvl.core.errors import DataError
from argusvl.detection.data.formats.base import PlacedRecord, Source
from argusvl.detection.data.formats.yolo import parse_yolo, write_yolo
from argusvl.detection.data.records import ObjectAnnotation, Record, Scene

NAMES = {0: "screw", 1: "螺丝"}


def put(
    source: Any, config: dict[str, Any] | None, *images: str, labels: str = "0 0.5 0.5 0.5 0.5\n"
) -> Source:
    if config is not None:
        source.text("data.yaml", yaml.safe_dump({"names": NAMES, **config}, allow_unicode=True))
    for image in images:
        source.image(image)
        head, separator, tail = image.rpartition("images/")
        label = f"{head}labels/{tail}" if separator else image
        source.text(label.rsplit(".", 1)[0] + ".txt", labels)
    listed: Source = source.read("yolo")
    return listed


def test_boxes_and_polygons_are_fractions() -> None:
    read = parse_yolo(b"0 0.5 0.25 0.5 0.5\n\n1 0.1 0.2 0.4 0.2 0.4 0.9 \r\n", "a.txt", NAMES)
    assert read.findings == ()
    assert read.relative
    assert [(o.label, o.box_xyxy_px, o.where) for o in read.objects] == [
        ("screw", (0.25, 0.0, 0.75, 0.5), "a.txt:1"),
        ("螺丝", (0.1, 0.2, 0.4, 0.9), "a.txt:3"),
    ]


@pytest.mark.parametrize("line", ["0 0.833333 0.5 0.333335 1", "0 0.8334 0.5 0.3333 1", "0 0.95 0.5 0.1 1.0"])
def test_an_edge_outside_by_the_rounding_of_its_digits_lies_on_the_border(line: str) -> None:
    read = parse_yolo(line.encode(), "a.txt", NAMES)
    assert read.findings == ()
    assert read.objects[0].box_xyxy_px[2] == 1.0


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.9 0.5 0.3 0.5", "box-not-normalised"),
        ("0 0.9000 0.5 0.2003 0.5", "box-not-normalised"),
        ("0 320 240 100 100", "box-not-normalised"),
        ("0 -0.1 0.5 0.1 0.1", "box-not-normalised"),
        ("0 0.1 0.5 inf 0.1", "box-not-a-number"),
        ("2 0.5 0.5 0.5 0.5", "unknown-id"),
        ("0.5 0.5 0.5 0.5 0.5", "unknown-id"),
        ("nan 0.5 0.5 0.5 0.5", "box-not-a-number"),
        ("0 0.1 0.1 nan 0.1 0.2 0.3", "box-not-a-number"),
        ("screw 0.5 0.5 0.5 0.5", "box-not-a-number"),
        ("0 0.5 0.5 0.5", "box-not-a-number"),
        ("0 0.5 0.5 0.5 0.5 0.9", "box-not-a-number"),
        ("0 0.5 0,5 0.5 0.5", "box-not-a-number"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(line: str, kind: str) -> None:
    read = parse_yolo(f"1 0.5 0.5 0.1 0.1\n{line}\n1 0.5 0.5 0.2 0.2\n".encode(), "a.txt", NAMES)
    assert [(f.slug, f.where) for f in read.findings] == [(kind, "a.txt:2")]
    assert [o.index for o in read.objects] == [0, 2]
    assert len(read.entries) == 3


@pytest.mark.parametrize(
    ("config", "folders"),
    [
        ({"train": "images/train", "val": "images/val"}, ("images/train", "images/val")),
        ({"path": ".", "train": ["images/train"], "val": "images/val"}, ("images/train", "images/val")),
        ({"path": "/gone", "train": "images/train", "val": "images/val/"}, ("images/train", "images/val")),
        ({"train": "../train/images", "val": "../valid/images"}, ("train/images", "valid/images")),
    ],
)
def test_the_layouts_of_data_yaml(source: Any, config: Any, folders: tuple[str, str]) -> None:
    listed = put(source, config, *(f"{folder}/a.jpg" for folder in folders))
    assert source.found(listed) == []
    assert [image.split for image in listed.images] == ["train", "val"]
    assert [len(image.annotate().objects) for image in listed.images] == [1, 1]


def test_names_may_be_a_list_and_lists_of_images_are_followed(source: Any) -> None:
    source.text("train.txt", "./images/a.jpg\nimages/gone.jpg\n")
    listed = put(
        source, {"names": ["screw", "nut"], "train": "train.txt", "val": "train.txt"}, "images/a.jpg"
    )
    assert source.splits(listed) == {"a.jpg": "train"}
    assert source.found(listed) == [("missing-image", "train.txt:2")]


def test_a_classes_txt_is_enough(source: Any) -> None:
    source.text("classes.txt", "screw\n螺丝\n")
    listed = put(source, None, "images/val/a.jpg", "b.jpg")
    assert source.found(listed) == []
    assert source.splits(listed) == {"b.jpg": None, "val/a.jpg": "val"}


def test_an_image_of_two_splits_stays_in_the_one_held_out(source: Any) -> None:
    listed = put(
        source, {"train": ["images/a", "images/b"], "val": "images/b"}, "images/a/x.jpg", "images/b/y.jpg"
    )
    assert source.splits(listed) == {"a/x.jpg": "train", "b/y.jpg": "val"}
    assert [f.slug for f in listed.findings] == ["split-overlap"]


def test_a_label_file_for_no_image_and_an_image_without_one(source: Any) -> None:
    source.text("labels/train/lost.txt", "0 0.5 0.5 0.1 0.1")
    source.image("images/train/bare.jpg")
    listed = put(source, {"train": "images/train", "val": "images/train"}, "images/train/a.jpg")
    assert source.found(listed) == [
        ("annotation-without-image", "labels/train/lost.txt"),
        ("no-label-file", "images/train/bare.jpg"),
    ]
    assert listed.refused_images == 1
    assert {image.name: len(image.annotate().objects) for image in listed.images} == {
        "train/a.jpg": 1,
        "train/bare.jpg": 0,
    }


def test_a_folder_that_the_yaml_names_in_vain_is_found(source: Any) -> None:
    listed = put(source, {"train": "images/train", "val": "images/vall"}, "images/train/a.jpg")
    assert source.found(listed) == [("missing-image", "data.yaml")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: images", "no names"),
        ("names: [screw, true]", "quote words such as on and off"),
        ("names: {x: screw}", "number: name"),
        ("nc: 3\nnames: [screw]", "nc is 3, but 1 classes have names"),
        ("names: [", r"data\.yaml:1: not valid YAML: expected the node content"),
        ("- a", "holds no keys"),
        ("names: [é]".encode("latin-1"), "neither UTF-8"),
    ],
)
def test_a_yaml_that_names_no_classes_is_an_error(source: Any, text: str | bytes, said: str) -> None:
    source.text("data.yaml", text)
    with pytest.raises(DataError, match=said):
        source.read("yolo")


def test_a_yaml_in_another_encoding_is_a_finding(source: Any) -> None:
    put(source, {"names": ["screw"], "train": "images"}, "images/a.jpg")
    source.text("data.yaml", "names: [螺丝, 挡风板]\ntrain: images\n".encode("gb2312"))
    assert ("encoding-guessed", "data.yaml") in source.found(source.read("yolo"))


def test_nothing_of_the_kind_is_an_error(source: Any) -> None:
    with pytest.raises(DataError, match=r"neither data\.yaml nor classes\.txt"):
        source.read("yolo")
    source.text("classes.txt", "a\na\n")
    with pytest.raises(DataError, match="names 'a' twice"):
        source.read("yolo")
    with pytest.raises(DataError, match="leave out --pixel-offset"):
        source.read("yolo", pixel_offset=1)


@pytest.mark.parametrize("label", ["0\x85", "a\u2028b", "on", "no", "1e3", "螺丝: 未拧紧"])
def test_any_label_is_read_back_by_the_yaml_that_ultralytics_uses(label: str) -> None:
    image = "images/train/a.jpg"
    record = Record(Scene((image,), (ObjectAnnotation((0, 0, 5, 5), label),)))
    written = dict(write_yolo([PlacedRecord("train", record, {image: (10, 10)})], "en"))
    assert yaml.safe_load(written["data.yaml"])["names"] == {0: label}
