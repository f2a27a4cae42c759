"""Formats with one record a line: Qwen's conversations, ms-swift's grounding records, Argus' own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from argus_doctor.findings import Finding
from argusvl.detection.data.formats.argus import parse_argus
from argusvl.detection.data.formats.base import SourceObject
from argusvl.detection.data.formats.lines import LineScene
from argusvl.detection.data.formats.ms_swift import parse_ms_swift
from argusvl.detection.data.formats.qwen import parse_qwen


def scene(read: Any) -> LineScene:
    assert isinstance(read, list), read
    return read[0]


def objects(read: Any) -> list[tuple[int, str, tuple[float, ...]]]:
    read_ones = [(image, one) for image, one in scene(read).objects if isinstance(one, SourceObject)]
    return [(image, one.label, one.box_xyxy_px) for image, one in read_ones]


def kinds(read: Any) -> list[str]:
    return [one.slug for _, one in scene(read).objects if isinstance(one, Finding)]


def talk(answer: Any, image: Any = "a.jpg") -> dict[str, Any]:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    turns = [{"from": "human", "value": "<image>\nFind all."}, {"from": "gpt", "value": text}]
    return {"image": image, "conversations": turns}


def grounding(
    ref: Any, bbox: Any, content: str = "", images: Any = ("a.jpg",), **more: Any
) -> dict[str, Any]:
    messages = [{"role": "user", "content": "<image>Find."}, {"role": "assistant", "content": content}]
    return {"messages": messages, "images": list(images), "objects": {"ref": ref, "bbox": bbox, **more}}


# --- qwen -----------------------------------------------------------------------------------------------------------


def test_the_list_in_an_answer_is_read_in_a_fence_or_not() -> None:
    answer = [{"bbox_2d": [1, 2, 30, 40], "label": "screw"}]
    for text in (json.dumps(answer), f"```json\n{json.dumps(answer, indent=1)}\n```"):
        assert objects(parse_qwen(talk(text), "a:1")) == [(0, "screw", (1, 2, 30, 40))]
    assert objects(parse_qwen(talk("[]"), "a:1")) == []
    turns = [{"role": "user", "content": "<image>"}, {"role": "assistant", "content": json.dumps(answer)}]
    assert objects(parse_qwen({"images": ["a.jpg"], "messages": turns}, "a:1"))[0][1] == "screw"
    two = parse_qwen(talk([{"image": 1, "bbox_2d": [1, 2, 3, 4], "label": "x"}], ["a.jpg", "b.jpg"]), "a:1")
    assert objects(two) == [(1, "x", (1, 2, 3, 4))]


# --- ms-swift -------------------------------------------------------------------------------------------------------


def test_the_three_kinds_of_boxes() -> None:
    real = parse_ms_swift(grounding(["x"], [[1, 2, 30, 40]]), "a:1")
    assert objects(real) == [(0, "x", (1, 2, 30, 40))]
    assert not scene(real).relative
    for kind, scale in (("norm1", 1), ("norm1000", 1000)):
        read = parse_ms_swift(
            grounding(["x"], [[0.25 * scale, 0, scale, 0.5 * scale]], bbox_type=kind), "a:1"
        )
        assert objects(read) == [(0, "x", (0.25, 0, 1, 0.5))]
        assert scene(read).relative


def test_boxes_belong_to_the_name_before_them() -> None:
    two, three = [[1, 2, 3, 4]] * 2, [[1, 2, 3, 4]] * 3
    text = "<ref-object> at <bbox><bbox>, <ref-object> at <bbox>"
    read = parse_ms_swift(grounding(["sheep", "dog"], three, text), "a:1")
    assert [label for _, label, _ in objects(read)] == ["sheep", "sheep", "dog"]
    question = grounding(["sheep"], two, "<bbox><bbox>")
    question["messages"][0]["content"] = "<image>Find the <ref-object>."
    assert [label for _, label, _ in objects(parse_ms_swift(question, "a:1"))] == ["sheep", "sheep"]
    unclear = parse_ms_swift(grounding(["sheep", "dog"], three, "<bbox><bbox><bbox>"), "a:1")
    assert not isinstance(unclear, list)
    assert "3 boxes and 2 names" in unclear.what


def test_image_id_names_the_image_of_a_box() -> None:
    value = grounding(["x", "y"], [[1, 2, 3, 4]] * 2, images=[{"path": "a.jpg"}, "b.jpg"], image_id=[1])
    assert [image for image, _, _ in objects(parse_ms_swift(value, "a:1"))] == [1, 0]


@pytest.mark.parametrize(
    ("ref", "bbox", "more", "kind"),
    [
        (["x"], [[1, 2]], {}, "not-a-box"),
        (["x"], [[1, 2, 3]], {}, "box-not-a-number"),
        (["x"], ["box"], {}, "box-not-a-number"),
        ([""], [[1, 2, 3, 4]], {}, "empty-label"),
        (["x"], [[1, 2, 3, 4]], {"image_id": [1]}, "unknown-id"),
        (["x"], [[0, 0, 1.5, 1]], {"bbox_type": "norm1"}, "box-not-normalised"),
        (["x"], [[0, 0, 1200, 1]], {"bbox_type": "norm1000"}, "box-not-normalised"),
        (["x"], [[1, 2, 3, 4, 1, 2, 3, 4]], {}, "polygon-too-short"),
    ],
)
def test_a_bad_box_is_named(ref: Any, bbox: Any, more: Any, kind: str) -> None:
    assert kinds(parse_ms_swift(grounding(ref, bbox, **more), "a:1")) == [kind]


# --- lines that cannot be used ---------------------------------------------------------------------------------------

BARE: dict[str, Any] = {"images": [], "objects": []}


@pytest.mark.parametrize(
    ("parse", "value", "said"),
    [
        (parse_qwen, [], "not an object"),
        (parse_qwen, talk("[]", None), "not a path"),
        (parse_qwen, talk("[]", [""]), "not a path"),
        (parse_qwen, {"image": "a.jpg", "conversations": "hello"}, "not a list of turns"),
        (parse_qwen, talk("There is a screw."), "no answer is a JSON list"),
        (
            parse_qwen,
            talk('[{"bbox_2d": [1, 2, 3'),
            "an answer is no JSON list of bbox_2d and label: malformed",
        ),
        (parse_qwen, talk("[1]"), "no answer is a JSON list"),
        (parse_qwen, {"image": "a.jpg", "conversations": []}, "there is none"),
        (parse_ms_swift, {"messages": [], "images": ["a.jpg"]}, "objects is null"),
        (parse_ms_swift, {"objects": {"ref": [], "bbox": []}}, "images is null"),
        (parse_ms_swift, grounding("x", [[1, 2, 3, 4]]), "both must be lists"),
        (
            parse_ms_swift,
            grounding(["x"], [[1, 2, 3, 4]], bbox_type="norm"),
            "known are real, norm1, norm1000",
        ),
        (parse_ms_swift, grounding(["x"], [[1, 2, 3, 4]], image_id=1), "image_id is 1, not a list"),
        (parse_ms_swift, 3, "not an object"),
        (parse_argus, {"images": ["a.jpg"], "objects": [], "source": 1}, "unknown field 'source'"),
        (parse_argus, {"student": {"images": ["a.jpg"]}}, "field 'student.objects'"),
        (parse_argus, BARE, "a scene without an image"),
        (parse_argus, {"student": BARE | {"images": ["a.jpg"]}, "teachers": [BARE]}, "without an image"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(parse: Callable[..., Any], value: Any, said: str) -> None:
    read = parse(value, "a.jsonl:3")
    assert isinstance(read, Finding)
    kind = "malformed-record" if parse is parse_argus else "malformed-annotation"
    assert (read.slug, read.where) == (kind, "a.jsonl:3")
    assert said in read.what


# --- objects, as qwen and argus have them ----------------------------------------------------------------------------


@pytest.mark.parametrize("format_name", ["qwen", "argus"])
@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"bbox_2d": [1, 2, 3], "LABEL": "x"}, "box-not-a-number"),
        ({"bbox_2d": [1, 2, 3, "4"], "LABEL": "x"}, "box-not-a-number"),
        ({"bbox_2d": [1, 2, 3, 4]}, "empty-label"),
        ({"bbox_2d": [1, 2, 3, 4], "LABEL": " "}, "empty-label"),
        ({"bbox_2d": [1, 2, 3, 4], "LABEL": "x", "image": 1}, "unknown-id"),
    ],
)
def test_a_bad_object_is_named(format_name: str, entry: dict[str, Any], kind: str) -> None:
    label_key = "label" if format_name == "qwen" else "desc"
    entries = [
        {key.replace("LABEL", label_key): value for key, value in one.items()}
        for one in (entry, {"bbox_2d": [1, 2, 30, 40], "LABEL": "screw"})
    ]
    if format_name == "qwen":
        read = parse_qwen(talk(entries), "a:1")
    else:
        read = parse_argus({"images": ["a.jpg"], "objects": entries}, "a:1")
    assert kinds(read) == [kind]
    assert [label for _, label, _ in objects(read)] == ["screw"]
    assert len(scene(read).annotation(0, "a:1").entries) == 2


def test_an_object_that_is_none_is_named() -> None:
    assert kinds(parse_argus({"images": ["a.jpg"], "objects": ["object"]}, "a:1")) == ["malformed-annotation"]


# --- files ----------------------------------------------------------------------------------------------------------


def test_files_named_after_splits_are_splits_and_others_are_said(source: Any) -> None:
    line = talk([{"bbox_2d": [1, 2, 3, 4], "label": "x"}])
    source.lines("train.jsonl", line)
    source.lines("validation.jsonl", line)
    source.lines("notes.jsonl", line)
    listed = source.read("qwen")
    assert [image.split for image in listed.images] == ["train", "val"]
    assert source.found(listed) == [("not-listed", "notes.jsonl")]
    assert [image.split for image in source.read("qwen", "notes.jsonl").images] == [None]


def test_a_json_list_names_the_lines_of_its_records(source: Any) -> None:
    source.json("qwen.json", [talk("[]"), talk("nothing"), talk("[]", "b.jpg")], indent=1)
    listed = source.read("qwen")
    text = (source.root / "qwen.json").read_text().splitlines()
    [(kind, where)] = source.found(listed)
    assert kind == "malformed-annotation"
    second = [number for number, line in enumerate(text, start=1) if line == " {"][1]
    assert where == f"qwen.json:{second}, record 1"
    assert [image.name for image in listed.images] == ["a.jpg", "b.jpg"]


def test_bad_lines_are_named_and_the_others_are_read(source: Any) -> None:
    answer = json.dumps([{"bbox_2d": [1, 2, 3, 4], "label": "螺丝连接点"}], ensure_ascii=False)
    good = json.dumps(talk(answer), ensure_ascii=False)
    lines = [good.encode(), good[:18].encode(), b"", good.encode("gbk"), "é".encode("latin-1"), good.encode()]
    source.text("a.jsonl", b"\n".join(lines))
    listed = source.read("qwen")
    assert source.found(listed) == [
        ("malformed-json", "a.jsonl:2"),
        ("encoding-guessed", "a.jsonl:4"),
        ("unknown-encoding", "a.jsonl:5"),
    ]
    assert "column 19" in listed.findings[0].what  # where the line ends, not where the next begins
    assert listed.refused_images == 2
    assert [image.annotate().objects[0].label for image in listed.images] == ["螺丝连接点"] * 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_whole_files_with_a_byte_order_mark_are_read(source: Any, encoding: str) -> None:
    line = json.dumps(talk([{"bbox_2d": [1, 2, 3, 4], "label": "螺丝"}]), ensure_ascii=False)
    source.text("a.jsonl", f"{line}\r\n{line}\r\n".encode(encoding))
    listed = source.read("qwen")
    assert source.found(listed) == []
    assert len(listed.images) == 2


def test_image_paths_are_relative_to_their_file_and_named_without_its_folders(source: Any) -> None:
    source.lines(
        "a.jsonl", *(talk("[]", path) for path in ("images/x/a.jpg", f"{source.root}/c.jpg", "d\\e.jpg"))
    )
    listed = source.read("qwen")
    names = [image.name for image in listed.images]
    assert (names[0], names[2]) == ("x/a.jpg", "d/e.jpg") and names[1].endswith("/c.jpg")
    assert listed.images[0].path == source.root / "images/x/a.jpg"


@pytest.mark.parametrize(
    "stated", ["../outside.png", "/etc/hostname", "x/../../outside.png", "link.png", "far/a.png"]
)
@pytest.mark.parametrize("format_name", ["argus", "qwen", "ms-swift"])
def test_nothing_outside_of_the_folder_is_read(stated: str, format_name: str, source: Any) -> None:
    outside = source.root.parent / "outside"
    outside.mkdir()
    for file in (source.root.parent / "outside.png", outside / "a.png"):
        file.write_bytes(b"secret")
    (source.root / "link.png").symlink_to("../outside.png")
    (source.root / "far").symlink_to(outside)
    line = {
        "argus": {"images": [stated], "objects": []},
        "qwen": talk("[]", stated),
        "ms-swift": {"images": [stated], "objects": {"ref": [], "bbox": []}, "messages": []},
    }[format_name]
    source.lines("a.jsonl", line)
    listed = source.read(format_name)
    assert not listed.images and listed.refused_images == 1
    (found,) = listed.findings
    assert "leads out of" in found.what and "secret" not in str(found)


def test_a_folder_above_may_be_named_for_pictures_beside_the_annotations(source: Any) -> None:
    (source.root / "annotations").mkdir()
    source.lines("annotations/train.jsonl", talk("[]", "../images/a.jpg"))
    assert [image.name for image in source.read("qwen").images] == ["a.jpg"]
    assert not source.read("qwen", "annotations").images
