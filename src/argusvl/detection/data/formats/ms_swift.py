"""The grounding records of ms-swift, one JSON object a line.

``{"messages": […], "images": [path], "objects": {"ref": ["…"], "bbox": [[x1, y1, x2, y2]], "bbox_type": "real"}}``. In
the messages ``<ref-object>`` and ``<bbox>`` stand for the entries of ``ref`` and ``bbox``, one after the other;
``image_id`` names the image of each box. ``bbox_type`` is ``real`` (pixels), ``norm1`` (fractions) or ``norm1000``
(thousandths).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from argus_doctor.findings import Finding
from argusvl.core.strict_json import shown
from argusvl.detection.data.findings import finding, show_box
from argusvl.detection.data.formats.base import (
    Files,
    Format,
    PlacedRecord,
    SourceObject,
    lines_by_split,
    object_or_finding,
)
from argusvl.detection.data.formats.lines import LineScene, image_index, image_paths, line_reader, without
from argusvl.detection.data.formats.numbers import enclosing_box, numbers
from argusvl.detection.data.prompts import prompts_for
from argusvl.detection.data.records import Scene, plain_box
from argusvl.detection.data.resize import Box

_SCALES = {"real": None, "norm1": 1.0, "norm1000": 1000.0}
_MARK = re.compile(r"<ref-object>|<bbox>")


def parse_ms_swift(value: Any, where: str) -> list[LineScene] | Finding:
    """Reads one decoded line."""
    bad = partial(finding, "malformed-annotation", where)
    if not isinstance(value, dict):
        return bad(f"the line is {shown(value)}, not an object")
    images = image_paths(value.get("images"))
    if not images:
        return bad(f"images is {shown(value.get('images'))}, not a list of paths")
    objects = value.get("objects")
    if not isinstance(objects, dict):
        return bad(f"objects is {shown(objects)}, not {{ref, bbox}}")
    boxes, refs = objects.get("bbox"), objects.get("ref")
    kind = objects.get("bbox_type") or "real"
    if not isinstance(boxes, list) or not isinstance(refs, list):
        return bad(f"objects: bbox is {shown(boxes)} and ref {shown(refs)}: both must be lists")
    if not isinstance(kind, str) or kind not in _SCALES:
        return bad(f"objects: bbox_type is {shown(kind)}: known are {', '.join(_SCALES)}")
    owners = _owners(value.get("messages"), len(boxes), len(refs))
    if owners is None:
        counts = f"{len(boxes)} boxes and {len(refs)} names"
        return bad(f"objects: {counts}, and the messages do not say which belong together")
    shown_by = objects.get("image_id") or []
    if not isinstance(shown_by, list):
        return bad(f"objects: image_id is {shown(shown_by)}, not a list")
    scene = LineScene(images, relative=_SCALES[kind] is not None)
    for index, box in enumerate(boxes):
        stated = shown_by[index] if index < len(shown_by) else 0
        image = image_index(stated, len(images), index, where, f"objects.image_id[{index}]")
        scene.add(image, _object(box, refs[owners[index]], index, where, _SCALES[kind]))
    return [scene]


def write_ms_swift(records: Sequence[PlacedRecord], language: str) -> Files:
    """``<split>.jsonl`` for each split; the answer is the JSON list of Qwen2.5-VL, with marks for boxes and labels."""
    prompts = prompts_for(language)

    def line(record: PlacedRecord) -> dict[str, Any]:
        student, several = record.record.student, len(record.record.student.images) > 1
        items = [
            (f'{{"image": {one.image}, ' if several else "{") + f'"bbox_2d": <bbox>, "label": {label}}}'
            for one, label in zip(student.objects, _labels_in_answer(student), strict=True)
        ]
        objects: dict[str, Any] = {
            "ref": [one.desc for one in student.objects],
            "bbox": [plain_box(one.bbox_2d) for one in student.objects],
            "bbox_type": "real",
        }
        if several:
            objects["image_id"] = [one.image for one in student.objects]
        question = "<image>" * len(student.images) + prompts.user(len(student.images))
        return {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": f"[{', '.join(items)}]"},
            ],
            "images": list(student.images),
            "objects": objects,
        }

    return lines_by_split(records, line)


MS_SWIFT = Format(
    read=line_reader(parse_ms_swift, "name a JSONL or JSON file of ms-swift records, or a folder with one"),
    write=write_ms_swift,
    image_folder="images",
    several_images=True,
    label_problem=without(
        "<image>", "<video>", "<audio>", "<bbox>", "<ref-object>"
    ),  # they would be replaced, too
)


def _labels_in_answer(scene: Scene) -> list[str]:
    """Marks, or where a description holds quotes or line breaks, the JSON texts: a mark is replaced without escapes."""
    texts = [json.dumps(one.desc, ensure_ascii=False) for one in scene.objects]
    if all(text == f'"{one.desc}"' for text, one in zip(texts, scene.objects, strict=True)):
        return ['"<ref-object>"'] * len(texts)
    return texts


def _owners(messages: Any, num_boxes: int, num_refs: int) -> list[int] | None:
    """For each box the position of its name; ``None`` where it cannot be told.

    As many names as boxes go pairwise. Otherwise a box belongs to the name last mentioned before it, and boxes without
    any mention to the only name there is.
    """
    if num_boxes == num_refs:
        return list(range(num_boxes))
    owners: list[int] = []
    named = -1
    for turn in messages if isinstance(messages, list) else []:
        content = turn.get("content") if isinstance(turn, dict) else None
        for mark in _MARK.findall(content) if isinstance(content, str) else ():
            if mark == "<bbox>":
                owners.append(named)
            else:
                named += 1
    if len(owners) == num_boxes and all(0 <= owner < num_refs for owner in owners):
        return owners
    return [0] * num_boxes if num_refs == 1 else None


def _object(box: Any, label: Any, index: int, place: str, scale: float | None) -> SourceObject | Finding:
    if not isinstance(label, str) or not label.strip():
        text = f"objects.ref of box {index} is {shown(label)}, not a description"
        return finding("empty-label", place, text, object_index=index)
    found = object_or_finding(index, label, _box(box), place)
    if isinstance(found, Finding) or scale is None:
        return found
    x1, y1, x2, y2 = found.box_xyxy_px
    if any(v < 0 or v > scale for v in found.box_xyxy_px):
        text = f"{found}: box {show_box(found.box_xyxy_px)} reaches outside 0 to {scale:g}"
        remedy = f"write numbers from 0 to {scale:g}, or the bbox_type that they have"
        box = found.box_xyxy_px
        return finding(
            "box-not-normalised", place, text, object_index=index, label=label, box=box, remedy=remedy
        )
    return replace(found, box_xyxy_px=(x1 / scale, y1 / scale, x2 / scale, y2 / scale))


def _box(value: Any) -> Box | str:
    """The box, or ``kind: why`` there is none."""
    values = numbers(value)
    if values is None or len(values) % 2 or not values:
        return f"box-not-a-number: the box is {shown(value)}, not four finite numbers"
    if len(values) == 2:
        return f"not-a-box: {shown(value)} is a point"
    if len(values) == 4:
        x1, y1, x2, y2 = values
        return (x1, y1, x2, y2)
    return enclosing_box(value)
