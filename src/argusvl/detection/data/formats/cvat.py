"""CVAT for images 1.1: one XML file for all images, boxes as ``xtl, ytl, xbr, ybr`` in pixels.

Polygons become the boxes around them. Boxes that are turned, and shapes that are no boxes (polylines, points, ellipses,
masks, cuboids, skeletons) are refused by name, and so are the tracks of CVAT's format for video. Attributes of a box,
and tags of an image, have no place in a record: that they are left out is said once for each image.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from argus_doctor.findings import Finding
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
from argusvl.detection.data.formats.numbers import enclosing_box, numbers, read_number, side_lengths
from argusvl.detection.data.formats.tree import Parsed, list_documents, split_named
from argusvl.detection.data.formats.xml_tree import line_of, parse_document, text_of, unwritable
from argusvl.detection.data.records import plain_number
from argusvl.detection.data.resize import Box

_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_NO_BOXES = ("polyline", "points", "ellipse", "mask", "cuboid", "skeleton")


def parse_cvat(content: bytes, where: str, pixel_offset: float = 0.0) -> Parsed:
    """Reads one document, which findings name ``where``; no file is touched."""
    root, findings = parse_document(content, where, "annotations", "CVAT for images 1.1")
    if root is None:
        return [], findings
    for track in root.findall("track"):
        text = f"the track of {track.get('label')!r} belongs to a video"
        remedy = "export the task as CVAT for images 1.1"
        findings.append(finding("not-a-box", f"{where}:{line_of(track)}", text, remedy=remedy))
    images = root.findall("image")
    named = [(split_named(e.get("subset") or ""), _annotation(e, where, pixel_offset)) for e in images]
    return named, findings


def read_cvat(folder: Path, options: ReadOptions) -> Source:
    """Lists a CVAT source: a folder with images and XML files, or one XML file beside its images."""
    parse = partial(parse_cvat, pixel_offset=options.pixel_offset)
    remedy = "name a folder with CVAT's annotations.xml and its images, or that file"
    return list_documents(folder, ".xml", parse, remedy)


def write_cvat(records: Sequence[PlacedRecord], language: str) -> Files:
    """``annotations.xml``, with a subset for each split; labels are listed as CVAT does."""
    labels = labels_in(records)
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>"]
    lines += ["  <meta>", "    <job>", "      <labels>"]
    lines += [f"        <label><name>{text_of(one)}</name><type>rectangle</type></label>" for one in labels]
    lines += ["      </labels>", "    </job>", "  </meta>"]
    for number, record in enumerate(records):
        width, height = record.size
        name = quoteattr(posixpath.relpath(record.image, "images"))
        subset = quoteattr(record.split)
        lines.append(f'  <image id="{number}" name={name} subset={subset} width="{width}" height="{height}">')
        for one in record.objects:
            edges = " ".join(f'{c}="{plain_number(v)}"' for c, v in zip(_CORNERS, one.bbox_2d, strict=True))
            label = quoteattr(one.desc)
            lines.append(f'    <box label={label} source="manual" occluded="0" {edges} z_order="0"></box>')
        lines.append("  </image>")
    yield "annotations.xml", "\n".join([*lines, "</annotations>", ""])


CVAT = Format(read=read_cvat, write=write_cvat, image_folder="images/{split}", label_problem=unwritable)


# --- one image ------------------------------------------------------------------------------------------------------


def _annotation(element: Element, where: str, offset: float) -> Annotation:
    place = f"{where}:{line_of(element)}"
    name = (element.get("name") or "").strip()
    if not name:
        return Annotation.unusable(place, finding("malformed-annotation", place, "an image has no name"))
    findings: list[Finding] = []
    stated = element.get("width"), element.get("height")
    size = side_lengths(*map(read_number, stated))
    if size is None:
        text = f"{name!r}: width is {stated[0]!r}, height {stated[1]!r}"
        findings.append(finding("missing-size", place, text, image=name))
    shapes = [one for one in element if one.tag in ("box", "polygon", *_NO_BOXES)]
    objects = [_object(one, index, where, offset) for index, one in enumerate(shapes)]
    tags = sum(one.tag == "tag" for one in element)
    attributes = sum(len(one.findall("attribute")) for one in element)
    if tags or attributes:
        text = f"{name!r}: {tags} tags and {attributes} attributes have no place in a record and are left out"
        findings.append(finding("left-out", place, text, image=name))
    return Annotation(place, objects, findings, size=size, file_name=name)


def _object(element: Element, index: int, where: str, offset: float) -> SourceObject | Finding:
    place = f"{where}:{line_of(element)}"
    label = (element.get("label") or "").strip()
    if not label:
        return finding("empty-label", place, f"object {index} has no label", object_index=index)
    return object_or_finding(index, label, _box(element, offset), place)


def _box(element: Element, offset: float) -> Box | str:
    """The box, or ``kind: why`` there is none."""
    if element.tag in _NO_BOXES:
        return f"not-a-box: a {element.tag} is no box"
    turn = element.get("rotation")
    angle = 0.0 if turn is None else read_number(turn)
    if angle is None or angle % 360:
        return f"not-a-box: it is turned by {turn!r} degrees"
    if element.tag == "polygon":
        outline = (element.get("points") or "").split(";")
        return enclosing_box([[read_number(number) for number in point.split(",")] for point in outline])
    texts = [element.get(corner) for corner in _CORNERS]
    values = numbers([read_number(text) for text in texts])
    if values is None:
        return f"box-not-a-number: {', '.join(f'{c} is {t!r}' for c, t in zip(_CORNERS, texts, strict=True))}"
    x1, y1, x2, y2 = values
    return (x1 - offset, y1 - offset, x2, y2)
