"""Argus' own records: one JSON object a line, see ``records.py``.

Unlike the dataset that trains on records, which stops at the first bad line, a conversion goes on: a bad object or line
is a finding, and the rest is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argus_doctor.findings import Finding
from argusvl.core.errors import DataError
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats.base import Files, Format, PlacedRecord, lines_by_split
from argusvl.detection.data.formats.lines import LineScene, line_reader
from argusvl.detection.data.records import parse_record, record_to_json


def parse_argus(value: Any, where: str) -> list[LineScene] | Finding:
    """Reads one decoded line: the student's scene, then its teachers'."""
    try:
        record = parse_record(_without_objects(value), where)
    except DataError as error:
        return finding("malformed-record", where, error.what, remedy=error.remedy)
    scenes = [LineScene(scene.images) for scene in record.scenes]
    if not all(scene.images for scene in scenes):
        return finding("malformed-record", where, "a scene without an image: there is nothing to convert")
    bodies = {f"teachers[{i}].": body for i, body in enumerate(value.get("teachers", []))}
    bodies = {"student.": value["student"], **bodies} if "student" in value else {"": value}
    for scene, (prefix, body) in zip(scenes, bodies.items(), strict=True):
        scene.read_objects(body["objects"], where, "desc", f"{prefix}objects")
    return scenes


def write_argus(records: Sequence[PlacedRecord], language: str) -> Files:
    """``<split>.jsonl`` for each split."""
    return lines_by_split(records, lambda one: record_to_json(one.record))


ARGUS = Format(
    read=line_reader(parse_argus, "name a JSONL file, or a folder with train.jsonl", pool=True),
    write=write_argus,
    image_folder="images",
    several_images=True,
    no_images=True,
    teachers=True,
)


def _without_objects(value: Any) -> Any:
    """A line, or a scene of it, with empty lists of objects: what remains to be wrong concerns the whole line."""
    if not isinstance(value, dict):
        return value
    bare = {**value, "objects": []} if isinstance(value.get("objects"), list) else {**value}
    if "student" in value:
        bare["student"] = _without_objects(value["student"])
        if isinstance(value.get("teachers"), list):
            bare["teachers"] = [_without_objects(teacher) for teacher in value["teachers"]]
    return bare
