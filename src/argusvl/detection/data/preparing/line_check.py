"""Checks of one line of JSONL: everything that is wrong with it, whatever else is wrong with it, then its pictures.

Reading a record stops at its first error. Here a wrong field is noted and left out, so that it hides neither the next
one nor a missing image; a line without a finding of these is one that reading accepts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from argusvl.core.strict_json import MalformedJsonError, shown
from argusvl.detection.data.findings import (
    box_problem,
    crowd_problem,
    describe_object,
    description_problem,
    finding,
)
from argusvl.detection.data.preparing.picture_check import (
    Checked,
    CheckedObject,
    CheckedPicture,
    Pictures,
    about_object,
)
from argusvl.detection.data.records import OBJECT_KEYS, RECORD_KEYS, SCENE_KEYS, decode_line, is_path
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
    try:
        value = decode_line(line)
    except MalformedJsonError as error:
        checked.findings.append(finding("malformed-json", where, str(error)))
        return checked
    reader = _Reader(where, checked.findings)
    for scene in reader.scenes(value):
        _check_scene(scene, where, root, pictures, checked, split)
    return checked


@dataclass(slots=True)
class _Scene:
    """What could be read of a scene: its images, and for each of them its objects."""

    name: str
    images: list[str] = field(default_factory=list)
    objects: list[list[CheckedObject]] = field(default_factory=list)


def _check_scene(
    scene: _Scene, where: str, root: Path, pictures: Pictures, checked: Checked, split: str
) -> None:
    for name, objects in zip(scene.images, scene.objects, strict=True):
        path = root / name
        looked = pictures.look(path, name, where)
        seen = None if isinstance(looked, Finding) else looked
        if not scene.name:
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


class _Reader:
    """Reads what can be read of a decoded line and notes the rest."""

    def __init__(self, where: str, findings: list[Finding]) -> None:
        self._where = where
        self._findings = findings

    def scenes(self, value: Any) -> list[_Scene]:
        """The student, then the teachers."""
        if not isinstance(value, dict):
            self._wrong("the line", value, "write one JSON object a line")
            return []
        if "student" not in value and "images" in value:
            return [self._scene(value, "")]
        self._unknown(value, RECORD_KEYS, "")
        scenes = []
        if "student" in value:
            scenes.append(self._scene(value["student"], ""))
        else:
            self._wrong(
                "field 'student'", "missing", 'add "student": {"images": […], "objects": […]}', as_is=True
            )
        teachers = value.get("teachers", [])
        if isinstance(teachers, list):
            return [*scenes, *(self._scene(one, f"teacher {i}") for i, one in enumerate(teachers))]
        self._wrong("field 'teachers'", teachers, "write a list of scenes, or leave it out")
        return scenes

    def _scene(self, value: Any, name: str) -> _Scene:
        scene = _Scene(name)
        prefix = f"{name}, " if name else ""
        if not isinstance(value, dict):
            self._wrong(name or "field 'student'", value, 'write {"images": […], "objects": […]}')
            return scene
        self._unknown(value, SCENE_KEYS, prefix)
        images = value.get("images")
        images_known = False
        if isinstance(images, list) and all(map(is_path, images)):
            images_known = True
            scene.images, scene.objects = list(images), [[] for _ in images]
        else:
            self._wrong(f"{prefix}field 'images'", images, "write a list of image paths")
        objects = value.get("objects")
        if not isinstance(objects, list):
            self._wrong(f"{prefix}field 'objects'", objects, "write a list, empty when the image shows none")
            return scene
        if (problem := crowd_problem(len(objects))) is not None:
            self._findings.append(finding(problem[0], self._where, f"{prefix}{problem[1]}"))
            return scene
        for index, entry in enumerate(objects):
            read = self._object(entry, index, scene, images_known)
            if read is not None and scene.objects:
                scene.objects[read[0]].append(read[1])
        return scene

    def _object(
        self, entry: Any, index: int, scene: _Scene, images_known: bool
    ) -> tuple[int, CheckedObject] | None:
        """The object with its image's number; ``None`` where it has no box or no description."""
        if not isinstance(entry, dict):
            place = f"{scene.name}, object {index}" if scene.name else f"object {index}"
            self._wrong(place, entry, 'write {"bbox_2d": [x1, y1, x2, y2], "desc": "…"}')
            return None
        label, box = entry.get("desc"), entry.get("bbox_2d")
        name = describe_object(index, label, scene.name)
        if not isinstance(label, str):
            name = f"{scene.name}, object {index}" if scene.name else f"object {index}"
        self._unknown(entry, OBJECT_KEYS, f"{name}: ")
        image = entry.get("image", 0)
        if images_known and not scene.images:
            self._wrong(name, "has no image", "name the image that shows it, or remove it", as_is=True)
            return None
        if (
            not isinstance(image, int)
            or isinstance(image, bool)
            or not 0 <= image < max(len(scene.images), 1)
        ):
            if images_known or not isinstance(image, int) or isinstance(image, bool) or image < 0:
                remedy = f"write an index from 0 to {len(scene.images) - 1}"
                self._wrong(f"{name}: field 'image'", image, remedy)
            return None
        problems = [one for one in (_box_problem(entry), _label_problem(label)) if one is not None]
        for problem in problems:
            self._findings.append(
                finding(
                    problem[0],
                    self._where,
                    f"{name}: {problem[1]}",
                    image=scene.images[image] if scene.images else None,
                    object_index=index,
                    label=label if isinstance(label, str) else None,
                    box=box if isinstance(box, list) and len(box) == 4 else None,
                )
            )
        if "bbox_2d" not in entry:
            self._wrong(f"{name}: field 'bbox_2d'", "missing", "write [x1, y1, x2, y2] in pixels", as_is=True)
        if not isinstance(label, str):
            self._wrong(f"{name}: field 'desc'", label, "write a description that is not empty")
        if problems or not isinstance(label, str) or not isinstance(box, list):
            return None
        x1, y1, x2, y2 = (float(v) for v in box)
        return image, CheckedObject(index, label, (x1, y1, x2, y2), self._where, scene.name)

    def _unknown(self, value: dict[str, Any], known: set[str], prefix: str) -> None:
        for key in value:
            if key not in known:
                remedy = f"remove it; the fields here are {', '.join(sorted(known))}"
                self._wrong(f"{prefix}field {key[:100]!r}", "unknown", remedy, as_is=True)

    def _wrong(self, what: str, found: Any, remedy: str, *, as_is: bool = False) -> None:
        text = found if as_is else f"found {shown(found, 120)}"
        self._findings.append(finding("malformed-record", self._where, f"{what}: {text}", remedy=remedy))


def _box_problem(entry: dict[str, Any]) -> tuple[str, str] | None:
    """The kind and text of what is wrong with an object's box, where it has one."""
    if "bbox_2d" not in entry:
        return None
    box = entry["bbox_2d"]
    if not isinstance(box, list) or len(box) != 4:
        return "box-not-a-number", f"the box is {shown(box, 120)}, not four numbers"
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in box):
        return "box-not-a-number", f"box {shown(box, 120)} holds a value that is no number"
    return box_problem(box, None)


def _label_problem(label: Any) -> tuple[str, str] | None:
    return description_problem(label) if isinstance(label, str) else None
