"""Label Studio: a JSON list of tasks, boxes as ``RectangleLabels`` in percent of the image's sides.

A full export is read, and a list of tasks as it is imported. Of the answers of several annotators the one that is
marked as ground truth is used, else the last. What only a model has predicted is nobody's label: such a task is refused
by name. Turned boxes, turned images, and shapes that are no boxes are refused by name as well; choices and texts are
left out, which is said.

What is written is a folder that Label Studio serves itself: ``label-studio.json`` names each image by its path below
the folder (``/data/local-files/?d=images/a.jpg``), and ``labels.xml`` is the labelling interface.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from argus_doctor.findings import Finding
from argusvl.core.errors import DataError
from argusvl.core.strict_json import finite_number, shown
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats.base import (
    Annotation,
    Files,
    Format,
    PlacedRecord,
    ReadOptions,
    Source,
    SourceObject,
    labels_in,
    object_or_finding,
)
from argusvl.detection.data.formats.numbers import numbers, side_lengths
from argusvl.detection.data.formats.text import JsonText, KeyPath, parse_json
from argusvl.detection.data.formats.tree import Parsed, list_documents, split_named
from argusvl.detection.data.formats.xml_tree import unwritable
from argusvl.detection.data.resize import Box

FROM_NAME, TO_NAME, DATA_KEY = "label", "image", "image"
"""The names in the labelling interface that is written: of the labels, of the picture, of its place in a task."""

TASKS_FILE, INTERFACE_FILE = "label-studio.json", "labels.xml"

_SHAPES = ("rectangle", "polygon", "ellipse", "brush", "keypoint", "vector", "ellipselabels", "bitmask")
_UPLOADED = re.compile(r"\A[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of a file that was uploaded."""


# --- values that others use as well ---------------------------------------------------------------------------------


def local_file(path: str) -> str:
    """How a task names an image below the folder that Label Studio serves."""
    return f"/data/local-files/?d={quote(path)}"


def rectangle(key: str, box_xyxy_px: Sequence[float], label: str, size: tuple[int, int]) -> dict[str, Any]:
    """One box as a region of a result, where its ``key`` is unique; ``size`` is the image's, in pixels."""
    x1, y1, x2, y2 = (float(v) for v in box_xyxy_px)
    width, height = size
    edges = {"x": x1 / width, "y": y1 / height, "width": (x2 - x1) / width, "height": (y2 - y1) / height}
    return {
        "id": key,
        "type": "rectanglelabels",
        "from_name": FROM_NAME,
        "to_name": TO_NAME,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {**{k: 100 * v for k, v in edges.items()}, "rotation": 0, "rectanglelabels": [label]},
    }


def labelling_interface(labels: Iterable[str]) -> str:
    """The configuration of a project for these labels."""
    lines = ["<View>", f'  <Image name="{TO_NAME}" value="${DATA_KEY}" zoom="true"/>']
    lines += [f'  <RectangleLabels name="{FROM_NAME}" toName="{TO_NAME}">']
    lines += [f"    <Label value={quoteattr(label)}/>" for label in labels]
    return "\n".join([*lines, "  </RectangleLabels>", "</View>", ""])


def tasks_text(tasks: Iterable[Mapping[str, Any]]) -> str:
    """A list of tasks with one task a line."""
    return "[\n" + ",\n".join(json.dumps(task, ensure_ascii=False) for task in tasks) + "\n]\n"


# --- the format -----------------------------------------------------------------------------------------------------


def read_label_studio(folder: Path, options: ReadOptions) -> Source:
    """Lists a Label Studio source: a folder with exports and images, or one JSON file beside its images."""
    if options.pixel_offset and folder.exists():
        text = "a pixel offset is given, but Label Studio's boxes are shares of the image"
        raise DataError(text, where=folder, remedy="leave out --pixel-offset")
    remedy = "name a folder with Label Studio's JSON export and its images, or that file"
    return list_documents(folder, ".json", parse_label_studio, remedy)


def parse_label_studio(content: bytes, where: str) -> Parsed:
    """Reads one document, which findings name ``where``; no file is touched. Boxes are fractions of the sides."""
    document = parse_json(content, where)
    if isinstance(document, Finding):
        return [], [document]
    findings = list(document.warnings)
    if not isinstance(document.value, list):
        text = f"the file holds {shown(document.value)}, not a list of tasks"
        return [], [*findings, finding("malformed-annotation", document.place(), text)]
    tasks = [_task(document, position) for position in range(len(document.value))]
    return tasks, findings


def write_label_studio(records: Sequence[PlacedRecord], language: str) -> Files:
    """The list of annotated tasks, and the labelling interface."""
    tasks = []
    for record in records:
        result = [
            rectangle(f"r{k}", one.bbox_2d, one.desc, record.size) for k, one in enumerate(record.objects)
        ]
        data = {DATA_KEY: local_file(record.image), "split": record.split}
        tasks.append({"data": data, "annotations": [{"result": result}]})
    yield TASKS_FILE, tasks_text(tasks)
    yield INTERFACE_FILE, labelling_interface(labels_in(records))


LABEL_STUDIO = Format(
    read=read_label_studio,
    write=write_label_studio,
    image_folder="images/{split}",
    label_problem=unwritable,
)


# --- one task -------------------------------------------------------------------------------------------------------


