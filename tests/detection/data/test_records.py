"""Records as they are read: what is wrong with a line is named so that it can be mended."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argusvl.core.errors import DataError
from argusvl.detection.data.preparing.check import CheckOptions, check_records
from argusvl.detection.data.records import RecordFile, parse_record

SCENE: dict[str, Any] = {"images": ["a.jpg"], "objects": []}
BOX = {"bbox_2d": [1, 2, 3, 4], "desc": "cell"}


@pytest.mark.parametrize(
    ("value", "field", "meant", "known"),
    [
        ({"student": {**SCENE, "object": []}}, "student.object", "objects", "images, objects"),
        ({"student": {**SCENE, "x": 1}}, "student.x", "", "images, objects"),
        ({"image": "a.jpg", "objects": []}, "image", "images", "images, objects"),
        ({**SCENE, "objects": [{**BOX, "label": "x"}]}, "objects[0].label", "desc", "bbox_2d, desc, image"),
        ({"student": SCENE, "teacher": []}, "teacher", "teachers", "student, teachers"),
    ],
)
def test_an_unknown_field_is_called_unknown(value: Any, field: str, meant: str, known: str) -> None:
    said = f"unknown field '{field}'" + (f"; did you mean '{meant}'?" if meant else "")
    with pytest.raises(DataError) as caught:
        parse_record(value, "a.jsonl:3")
    assert (caught.value.what, caught.value.where) == (said, "a.jsonl:3")
    assert caught.value.remedy == f"the fields here are {known}"


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
@pytest.mark.parametrize("cut", ['{"images": ["a.jpg"],', '{"images": ["a.jpg"], "objects": [', '{"images":'])
def test_a_line_cut_off_names_the_column_where_it_ends(tmp_path: Path, cut: str, ending: str) -> None:
    # A decoder that is given the line break sees the end on the next line, at its first column.
    file = tmp_path / "a.jsonl"
    good = json.dumps(SCENE)
    file.write_bytes(f"{good}\n{cut}{ending}".encode() + (b"" if not ending else f"{good}\n".encode()))
    with pytest.raises(DataError, match=f"at column {len(cut) + 1}$|at column {len(cut) + 1}\n") as caught:
        list(RecordFile(file))
    assert caught.value.where == f"{file}:2"
    found = [f for f in check_records(file, CheckOptions()).findings if f.slug == "malformed-json"]
    assert [f.where for f in found] == [f"{file}:2"]
    assert found[0].what.endswith(f"at column {len(cut) + 1}")


@pytest.mark.parametrize("path", ["", ".", "..", "a/..", "/", "photos/", "half \ud800.jpg", 3])
def test_what_names_no_file_is_no_image(path: Any) -> None:
    with pytest.raises(DataError, match="field 'images'"):
        parse_record({"images": [path], "objects": []}, "a.jsonl:3")


def test_an_object_without_an_image_is_refused() -> None:
    assert parse_record({"images": [], "objects": []}, "a.jsonl:3").student.images == ()
    with pytest.raises(DataError, match=r"field 'objects\[0\]'.*it has no image"):
        parse_record({"images": [], "objects": [BOX]}, "a.jsonl:3")


@pytest.mark.parametrize(
    ("box", "said"),
    [
        (
            f"[0, 0, {'9' * 5000}, 4]",
            "field 'objects[0].bbox_2d': found [0, 0, Infinity, 4]; box [0, 0, inf, 4]",
        ),
        (f"[0, 0, {'9' * 400}, 4]", "field 'objects[0].bbox_2d': found [0, 0, 9999"),
        ("[" * 200_000, "nested more than 100 levels deep"),
        ("[0, 0, 3, 4], " + '"bbox_2d": [1, 1, 3, 4]', 'the key "bbox_2d" stands twice in one object'),
    ],
)
def test_what_python_falls_over_is_an_error_with_its_line(tmp_path: Path, box: str, said: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(f'{{"images": ["a.jpg"], "objects": [{{"bbox_2d": {box}, "desc": "x"}}]}}\n')
    with pytest.raises(DataError) as caught:
        RecordFile(file)[0]
    assert said in caught.value.what
    assert caught.value.where == f"{file}:1"
    errors = [f.where for f in check_records(file, CheckOptions()).findings if f.severity == "error"]
    assert errors[0] == f"{file}:1"


def test_a_byte_order_mark_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(SCENE).encode() + b"\n")
    assert RecordFile(file)[0] == parse_record(SCENE, f"{file}:1")
    assert not [f for f in check_records(file, CheckOptions()).findings if f.slug == "malformed-json"]


@given(
    st.lists(st.sampled_from([b"", b" ", b"\t\r", b"\x0b \x0c", b"{}", b"  {} ", b"{" * 9])),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.integers(1, 12),
    st.one_of(st.none(), st.integers(1, 5)),
)
def test_lines_are_found_wherever_the_file_is_cut(
    lines: list[bytes], ending: bytes, ended: bool, chunk: int, most: int | None
) -> None:
    content = ending.join(lines) + (ending if ended else b"")
    split = [line + b"\n" for line in content.split(b"\n")]
    used = [(k, line) for k, line in enumerate(split, start=1) if line.strip()][:most]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("argusvl.detection.data.records._CHUNK", chunk)
        file = Path(folder) / "set.jsonl"
        file.write_bytes(content)
        opened = RecordFile(file, max_examples=most)
        found = [line.removesuffix(b"\n") + b"\n" for line in opened.lines(range(len(opened)))]
        assert found == [line for _, line in used]
        assert [opened.source(k) for k in range(len(opened))] == [f"{file}:{k}" for k, _ in used]
        assert opened.content == opened.fingerprint()
