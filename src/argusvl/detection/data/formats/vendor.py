"""The JSON of annotation vendors: one file an image, in one of two forms.

``{"info": {"width", "height"}, "dataList": [{"coordinates": [[x1, y1], [x2, y2]], "properties": {…}}]}``, or
``{"info": …, "markResult": {"features": [{"geometry": {"coordinates": polygon}, "properties": {…}}]}}``.

The properties are free text: which words mean what stands in two files of the user's (see ``terms.py``). Without them
the values of the properties, in their order, are the description.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
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
from argusvl.detection.data.formats.numbers import enclosing_box, numbers, points_of, side_lengths
from argusvl.detection.data.formats.per_image import json_parser, list_per_image, unusable
from argusvl.detection.data.formats.terms import Vocabulary
from argusvl.detection.data.formats.text import JsonText, KeyPath
from argusvl.detection.data.formats.tree import stem_of
from argusvl.detection.data.records import plain_box
from argusvl.detection.data.resize import Box


def parse_vendor(document: JsonText, words: Vocabulary) -> Annotation:
    """Reads one document; no file is touched."""
    value = document.value
    if not isinstance(value, dict):
        return unusable(document, f"holds {shown(value)}, not an object")
    info = value.get("info")
    if not isinstance(info, dict):
        return unusable(document, "has no info: the size that the boxes were drawn on is not known")
    size = side_lengths(info.get("width"), info.get("height"))
    if size is None:
        text = f"info: width is {shown(info.get('width'))} and height {shown(info.get('height'))}"
        return unusable(document, text, "info")
    entries = _entries(value)
    if isinstance(entries, str):
        return unusable(document, entries)
    findings = list(document.warnings)
    left_out: dict[str, int] = {}
    objects = [
        _object(document, path, entry, index, words, left_out) for index, (path, entry) in enumerate(entries)
    ]
    if left_out:
        terms = ", ".join(f"{term!r} ({count})" for term, count in list(left_out.items())[:5])
        text = f"{len(left_out)} terms are not in the label hierarchy and were left out: {terms}"
        findings.append(finding("unknown-term", document.where, text))
    name = next((v for k in ("fileName", "filename", "name") if isinstance(v := info.get(k), str)), None)
    return Annotation(document.where, objects, findings, size=size, file_name=name)


def read_vendor(folder: Path, options: ReadOptions) -> Source:
    """Lists a folder of images with vendor files."""
    words = Vocabulary(options.token_map, options.label_hierarchy)
    parse = json_parser(partial(parse_vendor, words=words))
    return list_per_image(folder, parse, "name a folder of images with one JSON file each")


def write_vendor(records: Sequence[PlacedRecord], language: str) -> Files:
    """One JSON file beside each image, in the form with ``dataList``."""
    for record in records:
        width, height = record.size
        entries = [
            {
                "coordinates": [plain_box(one.bbox_2d[:2]), plain_box(one.bbox_2d[2:])],
                "properties": {"label": one.desc},
            }
            for one in record.objects
        ]
        document = {"info": {"width": width, "height": height}, "dataList": entries}
        yield f"{stem_of(record.image)}.json", json.dumps(document, ensure_ascii=False, indent=2) + "\n"


VENDOR = Format(read=read_vendor, write=write_vendor, image_folder="{split}")


def _entries(value: dict[str, Any]) -> list[tuple[KeyPath, Any]] | str:
    """The objects of either form with their paths in the document, or what is wrong with it."""
    if "dataList" in value:
        listed = value["dataList"]
        if not isinstance(listed, list):
            return f"dataList is {shown(listed)}, not a list"
        return [(("dataList", i), entry) for i, entry in enumerate(listed)]
    result = value.get("markResult")
    features = result.get("features") if isinstance(result, dict) else None
    if not isinstance(features, list):
        return "holds neither dataList nor markResult.features"
    return [(("markResult", "features", i), entry) for i, entry in enumerate(features)]


def _object(
    document: JsonText, path: KeyPath, entry: Any, index: int, words: Vocabulary, left_out: dict[str, int]
) -> SourceObject | Finding:
    place = document.place(*path)
    if not isinstance(entry, dict):
        return finding("malformed-annotation", place, f"object {index} is {shown(entry)}", object_index=index)
    described = words.describe(entry.get("properties"))
    if isinstance(described, str):
        kind, text = described.split(": ", 1)
        return finding(kind, place, f"object {index}: {text}", object_index=index)
    found = object_or_finding(index, described.label, _box(entry), place)
    for term in described.left_out if isinstance(found, SourceObject) else ():
        left_out[term] = left_out.get(term, 0) + 1
    return found


def _box(entry: dict[str, Any]) -> Box | str:
    """The box, or ``kind: why`` there is none."""
    geometry = entry.get("geometry")
    if isinstance(geometry, dict):
        return enclosing_box(geometry.get("coordinates"))
    corners = entry.get("coordinates")
    flat = numbers(corners, 4)
    points = points_of(corners, depth=2) if flat is None else [(flat[0], flat[1]), (flat[2], flat[3])]
    if points is None:
        return (
            f"box-not-a-number: coordinates is {shown(corners)}, not [[x1, y1], [x2, y2]] of finite numbers"
        )
    if len(points) != 2:
        return enclosing_box(corners)
    (x1, y1), (x2, y2) = points
    return (x1, y1, x2, y2)
