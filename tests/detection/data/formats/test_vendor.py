from __future__ import annotations

import json
from typing import Any

import pytest

from argusvl.core.errors import DataError
from argusvl.detection.data.formats.base import Annotation
from argusvl.detection.data.formats.terms import Described, Vocabulary, load_hierarchy, load_token_map
from argusvl.detection.data.formats.text import JsonText, parse_json
from argusvl.detection.data.formats.vendor import parse_vendor
from argusvl.synthetic.bbu_room.terms import LABELS, describe

INFO = {"width": 64, "height": 48}
TOKENS, HIERARCHY = load_token_map("bbu-room"), load_hierarchy("bbu-room")
HOME = Vocabulary(TOKENS, HIERARCHY)


def entry(corners: Any = ((1, 2), (30, 40)), **properties: Any) -> dict[str, Any]:
    return {"coordinates": corners, "properties": properties}


def feature(outline: Any, **properties: Any) -> dict[str, Any]:
    return {"geometry": {"type": "Polygon", "coordinates": outline}, "properties": properties}


def parse(value: Any, words: Vocabulary | None = None) -> Annotation:
    read = parse_json(json.dumps(value, indent=1, ensure_ascii=False).encode(), "a.json")
    assert isinstance(read, JsonText)
    return parse_vendor(read, words or Vocabulary({}, None))


def labels(read: Annotation) -> list[str]:
    return [one.label for one in read.objects]


def test_both_forms_are_read() -> None:
    first = parse({"info": INFO, "dataList": [entry(label="screw"), entry([1, 2, 30, 40], label="nut")]})
    ring = [[1, 2], [30, 2], [30, 40]]
    features = [feature(ring, label="screw"), feature([ring], label="nut")]
    second = parse({"info": INFO, "markResult": {"features": features}})
    for read in (first, second):
        assert (read.findings, read.size) == ((), (64, 48))
        boxes = [(o.label, o.box_xyxy_px) for o in read.objects]
        assert boxes == [("screw", (1, 2, 30, 40)), ("nut", (1, 2, 30, 40))]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_shipped_terms_know_every_label_of_the_drawn_rooms(language: Any) -> None:
    found = [HOME.describe({"text": describe(label, language)}) for label in LABELS]
    assert found == [Described(describe(label, "zh")) for label in LABELS]


@pytest.mark.parametrize(
    ("properties", "label", "left_out"),
    [
        ({"state": "loose", "kind": "地排处螺丝", "type": "螺丝连接点"}, "螺丝连接点/地排处螺丝/未拧紧", ()),
        ({"type": "螺丝连接点", "BBU安装螺丝": "连接牢固"}, "螺丝连接点/BBU安装螺丝/连接正确", ()),
        (
            {"content": {"label": ["ＢＢＵ"]}, "contentZh": {"标签": "bbu基带处理单元、华为；2021年"}},
            "bbu基带处理单元/华为",
            ("2021年",),
        ),
        ({"label": "挡风板", "note": "blurred", "checked": True}, "挡风板", ("blurred",)),
    ],
)
def test_text_is_normalised_and_filtered(properties: Any, label: str, left_out: tuple[str, ...]) -> None:
    # The key 标签 is a synonym of 标签贴纸 and a term thereby; the type that comes first wins.
    found = HOME.describe(properties)
    assert not isinstance(found, str)
    assert found.label == label
    assert [term for term in found.left_out if term != "标签贴纸"] == list(left_out)


def test_terms_that_are_left_out_are_said_once_a_file() -> None:
    objects = [entry(label="挡风板", note="blurred"), entry(label="挡风板/已安装", note="blurred")]
    read = parse({"info": INFO, "dataList": objects}, HOME)
    assert labels(read) == ["挡风板", "挡风板/已安装"]
    assert [(f.slug, f.severity) for f in read.findings] == [("unknown-term", "warning")]
    assert "'blurred' (2)" in read.findings[0].what