def _task(document: JsonText, position: int) -> tuple[str | None, Annotation]:
    """The split that a task states, and what it says of its image."""
    value, where = document.value[position], document.place(position)
    data = value.get("data") if isinstance(value, dict) else None
    name = _image_name(data) if isinstance(data, dict) else None
    if name is None or not isinstance(data, dict):
        text = f"task {position}: data is {shown(data)}, which names no image"
        return None, Annotation.unusable(where, finding("malformed-annotation", where, text))
    stated = data.get("split")
    split = split_named(stated) if isinstance(stated, str) else None
    findings: list[Finding] = []
    chosen = _answer(document, position, name, findings)
    if chosen is None:
        return split, Annotation(where, remarks=findings, usable=False, file_name=name)
    return split, _annotation(document, (position, "annotations", chosen, "result"), name, findings)


def _answer(document: JsonText, position: int, name: str, findings: list[Finding]) -> int | None:
    """Which of a task's answers is used; where there is none, a finding says why."""
    value = document.value[position]
    answers, where = value.get("annotations"), document.place(position, "annotations")
    if answers is not None and not isinstance(answers, list):
        text = f"{name!r}: annotations is {shown(answers)}, not a list"
        findings.append(finding("malformed-annotation", where, text, image=name))
        return None
    usable = {
        k: one
        for k, one in enumerate(answers or ())
        if isinstance(one, dict) and isinstance(one.get("result"), list) and not one.get("was_cancelled")
    }
    if not usable:
        text = f"{name!r}: nobody has annotated it"
        if value.get("predictions"):
            text += " (a model's predictions are nobody's labels)"
        findings.append(finding("image-without-annotation", document.place(position), text, image=name))
        return None
    true = [k for k, one in usable.items() if one.get("ground_truth") is True]
    chosen = (true or list(usable))[-1]
    if len(usable) > 1:
        text = f"{name!r}: {len(usable)} annotators have answered; the answer {chosen} is used"
        findings.append(finding("left-out", where, text, image=name))
    return chosen


def _annotation(document: JsonText, path: KeyPath, name: str, findings: list[Finding]) -> Annotation:
    """What the result at a path says, regions of other kinds than boxes included."""
    regions: Any = document.value
    for step in path:
        regions = regions[step]
    sizes = set()
    objects: list[SourceObject | Finding] = []
    others = 0
    for k, region in enumerate(regions):
        if isinstance(region, dict) and not _is_shape(region):
            others += 1
            continue
        objects.append(_object(region, len(objects), document.place(*path, k)))
        if isinstance(region, dict):
            sizes.add(side_lengths(region.get("original_width"), region.get("original_height")))
    if others:
        text = f"{name!r}: {others} answers beside the boxes (choices, texts, relations) are left out"
        findings.append(finding("left-out", document.place(*path), text, image=name))
    if len(sizes) > 1:
        text = f"{name!r}: its boxes state different sizes of the image"
        findings.append(finding("missing-size", document.place(*path), text, image=name))
    size = sizes.pop() if len(sizes) == 1 else None
    where = document.place(path[0])
    return Annotation(where, objects, findings, size=size, file_name=name, relative=True)


def _object(region: Any, index: int, place: str) -> SourceObject | Finding:
    value = region.get("value") if isinstance(region, dict) else None
    if not isinstance(value, dict):
        text = f"object {index} is {shown(region)}, which has no value"
        return finding("malformed-annotation", place, text, object_index=index)
    labels = value.get("rectanglelabels", value.get("labels"))
    kind = str(region.get("type"))
    if not kind.startswith("rectangle"):
        labels = value.get(kind, labels)
    labels = labels if isinstance(labels, list) else []
    texts = [one for one in labels if isinstance(one, str) and one.strip()]
    if not texts:
        return finding("empty-label", place, f"object {index} has no label", object_index=index)
    if len(texts) > 1:
        text = f"object {index} has {len(texts)} labels: {shown(texts)}"
        return finding("malformed-annotation", place, text, object_index=index)
    return object_or_finding(index, texts[0], _box(region, value, kind), place)


def _is_shape(region: Mapping[str, Any]) -> bool:
    kind = region.get("type")
    return not isinstance(kind, str) or kind.removesuffix("labels") in _SHAPES or kind == "labels"


def _box(region: Mapping[str, Any], value: Mapping[str, Any], kind: str) -> Box | str:
    """The box as fractions, or ``kind: why`` there is none."""
    if kind.removesuffix("labels") not in ("rectangle", ""):
        return f"not-a-box: a region of type {shown(kind)} is no box"
    for name, turn in (("it", value.get("rotation")), ("the image", region.get("image_rotation"))):
        if turn is not None and finite_number(turn) != 0:
            return f"not-a-box: {name} is turned by {shown(turn)} degrees"
    stated = [value.get(side) for side in ("x", "y", "width", "height")]
    found = numbers(stated, 4)
    if found is None:
        return f"box-not-a-number: x, y, width, height are {shown(stated)}, not four finite numbers"
    x, y, width, height = (v / 100 for v in found)
    # A billionth of the image: what is left of the border after percents were added.
    x2, y2 = (1.0 if abs(edge - 1) < 1e-9 else edge for edge in (x + width, y + height))
    return (x, y, x2, y2)


def _image_name(data: Mapping[str, Any]) -> str | None:
    """The image's path as far as the task's address tells it; ``None`` where it names none."""
    dotted = [value for value in data.values() if isinstance(value, str) and "." in value]
    text = data.get(DATA_KEY, dotted[0] if len(dotted) == 1 else None)
    if not isinstance(text, str):
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    served = parse_qs(parts.query).get("d") if parts.path.rstrip("/").endswith("/data/local-files") else None
    if served:
        return served[0].strip("/") or None
    name = unquote(parts.path) if parts.scheme or parts.path.startswith("/data/") else text
    if parts.path.startswith("/data/upload/"):
        name = _UPLOADED.sub("", name.rpartition("/")[2])
    return name.strip("/") or None
