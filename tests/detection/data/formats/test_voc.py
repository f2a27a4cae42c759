from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from argusvl.core.errors import DataError
from argusvl.detection.data.formats.base import Annotation, ReadOptions, Source
from argusvl.detection.data.formats.voc import parse_voc, read_voc
from argusvl.detection.data.preparing.inspection import inspect_image


def test_corners_stand_in_any_order_and_parts_have_boxes_of_their_own() -> None:
    text = (
        "<annotation><size>\n <width> 64 </width><height>48</height></size>"
        "<object><part><name>head</name><bndbox><xmin>0</xmin></bndbox></part><name>cell</name>"
        "<bndbox><xmax>30.5</xmax><xmin>1</xmin><ymax>40</ymax><ymin>2</ymin></bndbox></object></annotation>"
    )
    read = parse_voc(text.encode(), "a.xml")
    assert (read.findings, read.size) == ((), (64, 48))
    assert [(o.label, o.box_xyxy_px) for o in read.objects] == [("cell", (1, 2, 30.5, 40))]


def kinds(read: Annotation | Source) -> list[str]:
    return [f.slug for f in read.findings]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<annotation>\n<object>\n</annotation>", "mismatched tag"),
        (
            '<!DOCTYPE a [<!ENTITY e "ha"><!ENTITY f "&e;&e;">]><annotation><filename>&f;</filename></annotation>',
            "entities",
        ),
        ("<svg/>", "<svg>, not <annotation>"),
    ],
    ids=["broken", "bomb", "another kind"],
)
def test_a_document_that_cannot_be_used_is_a_finding_with_its_line(text: str, said: str) -> None:
    read = parse_voc(text.encode(), "x/a.xml")
    assert not read.usable
    assert kinds(read) == ["malformed-xml"]
    assert read.findings[0].where == f"x/a.xml:{len(text.splitlines())}"
    assert said in read.findings[0].what


def test_chinese_names_in_any_declared_encoding(voc: Any) -> None:
    text = voc.xml([("螺丝/已安装", (1, 2, 3, 4))])
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        for declared in ("", '<?xml version="1.0"?>', f'<?xml version="1.0" encoding="{encoding[:6]}"?>'):
            read = parse_voc((declared + text).encode(encoding), "a.xml")
            assert [o.label for o in read.objects] == ["螺丝/已安装"], (encoding, declared)
            assert read.findings == ()
    for encoding in ("gb2312", "GBK", "gb18030", "big5"):
        declared = f"<?xml version='1.0' encoding='{encoding}' ?>\n"
        name = "螺絲" if encoding == "big5" else "螺丝"
        content = (declared + voc.xml([(name, (1, "five", 3, 4)), (name, (1, 2, 3, 4))])).encode(encoding)
        read = parse_voc(content, "a.xml")
        assert [o.label for o in read.objects] == [name]
        assert read.findings[0].where == "a.xml:4"
    for declared in ("gb2312", "klingon"):
        broken = f'<?xml version="1.0" encoding="{declared}"?>'.encode() + text.encode("utf-8") + b"\xff"
        assert kinds(parse_voc(broken, "a.xml")) == ["malformed-xml"]
    guessed = parse_voc(text.encode("gbk"), "a.xml")
    assert [o.label for o in guessed.objects] == ["螺丝/已安装"] and kinds(guessed) == ["encoding-guessed"]


@pytest.mark.parametrize("size", [None, ("", ""), (0, 0), ("wide", 48), (64, -1), (64.5, 48)])
def test_a_missing_size_is_said_and_the_rest_is_read(voc: Any, size: tuple[object, object] | None) -> None:
    read = parse_voc(voc.xml([("cell", (1, 2, 3, 4))], size=size).encode(), "a.xml")
    assert kinds(read) == ["missing-size"]
    assert read.findings[0].severity == "warning"
    assert read.size is None
    assert len(read.objects) == 1


