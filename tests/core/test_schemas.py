from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from argusvl.core.errors import CheckpointError, DataError
from argusvl.core.schemas import Count, Share, Size, checked


@dataclass(frozen=True, slots=True)
class Part:
    share: Share
    count: Count = 0


@dataclass(frozen=True, slots=True)
class Shape:
    size: Size
    parts: Mapping[str, Sequence[Part]] = field(default_factory=dict)


def test_what_fits_comes_out_and_what_nobody_named_is_left_alone() -> None:
    found = checked({"size": 3, "more": 1, "parts": {"a": [{"share": 1, "more": 1}]}}, Shape, Path("x"))
    assert found == Shape(3, {"a": [Part(1.0)]})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({}, "field 'size': Field required$"),
        ({"size": 0}, "field 'size': .* greater than or equal to 1, found 0"),
        ({"size": True}, "field 'size': .*integer, found true"),
        ({"size": "3"}, "field 'size': .*integer, found \"3\""),
        (
            {"size": 3, "parts": {"a": [{"share": 0}, {"share": 2}]}},
            r"field 'parts\.a\[1\]\.share': .*, found 2",
        ),
        ({"size": 3, "parts": {"a": [{"share": 0, "count": 1.0}]}}, r"field 'parts\.a\[0\]\.count'"),
        ({"size": 3, "parts": {"a": [{"share": float("nan")}]}}, r"field 'parts.*finite number, found NaN"),
        ([1], r"the whole: .*, found \[1\]"),
    ],
)
def test_the_first_field_that_does_not_fit_is_named(value: Any, told: str) -> None:
    with pytest.raises(CheckpointError, match=rf"(?m)^config.json: {told}") as caught:
        checked(value, Shape, Path("config.json"))
    assert "copy the checkpoint again" in str(caught.value.remedy)


def test_the_caller_says_what_kind_of_error_it_is_and_what_to_do() -> None:
    with pytest.raises(DataError) as caught:
        checked({}, Part, Path("x.json"), remedy="write it again", error=DataError)
    assert caught.value.remedy == "write it again"
