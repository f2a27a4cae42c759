from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argusvl.detection.data.formats.text import JsonText, decode_text, parse_json

TEXT = '{"label": "螺丝连接点/已安装"}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_certain_encodings_are_read_without_a_word(encoding: str) -> None:
    assert decode_text(TEXT.encode(encoding), "a.json") == (TEXT, [])


@pytest.mark.parametrize(
    ("content", "text", "found"),
    [
        (TEXT.encode("gbk"), TEXT, ("encoding-guessed", "warning", "a.json")),
        ("\nSchlüssel".encode("latin-1"), None, ("unknown-encoding", "error", "a.json:2")),
        (b"\xff\xfe{", None, ("unknown-encoding", "error", "a.json:1")),
    ],
    ids=["GBK without a word", "Western", "a mark that lies"],
)
def test_other_encodings_are_guessed_and_said_or_a_finding(
    content: bytes, text: str | None, found: tuple[str, str, str]
) -> None:
    read, findings = decode_text(content, "a.json")
    assert (read, [(one.slug, one.severity, one.where) for one in findings]) == (text, [found])


@given(st.binary(max_size=60))
def test_any_bytes_are_a_text_or_a_finding(content: bytes) -> None:
    text, findings = decode_text(content, "a.json")
    assert text is not None or [one.severity for one in findings] == ["error"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(values, st.sampled_from([None, 1]))
def test_lines_are_those_of_an_independent_count(value: object, indent: int | None) -> None:
    document = parse_json(json.dumps(value, indent=indent).encode(), "a.json")
    assert isinstance(document, JsonText)
    assert document.value == value
    # Each value is put under a mark of its own, and the mark's line is counted in the text.
    paths = list(paths_of(value))
    for path in paths:
        marked = json.dumps(with_mark(value, path), indent=indent)
        expected = marked[: marked.index('"\\u2603mark"')].count("\n") + 1
        assert document.place(*path) == f"a.json:{expected}"


def paths_of(value: object, before: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before, *(path for key, one in items for path in paths_of(one, (*before, key)))]


def with_mark(value: object, path: tuple[str | int, ...]) -> object:
    if not path:
        return "☃mark"
    if isinstance(value, dict):
        return {key: with_mark(one, path[1:]) if key == path[0] else one for key, one in value.items()}
    assert isinstance(value, list)
    return [with_mark(one, path[1:]) if index == path[0] else one for index, one in enumerate(value)]
