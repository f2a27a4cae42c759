"""YAML scalars by YAML 1.2, and texts that come back as they were."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from argusvl.config.yaml_text import read_entries, read_override, write_yaml


def value_of(text: str) -> object:
    return read_entries(f"key: {text}\n", "test")[0].value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("+1.5e+3", 1500.0),
        ("010", 10),
        ("-3", -3),
        ("no", "no"),
        ("On", "On"),
        ("true", True),
        ("False", False),
        ("2026-11-21", "2026-11-21"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1e-4'", "1e-4"),
        ("[1, a, null]", [1, "a", None]),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = value_of(text)
    assert found == value and type(found) is type(value)


def test_entries_know_their_place() -> None:
    entries = read_entries("a: 1\nb:\n  c: 2\n  d.e: 3\nf: {}\n", "x.yaml")
    assert [(e.path, e.value, e.where) for e in entries] == [
        (("a",), 1, "x.yaml:1"),
        (("b", "c"), 2, "x.yaml:3"),
        (("b", "d", "e"), 3, "x.yaml:4"),
        (("f",), {}, "x.yaml:5"),
    ]
    assert read_entries("", "x.yaml") == read_entries("# nothing\n", "x.yaml") == []


def test_an_override_with_a_mapping_is_one_entry_a_key() -> None:
    assert [(e.path, e.value) for e in read_override("a={b: 1, c: {d: 2}}")] == [
        (("a", "b"), 1),
        (("a", "c", "d"), 2),
    ]


# YAML has no way to hold control characters other than by escapes, which the writer uses.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3),
    max_leaves=5,
)


@example({"a": "\x85", "b": "x\u2028y"})
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), VALUES, max_size=5))
def test_what_is_written_is_read_back(mapping: dict[str, object]) -> None:
    text = write_yaml(mapping)
    back = {entry.path[0]: entry.value for entry in read_entries(text, "test")}
    assert repr(back) == repr(mapping)