@pytest.mark.parametrize("value", ["ten", "", "1_000", "1,5", "0x10", "nan", "inf", "1e400"])
def test_a_coordinate_that_is_no_number_refuses_its_object_only(voc: Any, value: str) -> None:
    read = parse_voc(voc.xml([("cell", (1, 2, 3, 4)), ("cell", (1, value, 3, 4))]).encode(), "a.xml")
    assert [o.index for o in read.objects] == [0]
    assert kinds(read) == ["box-not-a-number"]
    found = read.findings[0]
    assert (found.where, found.numbers["object_index"], found.numbers["label"]) == ("a.xml:4", 1, "cell")
    assert found.numbers["box"] == (1, value, 3, 4)
    assert len(read.entries) == 2


def test_a_box_without_a_corner_says_which() -> None:
    text = b"<annotation><object><name>cell</name><bndbox><xmin>1</xmin><ymin>1</ymin></bndbox></object></annotation>"
    found = parse_voc(text, "a.xml").findings[-1]
    assert found.slug == "box-not-a-number"
    assert "lacks xmax, ymax" in found.what
    no_box = parse_voc(b"<annotation><object><name>cell</name></object></annotation>", "a.xml").findings[-1]
    assert "lacks xmin, ymin, xmax, ymax" in no_box.what


@pytest.mark.parametrize("name", ["", "  \n "])
def test_an_empty_name_is_a_finding(voc: Any, name: str) -> None:
    read = parse_voc(voc.xml([(name, (1, 2, 3, 4))]).encode(), "a.xml")
    assert kinds(read) == ["empty-label"]
    assert read.objects == ()


# --- listing --------------------------------------------------------------------------------------------------------


def listing(folder: Path) -> Source:
    return read_voc(folder, ReadOptions())


def splits(source: Source) -> dict[str, str | None]:
    return {image.name: image.split for image in source.images}


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        (
            {"train": ["a", "b"], "val": ["c"], "trainval": ["a", "b", "c"], "test": ["d"]},
            {"a.jpg": "train", "b.jpg": "train", "c.jpg": "val", "d.jpg": "test"},
        ),
        # trainval stands for the split that has no file; alone it is left to be split.
        ({"train": ["a"], "trainval": ["a", "b"]}, {"a.jpg": "train", "b.jpg": "val"}),
        ({"trainval": ["a", "b"], "test": ["c"]}, {"a.jpg": None, "b.jpg": None, "c.jpg": "test"}),
    ],
)
def test_a_tree_brings_its_splits(voc: Any, lists: dict[str, list[str]], expected: dict[str, Any]) -> None:
    voc.tree(lists)
    source = listing(voc.root)
    assert source.findings == []
    assert splits(source) == expected
    read = source.images[0].annotate()
    assert read.where.startswith("Annotations/")
    assert len(read.objects) == 1


def test_an_image_in_two_splits_is_found_and_held_out(voc: Any) -> None:
    voc.tree({"train": ["a", "b"], "test": ["b"]})
    source = listing(voc.root)
    assert splits(source) == {"a.jpg": "train", "b.jpg": "test"}
    assert [(f.slug, f.where) for f in source.findings] == [("split-overlap", "ImageSets/Main/train.txt:2")]


def test_listed_but_absent_files_are_found_by_line(voc: Any) -> None:
    voc.tree({"train": ["a", "b", "c"]})
    (voc.root / "JPEGImages/b.jpg").unlink()
    (voc.root / "Annotations/c.xml").unlink()
    source = listing(voc.root)
    assert splits(source) == {"a.jpg": "train"}
    assert {f.slug: f.where for f in source.findings} == {
        "missing-image": "ImageSets/Main/train.txt:2",
        "image-without-annotation": "ImageSets/Main/train.txt:3",
    }
    assert source.refused_images == 2


def test_a_list_of_one_class_is_told_from_that_of_a_split(voc: Any) -> None:
    voc.tree({"train": ["a", "b"]})
    voc.text("ImageSets/Main/train.txt", "a -1\nb  1\n")
    told = [found.what for found in listing(voc.root).findings if found.slug == "missing-image"]
    assert len(told) == 2 and all("names alone" in text for text in told)


