"""Checks of one line of JSONL: every bad box in it, whatever else is wrong with it, then its pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from argusvl.core.errors import DataError
from argusvl.detection.data.findings import Finding, box_problem, describe_object, finding
from argusvl.detection.data.picture_check import Checked, CheckedObject, Pictures, about_object
from argusvl.detection.data.records import Scene, parse_record


def check_line(numbered: tuple[int, bytes], *, file: Path, root: Path, pictures: Pictures) -> Checked:
    """Checks one line of a records file.

    Args:
        numbered: Line number, from 1, and the line.
        file: The file, named in findings.
        root: Folder that image paths are relative to.
        pictures: Checks the images.
    """
    number, line = numbered
    where = f"{file}:{number}"
    checked = Checked()
    try:
        value = json.loads(line.decode("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError as error:
        text = f"the line is not UTF-8: {error.reason} at byte {error.start}"
        checked.findings.append(finding("malformed-json", where, text))
        return checked
    except json.JSONDecodeError as error:
        text = f"malformed JSON: {error.msg} at column {error.colno}"
        checked.findings.append(finding("malformed-json", where, text))
        return checked
    value, indices = _without_bad_objects(value, where, checked.findings)
    try:
        record = parse_record(value, where)
    except DataError as error:
        checked.findings.append(finding("malformed-record", where, error.what, remedy=error.remedy))
        return checked
    scenes = [("student.", record.student), *((f"teachers[{i}].", t) for i, t in enumerate(record.teachers))]
    for prefix, scene in scenes:
        is_student = prefix == "student."
        _check_scene(scene, indices.get(prefix, []), where, root, pictures, checked, is_student)
    return checked


def _check_scene(
    scene: Scene,
    indices: Sequence[int],
    where: str,
    root: Path,
    pictures: Pictures,
    checked: Checked,
    is_student: bool,
) -> None:
    for image_index, name in enumerate(scene.images):
        path = root / name
        of_image = [
            CheckedObject(index, a.desc, a.bbox_2d, where)
            for index, a in zip(indices, scene.objects, strict=True)
            if a.image == image_index
        ]
        if is_student:
            checked.paths.append((path, where))
            checked.labels.append([one.label for one in of_image])
        size = pictures.size(path, name, where)
        if isinstance(size, Finding):
            checked.findings.append(size)
            continue
        inside = []
        for one in of_image:
            problem = box_problem(one.box, size)
            if problem is None:
                inside.append(one)
            else:
                text = f"{describe_object(one.index, one.label)}: {problem[1]}"
                checked.findings.append(about_object(problem[0], one, text, name))
        more = pictures.check_objects(size, name, where, inside)
        checked.findings += more.findings
        checked.vision_tokens += more.vision_tokens if is_student else []


def _without_bad_objects(value: Any, where: str, findings: list[Finding]) -> tuple[Any, dict[str, list[int]]]:
    """The decoded line without the objects whose box or label is wrong, each of which becomes a finding.

    The record's own validation stops at its first error; here one bad box must not hide the next. Whatever else is
    wrong with the line is left in it.

    Returns:
        The line, and for each scene (``student.``, ``teachers[0].``, …) the original indices of the objects kept.
    """
    indices: dict[str, list[int]] = {}

    def clean(scene: Any, prefix: str) -> Any:
        objects = scene.get("objects") if isinstance(scene, dict) else None
        if not isinstance(objects, list):
            return scene
        images = scene.get("images")
        kept = []
        for index, entry in enumerate(objects):
            problem = _object_problem(entry)
            if problem is None:
                kept.append(index)
                continue
            kind, text = problem
            label = entry.get("desc")
            name = images[0] if isinstance(images, list) and len(images) == 1 else None
            findings.append(
                finding(
                    kind,
                    where,
                    f"{'' if prefix == 'student.' else prefix}objects[{index}] {label!r}: {text}",
                    image=name if isinstance(name, str) else None,
                    object_index=index,
                    label=label if isinstance(label, str) else None,
                    box=_four(entry.get("bbox_2d")),
                )
            )
        indices[prefix] = kept
        return {**scene, "objects": [objects[i] for i in kept]}

    if not isinstance(value, dict):
        return value, indices
    if "student" not in value:
        return clean(value, "student."), indices
    cleaned = {**value, "student": clean(value["student"], "student.")}
    if isinstance(value.get("teachers"), list):
        cleaned["teachers"] = [clean(t, f"teachers[{i}].") for i, t in enumerate(value["teachers"])]
    return cleaned, indices


def _object_problem(entry: Any) -> tuple[str, str] | None:
    if not isinstance(entry, dict) or "bbox_2d" not in entry:
        return None  # for the record's validation, which names the field
    box = entry["bbox_2d"]
    if not isinstance(box, list) or len(box) != 4:
        return "box-not-a-number", f"the box is {json.dumps(box, ensure_ascii=False)[:120]}, not four numbers"
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in box):
        return (
            "box-not-a-number",
            f"box {json.dumps(box, ensure_ascii=False)[:120]} holds a value that is no number",
        )
    problem = box_problem(box, None)
    if problem is None and isinstance(entry.get("desc"), str) and not entry["desc"].strip():
        return "empty-label", "the description is empty"
    return problem


def _four(box: Any) -> list[Any] | None:
    return box if isinstance(box, list) and len(box) == 4 else None
