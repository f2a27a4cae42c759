"""A line is checked to its end, and finds fault with exactly what reading refuses."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from argusvl.core.errors import DataError
from argusvl.detection.data.preparing.check import CheckOptions, check_records
from argusvl.detection.data.records import parse_record
from argusvl.doctor.findings import Finding

STUDENT = {"images": ["a.png"], "objects": [{"bbox_2d": [1, 1, 9, 9], "desc": "x"} for _ in range(3)]}
LINE_KINDS = (
    "malformed-record",
    "box-not-a-number",
    "box-inverted",
    "box-zero-area",
    "box-out-of-bounds",
    "empty-label",
    "empty-type",
    "special-token",
    "broken-text",
    "long-description",
)


@pytest.fixture
def findings_of(tmp_path: Path) -> Callable[[Any], list[Finding]]:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")

    def check(value: Any) -> list[Finding]:
        (tmp_path / "set.jsonl").write_text(json.dumps(value))
        return [
            f for f in check_records(tmp_path, CheckOptions(workers=1)).findings if f.slug != "rare-labels"
        ]

    return check


def test_a_wrong_field_hides_nothing_else_of_its_line(
    findings_of: Callable[[Any], list[Finding]],
) -> None:
    found = findings_of(
        {
            "student": {
                "images": ["a.png", "absent.png"],
                "objects": [
                    {"bbox_2d": [1, 1, 9, 9], "desc": "x", "colour": "red"},
                    {"bbox_2d": [1, 1, 90, 9], "desc": "x", "size": 3},
                    {"bbox_2d": [5, 5, 5, 9], "desc": "y"},
                    {"bbox_2d": [1, 1, 9, 9], "desc": 7},
                    {"desc": "z", "image": 1},
                    "box",
                ],
                "date": "today",
            },
            "teachers": [{"images": "a.png", "objects": [{"bbox_2d": [9, 9, 1, 1], "desc": "t"}]}],
            "weight": 2,
        }
    )
    assert [(f.slug, f.what.split(": ")[0]) for f in found] == [
        ("malformed-record", "field 'weight'"),
        ("malformed-record", "field 'date'"),
        ("malformed-record", "object 0 'x'"),
        ("malformed-record", "object 1 'x'"),
        ("box-zero-area", "object 2 'y'"),
        ("malformed-record", "object 3"),
        ("malformed-record", "object 4 'z'"),
        ("malformed-record", "object 5"),
        ("malformed-record", "teacher 0, field 'images'"),
        ("box-inverted", "teacher 0, object 0 't'"),
        ("box-out-of-bounds", "object 1 'x'"),
        ("missing-image", "absent.png"),
    ]
    assert "field 'colour': unknown" in found[2].what
    assert found[8].remedy == "write a list of image paths"


def test_a_missing_field_is_named_as_missing(findings_of: Callable[[Any], list[Finding]]) -> None:
    assert [f.what for f in findings_of({"teachers": []})] == ["field 'student': missing"]
    assert [f.what for f in findings_of({"images": ["a.png"]})] == ["field 'objects': found null"]
    without = {"images": ["a.png"], "objects": [{"desc": "x"}]}
    assert [f.what for f in findings_of(without)] == ["object 0 'x': field 'bbox_2d': missing"]


WRONG: list[Any] = [
    None,
    5,
    -1,
    "",
    "x",
    [],
    [1, 2],
    {},
    True,
    [5, 5, 1, 1],
    [1, 1, 99, 9],
    [float("nan")] * 4,
    10**400,
    [5, 5, 10**400, 9],
    "/x",
    " / ",
    "a/",
    "a <|im_end|>",
    "<tool_call>",
    "half \ud800",
    "x" * 10_001,
]


def broken(rng: np.random.Generator) -> Any:
    """A record in which up to three places, at any depth, hold something else, are gone, or are new."""
    value: Any = copy.deepcopy({"student": STUDENT, "teachers": [STUDENT]} if rng.random() < 0.5 else STUDENT)
    for _ in range(int(rng.integers(0, 4))):
        places = list(_places(value))
        holder, key = places[int(rng.integers(len(places)))]
        change = rng.random()
        if change < 0.2 and isinstance(holder, dict):
            holder["extra"] = 1
        elif change < 0.4 and isinstance(holder, dict):
            del holder[key]
        else:
            holder[key] = copy.deepcopy(WRONG[int(rng.integers(len(WRONG)))])
        if not list(_places(value)):
            break
    return value


def _places(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from _places(inner)


@pytest.mark.parametrize("seed", range(6))
def test_what_has_no_finding_is_what_reading_accepts(
    seed: int, findings_of: Callable[[Any], list[Finding]]
) -> None:
    rng = np.random.default_rng(seed)
    outcomes = set()
    for _ in range(40):
        value = broken(rng)
        try:
            record = parse_record(value, "here")
        except DataError:
            accepted = False
        else:
            # Reading does not open images: a box beyond its image is the check's alone.
            scenes = (record.student, *record.teachers)
            accepted = all(max(o.bbox_2d) <= 20 for s in scenes for o in s.objects)
        found = [f for f in findings_of(value) if f.slug in LINE_KINDS]
        assert accepted == (found == []), (value, [str(f) for f in found])
        outcomes.add(accepted)
    assert outcomes == {True, False}