def test_a_token_map_alone_replaces_whole_texts() -> None:
    words = Vocabulary({"Schraube": "screw"}, None)
    read = parse({"info": INFO, "dataList": [entry(a=" SCHRAUBE", b={"c": ["M4"]})]}, words)
    assert labels(read) == ["screw/M4"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"dataList": []}, "has no info"),
        ({"info": {"width": 64}, "dataList": []}, "height null"),
        ({"info": INFO}, "neither dataList nor markResult.features"),
        ({"info": INFO, "markResult": []}, "neither dataList nor markResult.features"),
        ({"info": INFO, "dataList": {}}, "not a list"),
        ([], "not an object"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(value: Any, said: str) -> None:
    read = parse(value)
    assert not read.usable
    assert [(f.slug, f.severity) for f in read.findings] == [("malformed-annotation", "error")]
    assert said in read.findings[0].what


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (entry(((1, 2),), label="挡风板"), "polygon-too-short"),
        (feature([[1, 2], [3, 4]], label="挡风板"), "polygon-too-short"),
        (feature([[[1, 2], [3, 4], [1, 2]]], label="挡风板"), "polygon-too-short"),
        (feature(None, label="挡风板"), "box-not-a-number"),
        (entry("x", label="挡风板"), "box-not-a-number"),
        (entry(label=""), "empty-label"),
        (entry(), "empty-label"),
        (entry(label="cat"), "unknown-label"),
        (7, "malformed-annotation"),
    ],
)
def test_a_bad_object_is_named_by_its_line_and_the_others_are_read(one: Any, kind: str) -> None:
    value = {"info": INFO, "dataList": [one, entry(label="挡风板")]}
    read = parse(value, HOME)
    assert [(f.slug, f.where) for f in read.findings] == [(kind, "a.json:7")]
    assert labels(read) == ["挡风板"]


def test_an_inverted_box_is_left_for_the_check_of_boxes() -> None:
    read = parse({"info": INFO, "dataList": [entry(((30, 40), (1, 2)), label="挡风板")]})
    assert read.objects[0].box_xyxy_px == (30, 40, 1, 2)


def test_a_folder_is_listed_with_its_vocabulary(source: Any) -> None:
    source.image("a.jpg")
    source.json("a.json", {"info": INFO, "dataList": [entry(label="baffle/installed")]})
    source.image("b.jpg")
    source.json("b.json", {"dataList": []})
    listed = source.read("vendor", token_map=TOKENS, label_hierarchy=HIERARCHY)
    assert source.found(listed) == [("malformed-annotation", "b.json:1")]
    assert labels(listed.images[0].annotate()) == ["挡风板/已安装"]


def test_vocabularies_are_read_from_json_and_yaml_and_bad_ones_are_errors(source: Any) -> None:
    file = source.text(
        "terms.yaml",
        "screw:\n  - [M4, M5]\n  - [loose]\nbaffle: [on, off]\n".replace("on, off", '"on", "off"'),
    )
    assert load_hierarchy(str(file)) == {"screw": [["M4", "M5"], ["loose"]], "baffle": [["on", "off"]]}
    assert load_token_map(str(source.json("map.json", {"a": "b"}))) == {"a": "b"}
    for text, said in (
        ("screw: [[M4], loose]", "no list of levels"),
        ("screw: loose", "no list of levels"),
        ("{}", "names no type"),
        ("[", r":1: not valid YAML: expected the node content"),
        ("- a", "holds no keys"),
    ):
        with pytest.raises(DataError, match=said):
            load_hierarchy(str(source.text("bad.yaml", text)))
    with pytest.raises(DataError, match="no pair of texts"):
        load_token_map(str(source.json("bad.json", {"a": ["b"]})))
    twice = source.text("twice.json", '{"screw": "nut",\n "bolt": "nut",\n "screw": "bolt"}')
    with pytest.raises(DataError, match=r'twice\.json:3: the key "screw" stands twice'):
        load_token_map(str(twice))
    with pytest.raises(DataError, match=r"no such file(.|\n)*bbu-room"):
        load_token_map("absent")
