"""Checks of one line of JSONL: everything that is wrong with it, whatever else is wrong with it, then its pictures."""

from __future__ import annotations

from pathlib import Path

from argusvl.core.strict_json import MalformedJsonError
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats.base import SourceObject
from argusvl.detection.data.preparing.picture_check import Checked, Pictures
from argusvl.detection.data.records import Problem, decode_line, read_scenes


def check_line(line: bytes, where: str, *, root: Path, pictures: Pictures, split: str) -> Checked:
    """Checks one line of a records file.

    Args:
        line: The line.
        where: ``file:line``, named in findings.
        root: Folder that image paths are relative to.
        pictures: Checks the images.
        split: The split that its images stand in.
    """
    checked = Checked()

    def note(problem: Problem) -> None:
        checked.findings.append(
            finding(problem.slug, where, problem.what, remedy=problem.remedy, **problem.about)
        )

    try:
        value = decode_line(line)
    except MalformedJsonError as error:
        checked.findings.append(finding("malformed-json", where, str(error)))
        return checked
    for number, scene in enumerate(read_scenes(value, note)):
        teacher = f"teacher {number - 1}" if number else ""
        for position, name in enumerate(scene.images):
            objects = [
                SourceObject(index, one.desc, one.bbox_2d, where, teacher)
                for index, one in scene.objects.items()
                if one.image == position
            ]
            alone, of_split = len(scene.images) == 1, None if teacher else split
            checked.add(pictures.check(root / name, name, where, objects, split=of_split, alone=alone))
    return checked
