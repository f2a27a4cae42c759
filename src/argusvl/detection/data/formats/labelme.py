"""LabelMe: one JSON file beside each image, with shapes.

Rectangles (two opposite corners, in whichever order they were drawn), polygons, circles (centre and a point of the rim)
and masks (whose points are the corners around them) become boxes. Lines and points enclose nothing and are refused.
"""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from argus_doctor.findings import Finding
from argusvl.core.strict_json import shown
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats.base import (
    Annotation,
    Files,
    Format,
    PlacedRecord,
    ReadOptions,
    Source,
    SourceObject,
    object_or_finding,
)
from argusvl.detection.data.formats.numbers import around, enclosing_box, points_of, side_lengths
from argusvl.detection.data.formats.per_image import json_parser, list_per_image, unusable
from argusvl.detection.data.formats.text import JsonText
from argusvl.detection.data.formats.tree import stem_of
from argusvl.detection.data.records import plain_box
from argusvl.detection.data.resize import Box

_VERSION = "5.5.0"
"""Of LabelMe's file layout; it warns of files that state another major version."""

_CORNER_PAIRS = ("rectangle", "mask")
_OUTLINES = ("polygon", "rotation", "oriented_rectangle", "quadrilateral")


def parse_labelme(document: JsonText) -> Annotation:
    """Reads one document; no file is touched."""
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("shapes"), list):
        return unusable(document, f"holds no list of shapes: {shown(value)}")
    findings = list(document.warnings)
    size = side_lengths(value.get("imageWidth"), value.get("imageHeight"))
    if size is None:
        text = f"no usable image size: imageWidth is {shown(value.get('imageWidth'))} and imageHeight "
        text += shown(value.get("imageHeight"))
        findings.append(finding("missing-size", document.place("imageWidth"), text))
    objects = [_object(document, shape, index) for index, shape in enumerate(value["shapes"])]
    stated = value.get("imagePath")
    name = stated if isinstance(stated, str) and stated else None
    return Annotation(document.where, objects, findings, size=size, file_name=name)


def read_labelme(folder: Path, options: ReadOptions) -> Source:
    """Lists a folder of images with LabelMe files."""
    remedy = "name a folder of images with LabelMe's JSON files beside them"
    return list_per_image(folder, json_parser(parse_labelme), remedy)


def write_labelme(records: Sequence[PlacedRecord], language: str) -> Files:
    """One JSON file beside each image."""
    for record in records:
        width, height = record.size
        document: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": [
                {
                    "label": one.desc,
                    "points": [plain_box(one.bbox_2d[:2]), plain_box(one.bbox_2d[2:])],
                    "group_id": None,
                    "description": "",
                    "shape_type": "rectangle",
                    "flags": {},
                }
                for one in record.objects
            ],
            "imagePath": posixpath.basename(record.image),
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        yield f"{stem_of(record.image)}.json", json.dumps(document, ensure_ascii=False, indent=2) + "\n"


LABELME = Format(read=read_labelme, write=write_labelme, image_folder="{split}")


def _object(document: JsonText, shape: Any, index: int) -> SourceObject | Finding:
    place = document.place("shapes", index)
    if not isinstance(shape, dict):
        return finding("malformed-annotation", place, f"shapes[{index}] is {shown(shape)}, not an object")
    label = shape.get("label")
    if not isinstance(label, str) or not label.strip():
        text = f"object {index} has no label: {shown(label)}"
        return finding("empty-label", place, text, object_index=index)
    return object_or_finding(index, label, _box(shape), place)


def _box(shape: dict[str, Any]) -> Box | str:
    """The box around a shape, or ``kind: why`` there is none."""
    kind = shape.get("shape_type", "polygon")  # the oldest files have none
    outline = shape.get("points")
    points = points_of(outline, depth=2)
    if points is None:
        return f"box-not-a-number: points is {shown(outline)}, not a list of points [x, y] of finite numbers"
    if kind in _CORNER_PAIRS and len(points) == 2:
        return around(points)
    if kind in _OUTLINES or (kind in _CORNER_PAIRS and len(points) > 2):
        return enclosing_box(outline)
    if kind == "circle" and len(points) == 2:
        (x, y), rim = points
        radius = math.dist((x, y), rim)
        return (x - radius, y - radius, x + radius, y + radius)
    return f"not-a-box: a shape of type {shown(kind)} with {len(points)} points encloses nothing"
