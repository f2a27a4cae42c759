"""COCO instances: one JSON file for all images of a split, boxes as ``[x, y, width, height]``.

The trees of the common tools are read: the official one (``annotations/instances_train2017.json`` and a folder of
images for each split), Roboflow's (``train/_annotations.coco.json`` among the images), and a single JSON file, named
itself or beside its images. The file is read once; only its entries are kept. An image without annotations shows
nothing: that is what COCO means by it.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from argus_doctor.findings import Finding
from argusvl.core.errors import DataError
from argusvl.core.strict_json import shown
from argusvl.core.wording import listed
from argusvl.detection.data.findings import box_problem, finding
from argusvl.detection.data.formats.base import (
    Annotation,
    Files,
    Format,
    PlacedRecord,
    ReadOptions,
    Source,
    SourceObject,
    by_split,
    json_by_lines,
    labels_in,
    object_or_finding,
)
from argusvl.detection.data.formats.numbers import enclosing_box, numbers, side_lengths
from argusvl.detection.data.formats.text import JsonText, parse_json, read_content
from argusvl.detection.data.formats.tree import (
    ImageFinder,
    Listed,
    add_listed,
    list_files,
    list_images,
    missing_image,
    split_named,
)
from argusvl.detection.data.labels import type_of
from argusvl.detection.data.records import plain_number
from argusvl.detection.data.resize import Box

_DECIMALS = 9
"""``x + width`` is rounded to a billionth of a pixel, which undoes what the subtraction before it did."""

_LISTS = ("images", "annotations", "categories")

_OTHER_TASKS = ("captions_", "person_keypoints_", "panoptic_", "stuff_", "image_info_")
"""Files beside the instances of the official tree that annotate the same images otherwise."""


def parse_coco(document: JsonText, pixel_offset: float) -> tuple[dict[int, Annotation], list[Finding]]:
    """Annotations of each entry of ``images``, by its position; no file is touched.

    Returns:
        The annotations, in the order of ``images`` (entries that cannot be used are not among them), and what concerns
        no image that could be read.
    """
    findings: list[Finding] = list(document.warnings)
    value, problem = document.value, None
    if not isinstance(value, dict):
        problem = f"the file holds {shown(value)}, not a COCO object"
    elif missing := [key for key in _LISTS if not isinstance(value.get(key), list)]:
        problem = f"lacks {' and '.join(missing)}: without them nothing of the file can be used"
    if problem is not None:
        return {}, [*findings, finding("malformed-annotation", document.place(), problem)]
    categories = _by_id(document, "categories", "name", findings)
    names = {key: value["categories"][position]["name"] for key, position in categories.items()}
    image_at = _by_id(document, "images", "file_name", findings)
    entries: dict[Any, list[int]] = {key: [] for key in image_at}
    for position, entry in enumerate(value["annotations"]):
        key = entry.get("image_id") if isinstance(entry, dict) else None
        if not _is_id(key) or key not in entries:
            text = f"annotations[{position}] belongs to no image: image_id is {shown(key)}"
            if not isinstance(entry, dict):
                text = f"annotations[{position}] is {shown(entry)}, not an object"
            findings.append(finding("unknown-id", document.place("annotations", position), text))
            continue
        entries[key].append(position)
    annotations = {
        position: _annotation(document, position, entries[key], names, pixel_offset)
        for key, position in image_at.items()
    }
    return annotations, findings


def read_coco(folder: Path, options: ReadOptions) -> Source:
    """Lists a COCO source: a tree, or one JSON file."""
    remedy = "name a COCO tree (annotations/instances_train.json and images), or one JSON file"
    if not folder.exists():
        raise DataError("no such file or folder", where=folder, remedy=remedy)
    source = Source()
    if folder.is_dir():
        root, files = folder, _annotation_files(folder, source)
    else:  # its images stand beside it, or in the tree that annotations/ stands in
        root = folder.parent.parent if folder.parent.name == "annotations" else folder.parent
        files = {folder.relative_to(root).as_posix(): folder}
    if not files:
        raise DataError("holds no COCO JSON", where=folder, remedy=remedy)
    finder = ImageFinder(list_images(root, source))
    categories: Counter[str] = Counter()
    entries: dict[str, list[Listed]] = {}
    for name, file in files.items():
        _list_file(file, name, finder, categories, source, options, entries)
    add_listed(source, finder, entries)
    _report_unused(categories, ", ".join(files), source)
    _report_unlisted(finder, source)
    return source


def write_coco(records: Sequence[PlacedRecord], language: str) -> Files:
    """``annotations/instances_<split>.json`` for each split; category ids are the same in all of them."""
    labels = labels_in(records)
    ids = {label: number for number, label in enumerate(labels, start=1)}
    categories = [{"id": n, "name": label, "supercategory": type_of(label)} for label, n in ids.items()]
    for split, members in by_split(records).items():
        annotations: list[dict[str, Any]] = []
        images = []
        for number, record in enumerate(members, start=1):
            width, height = record.size
            file_name = posixpath.relpath(record.image, f"images/{split}")
            images.append({"id": number, "file_name": file_name, "width": width, "height": height})
            for one in record.objects:
                x1, y1, x2, y2 = one.bbox_2d
                box = [plain_number(round(v, _DECIMALS)) for v in (x1, y1, x2 - x1, y2 - y1)]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": ids[one.desc],
                        "bbox": box,
                        "area": plain_number(round((x2 - x1) * (y2 - y1), 4)),
                        "iscrowd": 0,
                    }
                )
        parts = {"images": images, "annotations": annotations, "categories": categories}
        yield f"annotations/instances_{split}.json", json_by_lines(parts)


COCO = Format(read=read_coco, write=write_coco, image_folder="images/{split}")


# --- one document ---------------------------------------------------------------------------------------------------


def _by_id(document: JsonText, key: str, name: str, findings: list[Finding]) -> dict[Any, int]:
    """Of a list's entries that have a name and an id of their own: id → position."""
    found: dict[Any, int] = {}
    entries = document.value[key]
    for position, entry in enumerate(entries):
        if not _is_named(entry, name):
            text = f"{key}[{position}] is {shown(entry)}: it needs an id and a {name}"
            findings.append(finding("malformed-annotation", document.place(key, position), text))
        elif (number := entry["id"]) in found:
            other = "another image" if key == "images" else repr(entries[found[number]][name])
            text = f"{key}[{position}] {entry[name]!r} has the id {number} of {other}"
            findings.append(finding("duplicate-id", document.place(key, position), text))
        else:
            found[number] = position
    return found


