"""Checks of one line of JSONL: everything that is wrong with it, whatever else is wrong with it, then its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from argusvl.core.strict_json import MalformedJsonError
from argusvl.detection.data.findings import box_problem, finding
from argusvl.detection.data.preparing.picture_check import (
    Checked,
    CheckedObject,
    CheckedPicture,
    Pictures,
    about_object,
)
from argusvl.detection.data.records import Problem, ReadScene, decode_line, read_scenes
from argusvl.doctor.findings import Finding


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
        _check_scene(scene, number, where, root, pictures, checked, split)
    return checked


def _check_scene(
    scene: ReadScene, number: int, where: str, root: Path, pictures: Pictures, checked: Checked, split: str
) -> None:
    teacher = f"teacher {number - 1}" if number else ""
    for position, name in enumerate(scene.images):
        objects = [
            CheckedObject(index, one.desc, one.bbox_2d, where, teacher)
            for index, one in scene.objects.items()
            if one.image == position
        ]
        path = root / name
        looked = pictures.look(path, name, where)
        seen = None if isinstance(looked, Finding) else looked
        if not teacher:
            checked.pictures.append(
                CheckedPicture(
                    path=path,
                    name=name,
                    where=where,
                    split=split,
                    labels=tuple(one.label for one in objects),
                    boxes_xyxy_px=np.array([one.box for one in objects], dtype=np.float32).reshape(-1, 4),
                    size=seen.size if seen else None,
                    vision_tokens=pictures.vision_tokens(seen.size) if seen else None,
                    fingerprint=seen.fingerprint if seen else None,
                    alone=len(scene.images) == 1,
                )
            )
        if isinstance(looked, Finding):
            checked.findings.append(looked)
            continue
        inside = []
        for one in objects:
            problem = box_problem(one.box, looked.size)
            if problem is None:
                inside.append(one)
            else:
                checked.findings.append(about_object(problem[0], one, f"{one}: {problem[1]}", name))
        checked.findings += pictures.check_objects(looked.size, name, where, inside)