def test_repeated_lines_empty_lists_and_unlisted_images_are_said(voc: Any) -> None:
    voc.tree({"train": ["a", "a"], "val": []})
    voc.image("JPEGImages/extra.jpg")
    source = listing(voc.root)
    assert sorted(kinds(source)) == ["empty-split", "listed-twice", "not-in-a-split"]
    assert splits(source) == {"a.jpg": "train"}


def test_a_flat_folder_pairs_by_name_in_each_sub_folder_and_passes_over_hidden_files(voc: Any) -> None:
    voc.pair("day/a")
    voc.pair("night/a", suffix=".png")
    voc.pair("night/柜 1.2", suffix=".JPG")
    voc.text("._a.xml", b"resource fork")
    voc.text(".cache/b.xml", b"")
    source = listing(voc.root)
    assert source.findings == []
    assert splits(source) == {"day/a.jpg": None, "night/a.png": None, "night/柜 1.2.JPG": None}


def test_annotations_and_images_in_two_folders_without_splits(voc: Any) -> None:
    voc.image("JPEGImages/a.jpg")
    voc.text("Annotations/a.xml", voc.xml())
    assert splits(listing(voc.root)) == {"a.jpg": None}


def test_xml_without_image_and_image_without_xml_are_found(voc: Any) -> None:
    voc.pair("a")
    voc.text("0.xml", voc.xml())  # a copy that names a.jpg still
    voc.text("b.xml", voc.xml().replace("a.jpg", "b.jpg"))
    voc.image("c.jpg")
    source = listing(voc.root)
    assert [(f.slug, f.where) for f in source.findings] == [
        ("listed-twice", "0.xml"),
        ("annotation-without-image", "b.xml"),
        ("image-without-annotation", "c.jpg"),
    ]
    assert splits(source) == {"a.jpg": None}


def test_of_two_images_with_one_name_the_one_that_the_xml_names_is_used(voc: Any) -> None:
    voc.pair("a", suffix=".png")
    voc.image("a.jpg")
    source = listing(voc.root)
    assert splits(source) == {"a.png": None}
    assert [(f.slug, f.where) for f in source.findings] == [("image-without-annotation", "a.jpg")]


@pytest.mark.parametrize("target", ["gone", "/nowhere/gone"])
def test_a_link_that_points_nowhere_is_told_as_one(voc: Any, target: str) -> None:
    for name, linked in (("a", "a.jpg"), ("b", "b.xml")):
        voc.pair(name)
        (voc.root / linked).unlink()
        (voc.root / linked).symlink_to(target)
    source = listing(voc.root)
    assert source.findings == []
    found = [
        one
        for image in source.images
        for one in inspect_image(image.path, image.name, image.annotate()).findings
    ]
    assert [(one.slug, one.where) for one in found] == [
        ("missing-image", "a.xml"),
        ("malformed-annotation", "b.xml"),
    ]
    assert all(f"the link points nowhere: there is no {target!r}" in one.what for one in found)


def test_a_name_that_is_not_utf8_is_found(voc: Any) -> None:
    voc.pair("a")
    try:
        (voc.root / os.fsdecode(b"\xb9\xf1.jpg")).write_bytes(b"")
    except OSError:
        pytest.skip("the file system allows UTF-8 names only")
    source = listing(voc.root)
    assert kinds(source) == ["file-name-not-utf8"]
    json.dumps(source.findings[0].to_json())


def test_a_list_in_another_encoding_is_read_and_said_or_an_error(voc: Any) -> None:
    voc.tree({"train": ["柜"]})
    voc.text("ImageSets/Main/train.txt", "柜".encode("gb2312"))
    source = listing(voc.root)
    assert splits(source) == {"柜.jpg": "train"}
    assert [(f.slug, f.where) for f in source.findings] == [("encoding-guessed", "train.txt")]
    voc.text("ImageSets/Main/train.txt", "a\né".encode("latin-1"))
    with pytest.raises(DataError, match=r"Main/train\.txt:2: .*neither UTF-8"):
        listing(voc.root)
