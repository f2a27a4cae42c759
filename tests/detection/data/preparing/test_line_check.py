"""A line is checked to its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from argus_doctor.findings import Finding
from argusvl.detection.data.preparing.check import CheckOptions, check_records


@pytest.fixture
def findings_of(tmp_path: Path) -> Callable[[Any], list[Finding]]:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")

    def check(value: Any) -> list[Finding]:
        (tmp_path / "set.jsonl").write_text(json.dumps(value))
        return [
            f for f in check_records(tmp_path, CheckOptions(workers=1)).findings if f.slug != "rare-labels"
        ]

    return check


def test_a_wrong_field_hides_nothing_else(findings_of: Callable[[Any], list[Finding]]) -> None:
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
        ("malformed-record", "unknown field 'weight'"),
        ("malformed-record", "unknown field 'student.date'"),
        ("malformed-record", "unknown field 'student.objects[0].colour'"),
        ("malformed-record", "unknown field 'student.objects[1].size'"),
        ("box-zero-area", "field 'student.objects[2].bbox_2d'"),
        ("malformed-record", "field 'student.objects[3].desc'"),
        ("box-not-a-number", "field 'student.objects[4].bbox_2d'"),
        ("malformed-record", "field 'student.objects[5]'"),
        ("malformed-record", "field 'teachers[0].images'"),
        ("box-inverted", "field 'teachers[0].objects[0].bbox_2d'"),
        ("box-out-of-bounds", "object 1 'x'"),
        ("missing-image", "absent.png"),
    ]
    assert (found[4].numbers["object_index"], found[4].numbers["label"]) == (2, "y")
    assert found[8].remedy == "write a list of image paths"


def test_a_missing_field_is_named_as_missing(findings_of: Callable[[Any], list[Finding]]) -> None:
    assert [f.what for f in findings_of({"teachers": []})] == ["field 'student': missing"]
    assert [f.what for f in findings_of({"images": ["a.png"]})] == ["field 'objects': missing"]
    without = {"images": ["a.png"], "objects": [{"desc": "x"}]}
    assert [f.what for f in findings_of(without)] == ["field 'objects[0].bbox_2d': missing"]
