"""Argus' own records: one JSON object a line, see ``records.py``.

Unlike the dataset that trains on records, which stops at the first bad line, a conversion goes on: a bad object or line
is a finding, and the rest is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from argus_doctor.findings import Finding
from argusvl.core.errors import DataError
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats.base import (
    Format,
    PlacedRecord,
    PlacedScene,
    WriteOptions,
    lines_by_split,
)
from argusvl.detection.data.formats.lines import LineScene, line_reader
from argusvl.detection.data.records import Record, Scene, parse_record, record_to_json


def parse_argus(value: Any, where: str) -> list[LineScene] | Finding:
    """Reads one decoded line: the student's scene, then its teachers'."""
    try:
        record = parse_record(_without_objects(value), where)
    except DataError as error:
        return finding("malformed-record", where, error.what, remedy=error.remedy)
    if not all(scene.images for scene in (record.student, *record.teachers)):
        return finding("malformed-record", where, "a scene without an image: there is nothing to convert")
    bodies = [value.get("student", value), *value.get("teachers", [])]
    prefixes = [
        "" if "student" not in value else "student.",
        *(f"teachers[{i}]." for i in range(len(bodies))),
    ]
    scenes = (record.student, *record.teachers)
    return [
        _scene(scene.images, body["objects"], where, prefix)
        for scene, body, prefix in zip(scenes, bodies, prefixes, strict=False)
    ]


def write_argus(records: Sequence[PlacedRecord], options: WriteOptions) -> Iterator[tuple[str, str]]:
    """``<split>.jsonl`` for each split."""
    return lines_by_split(
        records,
        lambda one: record_to_json(Record(_plain(one.student), tuple(map(_plain, one.teachers)))),
    )


ARGUS = Format(
    read=line_reader(parse_argus, "name a JSONL file, or a folder with train.jsonl", pool=True),
    write=write_argus,
    image_folder="images",
    several_images=True,
    teachers=True,
)


def _plain(scene: PlacedScene) -> Scene:
    return Scene(tuple(image.path for image in scene.images), scene.objects)


def _without_objects(value: Any) -> Any:
    """The line with empty lists of objects: what remains to be wrong concerns the whole line."""

    def bare(scene: Any) -> Any:
        return (
            {**scene, "objects": []}
            if isinstance(scene, dict) and isinstance(scene.get("objects"), list)
            else scene
        )

    if not isinstance(value, dict):
        return value
    if "student" not in value:
        return bare(value)
    stripped = {**value, "student": bare(value["student"])}
    if isinstance(value.get("teachers"), list):
        stripped["teachers"] = [bare(teacher) for teacher in value["teachers"]]
    return stripped


def _scene(images: Sequence[str], objects: list[Any], where: str, prefix: str) -> LineScene:
    scene = LineScene(images)
    scene.read_objects(objects, where, "desc", f"{prefix}objects")
    return scene
