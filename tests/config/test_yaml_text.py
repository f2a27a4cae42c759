"""YAML scalars by YAML 1.2, and texts that come back as they were."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from argusvl.config.yaml_text import read_entries, read_override, write_yaml
from argusvl.core.errors import ConfigError


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


# ---------------------------------------------------------------- documents without bounds


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("key: &a [*a]", 1, r"\*a stands for what it is in"),
        ("one: 1\nkey: &a\n  deeper: {b: *a}", 3, r"\*a stands for what it is in"),
        ("key: " + "[" * 1500 + "]" * 1500, 1, "more than 50 levels of nesting"),
        ("key: " + "{a: " * 1500 + "1" + "}" * 1500, 1, "more than 50 levels of nesting"),
        ("key:\n" + "".join(f"{' ' * k}- \n" for k in range(1500)), 51, "more than 50 levels of nesting"),
        (BOMB, 4, "stands for more than 10,000 values"),
    ],
)
def test_a_document_without_bounds_is_refused(text: str, line: int, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"test:{line}: not valid YAML: {problem}"):
        read_entries(text, "test")


def test_an_override_without_bounds_is_refused() -> None:
    with pytest.raises(ConfigError, match="more than 50 levels of nesting"):
        read_override(f"key={'[' * 1500}{']' * 1500}")


def test_a_name_for_a_value_may_be_used_again() -> None:
    entries = read_entries("one: &a [1, 2]\ntwo: *a\nthree: {x: *a, y: [*a, *a]}\n", "test")
    assert [entry.value for entry in entries] == [[1, 2], [1, 2], [1, 2], [[1, 2], [1, 2]]]