def _is_named(entry: Any, name: str) -> bool:
    if not isinstance(entry, dict) or not _is_id(entry.get("id")):
        return False
    return isinstance(entry.get(name), str) and bool(entry[name].strip())


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _annotation(
    document: JsonText, position: int, members: Sequence[int], names: dict[Any, str], offset: float
) -> Annotation:
    entry = document.value["images"][position]
    findings: list[Finding] = []
    size = side_lengths(entry.get("width"), entry.get("height"))
    if size is None:
        text = f"{entry['file_name']!r}: width is {shown(entry.get('width'))}, height {shown(entry.get('height'))}"
        place = document.place("images", position)
        findings.append(finding("missing-size", place, text, image=entry["file_name"]))
    objects = [_object(document, i, index, names, size, offset) for index, i in enumerate(members)]
    return Annotation(document.where, objects, findings, size=size, file_name=entry["file_name"])


def _object(
    document: JsonText,
    position: int,
    index: int,
    names: dict[Any, str],
    size: tuple[int, int] | None,
    offset: float,
) -> SourceObject | Finding:
    entry = document.value["annotations"][position]
    category = entry.get("category_id")
    label = names.get(category) if _is_id(category) else None
    if label is None:
        text = f"annotations[{position}]: no category has the id {shown(category)}"
        return finding("unknown-id", document.place("annotations", position), text, object_index=index)
    if entry.get("iscrowd") in (1, True):
        text = f"annotations[{position}] {label!r} marks a crowd, not one object, and is not used"
        place = document.place("annotations", position)
        return finding("crowd-region", place, text, object_index=index, label=label)
    box = _box(entry, offset)
    # Looking up a line takes time in a large file: only what will be reported gets one.
    good = isinstance(box, tuple) and box_problem(box, size) is None
    where = f"{document.where}: annotations[{position}]" if good else document.place("annotations", position)
    return object_or_finding(index, label, box, where, f"annotations[{position}], ")


