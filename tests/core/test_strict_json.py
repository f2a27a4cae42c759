"""JSON of others: nothing is misread in silence, and no text makes reading fall over."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from argusvl.core.strict_json import (
    MOST_LEVELS,
    MalformedJsonError,
    decode_json,
    finite_number,
    shown,
)


def nested(levels: int, inner: str = "") -> str:
    return "[" * levels + inner + "]" * levels


@pytest.mark.parametrize(
    "text", ["{}", ' [1, 2.5, {"a": null}] ', '"螺丝"', '{"a": {"b": 1}, "c": {"b": 1}}', "3"]
)
def test_json_is_read_as_usual_with_a_byte_order_mark_or_without(text: str) -> None:
    assert decode_json(text) == decode_json("\ufeff" + text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{"a": 1, "a": 1}', 1, 'the key "a" stands twice in one object, again at column 15'),
        ('[{"x": 1},\n {"x": 2, "y": {"b": [],\n "b": 2}}]', 3, 'the key "b" stands twice in one object'),
        (r'{"a": 1, "\u0061": 2}', 1, 'the key "a" stands twice'),
        ('{"a": 12345678901234567890, "b": [1, 2], "a": ' + "9" * 5000 + "}", 1, 'the key "a" stands twice'),
        ('{"a" 1}', 1, "malformed JSON: Expecting ':' delimiter at column 6"),
        ("\n\n{", 3, "malformed JSON: Expecting property name enclosed in double quotes at line 3, column 2"),
        ('{\n "a": "b', 2, "malformed JSON: Unterminated string starting at line 2, column 7"),
        ('{"a": "b\n"}', 1, "malformed JSON: Invalid control character at line 1, column 9"),
        ('{"a": "b\n', 1, "malformed JSON: Invalid control character at column 9"),
        ("", 1, "malformed JSON: Expecting value at column 1"),
        (nested(5000), 1, f"nested more than {MOST_LEVELS} levels deep"),
        ("[" * 5000, 1, "malformed JSON: "),  # Python 3.13 gets to its end
        (nested(MOST_LEVELS + 1), 1, f"nested more than {MOST_LEVELS} levels deep"),
        ('{"a":' * 300 + "1" + "}" * 300, 1, f"nested more than {MOST_LEVELS} levels deep"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(MalformedJsonError) as caught:
        decode_json(text)
    assert said in str(caught.value)
    assert caught.value.line == line


def test_what_is_wide_is_not_taken_for_deep() -> None:
    wide = [[{"a": "[[[[ {{{{"}]] * 1000
    assert decode_json(json.dumps(wide)) == wide
    assert decode_json(nested(MOST_LEVELS, "1")) is not None
    assert decode_json(json.dumps("[" * 1000)) == "[" * 1000


def test_numbers_of_any_length_are_read_and_told_from_finite_ones() -> None:
    long, infinite, none, overflow, whole, part = decode_json(
        f"[{'9' * 5000}, 1e400, NaN, {'9' * 400}, 7, -1.5]"
    )
    assert [finite_number(v) for v in (long, infinite, none, overflow)] == [None] * 4
    assert (finite_number(whole), finite_number(part)) == (7.0, -1.5)
    assert math.isinf(long) and whole == 7 and isinstance(whole, int)
    assert [finite_number(v) for v in (True, "1", None, [1])] == [None] * 4


def test_only_what_is_shown_of_a_value_is_written() -> None:
    written = 0

    class Endless(list[Any]):
        def __iter__(self) -> Iterator[int]:
            nonlocal written
            while True:
                written += 1
                yield written

    assert shown(Endless([0]), 20) == "[1, 2, 3, 4, 5, 6, …"
    assert written < 20
    assert shown({"b": ["x", None, 1.5]}) == '{"b": ["x", null, 1.5]}'
    assert shown("half \ud800") == '"half \\ud800"'
    assert sys.getsizeof(shown(["a" * 1000] * 1000)) < 500