def _box(entry: dict[str, Any], offset: float) -> Box | str:
    """The box, or ``kind: why`` there is none."""
    stated = entry.get("bbox")
    if stated is not None and stated != []:
        values = numbers(stated, 4)
        if values is None:
            return f"box-not-a-number: bbox is {shown(stated)}, not four finite numbers [x, y, width, height]"
        x, y, width, height = values
        return (x - offset, y - offset, round(x + width, _DECIMALS), round(y + height, _DECIMALS))
    outline = entry.get("segmentation")
    if isinstance(outline, dict):
        return "not-a-box: there is no bbox, and a run-length mask is not decoded"
    if not isinstance(outline, list) or not outline:
        return "box-not-a-number: there is neither a bbox nor a segmentation"
    return enclosing_box(outline)


# --- the files around it --------------------------------------------------------------------------------------------


def _annotation_files(folder: Path, source: Source) -> dict[str, Path]:
    """The JSON files to read: instances where there are any, else Roboflow's, else all of them."""
    files = list_files(folder, {".json"}, source)
    instances = {n: f for n, f in files.items() if posixpath.basename(n).startswith("instances")}
    roboflow = {n: f for n, f in files.items() if posixpath.basename(n) == "_annotations.coco.json"}
    others = {n: f for n, f in files.items() if not posixpath.basename(n).startswith(_OTHER_TASKS)}
    return instances or roboflow or others


def _split_of(name: str) -> str | None:
    """``annotations/instances_train2017.json`` and ``train/_annotations.coco.json`` are of ``train``."""
    stem = posixpath.splitext(posixpath.basename(name))[0]
    parts = (stem, *stem.split("_"), *reversed(name.split("/")[:-1]))
    return next((split for part in parts if (split := split_named(part)) is not None), None)


def _list_file(
    file: Path,
    name: str,
    finder: ImageFinder,
    categories: Counter[str],
    source: Source,
    options: ReadOptions,
    entries: dict[str, list[Listed]],
) -> None:
    content = read_content(file, name)
    document = content if isinstance(content, Finding) else parse_json(content, name)
    if isinstance(document, Finding):
        source.findings.append(document)
        return
    split = _split_of(name)
    annotations, findings = parse_coco(document, options.pixel_offset)
    source.findings += findings
    if annotations:  # how many of them name each category, also where that is none
        value = document.value
        named = (one.get("category_id") for one in value["annotations"] if isinstance(one, dict))
        ids = Counter(filter(_is_id, named))
        for entry in value["categories"]:
            if _is_named(entry, "name"):
                categories[entry["name"]] += ids[entry["id"]]
    folders = _image_folders(posixpath.dirname(name), posixpath.splitext(posixpath.basename(name))[0], split)
    for position, annotation in annotations.items():
        stated = str(annotation.file_name)
        found = finder.find(stated, folders)
        # Looking up a line takes time in a large file: the first entry of an image, which nothing is said of, has none.
        place = document.place("images", position) if found is None or found in entries else ""
        if found is None:
            source.refuse(missing_image(stated, place))
        else:
            entries.setdefault(found, []).append((split, annotation, place))


def _report_unused(categories: Counter[str], where: str, source: Source) -> None:
    unused = sorted(name for name, count in categories.items() if not count)
    if unused:
        named = listed([repr(name) for name in unused], 8)
        have = "has" if len(unused) == 1 else "have"
        text = f"{len(unused)} of {len(categories)} categories {have} no object: {named}"
        source.findings.append(finding("unused-category", where, text))


def _image_folders(folder: str, stem: str, split: str | None) -> list[str]:
    """Where the images of a file may stand, the likeliest first."""
    year = stem.removeprefix("instances_")  # train2017, the folder's name in the official tree
    outer = posixpath.dirname(folder)
    names = dict.fromkeys([year, *([split] if split else [])])
    below = [posixpath.join(*parts) for one in names for parts in (("images", one), (one,), (one, "images"))]
    around = [posixpath.join(outer, one) for one in below]
    return [*around, *below, folder, posixpath.join(outer, "images"), outer, ""]


def _report_unlisted(finder: ImageFinder, source: Source) -> None:
    folders = {posixpath.dirname(name) for name in finder.used}
    unlisted = [n for n in finder.images if n not in finder.used and posixpath.dirname(n) in folders]
    if unlisted:
        example = unlisted[0]
        text = f"{len(unlisted)} images stand beside listed ones but in no annotation file, e.g. {example!r}"
        source.findings.append(finding("not-listed", posixpath.dirname(example) or ".", text))
