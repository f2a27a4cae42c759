"""COCO instances: one JSON file for all images of a split, boxes as ``[x, y, width, height]``.

The trees of the common tools are read: the official one (``annotations/instances_train2017.json`` and a folder of
images for each split), Roboflow's (``train/_annotations.coco.json`` among the images), and a single JSON file, named
itself or beside its images. The file is read once; only its entries are kept. An image without annotations shows
nothing: that is what COCO means by it.
"""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from argus_doctor.findings import Finding
from argusvl.core.errors import DataError
from argusvl.core.strict_json import shown
from argusvl.core.wording import listed
from argusvl.detection.data.findings import box_problem, finding
from argusvl.detection.data.formats.base import (
    Annotation,
    Format,
    PlacedRecord,
    ReadOptions,
    Source,
    SourceImage,
    SourceObject,
    WriteOptions,
    by_split,
    object_or_finding,
)
from argusvl.detection.data.formats.json_text import JsonText, numbers, read_json, side_lengths
from argusvl.detection.data.formats.polygons import enclosing_box
from argusvl.detection.data.formats.tree import ImageFinder, list_files, list_images, split_named
from argusvl.detection.data.labels import type_of
from argusvl.detection.data.records import plain_number
from argusvl.detection.data.resize import Box

_DECIMALS = 9
"""``x + width`` is rounded to a billionth of a pixel, which undoes what the subtraction before it did."""

_OTHER_TASKS = ("captions_", "person_keypoints_", "panoptic_", "stuff_", "image_info_")
"""Files beside the instances of the official tree that annotate the same images otherwise."""


def parse_coco(
    document: JsonText, options: ReadOptions | None = None
) -> tuple[dict[int, Annotation], list[Finding]]:
    """Annotations of each entry of ``images``, by its position; no file is touched.

    Args:
        document: The JSON file.
        options: How to read.

    Returns:
        The annotations, in the order of ``images`` (entries that cannot be used are not among them), and what concerns
        no image that could be read.
    """
    offset = (options or ReadOptions()).pixel_offset
    findings: list[Finding] = list(document.warnings)
    problem = _structure_problem(document)
    if problem is not None:
        return {}, [*findings, problem]
    names = _categories(document, findings)
    image_at = _images(document, findings)
    entries: dict[Any, list[int]] = {key: [] for key in image_at}
    for position, entry in enumerate(document.value["annotations"]):
        key = entry.get("image_id") if isinstance(entry, dict) else None
        if isinstance(key, bool) or not isinstance(key, int | str) or key not in entries:
            text = f"annotations[{position}] belongs to no image: image_id is {shown(key)}"
            if not isinstance(entry, dict):
                text = f"annotations[{position}] is {shown(entry)}, not an object"
            findings.append(finding("unknown-id", document.place("annotations", position), text))
            continue
        entries[key].append(position)
    annotations = {
        position: _annotation(document, position, entries[key], names, offset)
        for key, position in image_at.items()
    }
    return annotations, findings


def read_coco(folder: Path, options: ReadOptions) -> Source:
    """Lists a COCO source: a tree, or one JSON file.

    Raises:
        DataError: There is no such folder or file, or it holds no COCO JSON.
    """
    remedy = "name a COCO tree (annotations/instances_train.json and images), or one JSON file"
    if not folder.exists():
        raise DataError("no such file or folder", where=folder, remedy=remedy)
    source = Source()
    root = folder if folder.is_dir() else _root_of(folder)
    files = {_relative(folder, root): folder} if folder.is_file() else _annotation_files(folder, source)
    if not files:
        raise DataError("holds no COCO JSON", where=folder, remedy=remedy)
    images = list_images(root, source)
    finder = ImageFinder(images)
    used: set[str] = set()
    categories: Counter[str] = Counter()
    for name, file in files.items():
        _list_file(file, name, finder, images, used, categories, source, options)
    _report_unused(categories, ", ".join(files), source)
    _report_unlisted(images, used, source)
    return source


def write_coco(records: Sequence[PlacedRecord], options: WriteOptions) -> Iterator[tuple[str, str]]:
    """``annotations/instances_<split>.json`` for each split; category ids are the same in all of them."""
    labels = sorted({a.desc for record in records for a in record.student.objects})
    ids = {label: number for number, label in enumerate(labels, start=1)}
    categories = [
        {"id": number, "name": label, "supercategory": type_of(label)} for label, number in ids.items()
    ]
    for split, members in by_split(records):
        annotations: list[dict[str, Any]] = []
        images = []
        for number, record in enumerate(members, start=1):
            width, height = record.image.size
            file_name = posixpath.relpath(record.image.path, f"images/{split}")
            images.append({"id": number, "file_name": file_name, "width": width, "height": height})
            for one in record.student.objects:
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
        yield f"annotations/instances_{split}.json", _line_by_line(parts)


COCO = Format(read=read_coco, write=write_coco, image_folder="images/{split}")


# --- one document ---------------------------------------------------------------------------------------------------


def _structure_problem(document: JsonText) -> Finding | None:
    value = document.value
    if not isinstance(value, dict):
        return finding(
            "malformed-annotation", document.place(), f"the file holds {shown(value)}, not a COCO object"
        )
    missing = [key for key in ("images", "annotations", "categories") if not isinstance(value.get(key), list)]
    if not missing:
        return None
    text = f"lacks {' and '.join(missing)}: without them nothing of the file can be used"
    return finding("malformed-annotation", document.place(), text)


def _categories(document: JsonText, findings: list[Finding]) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for position, entry in enumerate(document.value["categories"]):
        place = document.place("categories", position) if not _is_category(entry) else ""
        if place:
            text = f"categories[{position}] is {shown(entry)}: it needs an id and a name"
            findings.append(finding("malformed-annotation", place, text))
        elif entry["id"] in names:
            text = (
                f"categories[{position}] {entry['name']!r} has the id {entry['id']} of {names[entry['id']]!r}"
            )
            findings.append(finding("duplicate-id", document.place("categories", position), text))
        else:
            names[entry["id"]] = entry["name"]
    return names


def _is_category(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
        return False
    return _is_id(entry.get("id"))


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _images(document: JsonText, findings: list[Finding]) -> dict[Any, int]:
    """Image id → position of the image's entry."""
    result: dict[Any, int] = {}
    for position, entry in enumerate(document.value["images"]):
        if not isinstance(entry, dict) or not _is_id(entry.get("id")) or not _is_name(entry.get("file_name")):
            text = f"images[{position}] is {shown(entry)}: it needs an id and a file_name"
            findings.append(finding("malformed-annotation", document.place("images", position), text))
        elif entry["id"] in result:
            text = f"images[{position}] {entry['file_name']!r} has the id {entry['id']} of another image"
            findings.append(finding("duplicate-id", document.place("images", position), text))
        else:
            result[entry["id"]] = position
    return result


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _annotation(
    document: JsonText, position: int, members: Sequence[int], names: dict[Any, str], offset: float
) -> Annotation:
    entry = document.value["images"][position]
    findings: list[Finding] = []
    size = side_lengths(entry.get("width"), entry.get("height"))
    if size is None:
        text = f"{entry['file_name']!r}: width is {shown(entry.get('width'))}, height {shown(entry.get('height'))}"
        findings.append(
            finding("missing-size", document.place("images", position), text, image=entry["file_name"])
        )
    objects = [_object(document, i, index, names, size, offset) for index, i in enumerate(members)]
    return Annotation.of(document.where, objects, findings=findings, size=size, file_name=entry["file_name"])


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


def _line_by_line(parts: dict[str, list[dict[str, Any]]]) -> str:
    """JSON with one entry a line: findings can name it, and a difference shows in version control."""
    blocks = []
    for name, entries in parts.items():
        lines = ",\n".join("    " + json.dumps(entry, ensure_ascii=False) for entry in entries)
        blocks.append(f"  {json.dumps(name)}: [\n{lines}\n  ]" if entries else f"  {json.dumps(name)}: []")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


# --- the files around it --------------------------------------------------------------------------------------------


def _annotation_files(folder: Path, source: Source) -> dict[str, Path]:
    """The JSON files to read: instances where there are any, else Roboflow's, else all of them."""
    files = list_files(folder, {".json"}, source)
    instances = {n: f for n, f in files.items() if posixpath.basename(n).startswith("instances")}
    roboflow = {n: f for n, f in files.items() if posixpath.basename(n) == "_annotations.coco.json"}
    others = {n: f for n, f in files.items() if not posixpath.basename(n).startswith(_OTHER_TASKS)}
    return instances or roboflow or others


def _root_of(file: Path) -> Path:
    """Where the images of a single file are looked for: its folder, or the tree that ``annotations/`` stands in."""
    return file.parent.parent if file.parent.name == "annotations" else file.parent


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def _split_of(name: str) -> str | None:
    """``annotations/instances_train2017.json`` and ``train/_annotations.coco.json`` are of ``train``."""
    stem = posixpath.splitext(posixpath.basename(name))[0]
    for part in (stem, *stem.split("_"), *reversed(name.split("/")[:-1])):
        split = split_named(part)
        if split is not None:
            return split
    return None


def _list_file(
    file: Path,
    name: str,
    finder: ImageFinder,
    images: dict[str, Path],
    used: set[str],
    categories: Counter[str],
    source: Source,
    options: ReadOptions,
) -> None:
    document = read_json(file, name)
    if isinstance(document, Finding):
        source.findings.append(document)
        return
    split = _split_of(name)
    annotations, findings = parse_coco(document, options)
    source.findings += findings
    if annotations:
        _count_categories(document.value, categories)
    folders = _image_folders(posixpath.dirname(name), posixpath.splitext(posixpath.basename(name))[0], split)
    for position, annotation in annotations.items():
        stated = str(annotation.file_name)
        found = finder.find(stated, folders)
        place = document.place("images", position) if found is None or found in used else ""
        if found is None:
            source.refuse(finding("missing-image", place, f"there is no image {stated}", image=stated))
        elif found in used:
            source.refuse(finding("listed-twice", place, f"{found!r} is listed before", image=found))
        else:
            used.add(found)
            read = partial(_keep, annotation)
            source.images.append(SourceImage(images[found], found, split, read))


def _count_categories(value: dict[str, Any], categories: Counter[str]) -> None:
    """Adds how many annotations name each category, also where that is none."""
    named = (entry.get("category_id") for entry in value["annotations"] if isinstance(entry, dict))
    ids = Counter(one for one in named if _is_id(one))
    for entry in filter(_is_category, value["categories"]):
        categories[entry["name"]] += ids[entry["id"]]


def _report_unused(categories: Counter[str], where: str, source: Source) -> None:
    unused = sorted(name for name, count in categories.items() if not count)
    if unused:
        named = listed([repr(name) for name in unused], 8)
        have = "has" if len(unused) == 1 else "have"
        text = f"{len(unused)} of {len(categories)} categories {have} no object: {named}"
        source.findings.append(finding("unused-category", where, text))


def _keep(annotation: Annotation) -> Annotation:
    return annotation


def _image_folders(folder: str, stem: str, split: str | None) -> list[str]:
    """Where the images of a file may stand, the likeliest first."""
    year = stem.removeprefix("instances_")  # train2017, the folder's name in the official tree
    outer = posixpath.dirname(folder)
    names = dict.fromkeys([year, *([split] if split else [])])
    below = [posixpath.join(*parts) for one in names for parts in (("images", one), (one,), (one, "images"))]
    return [
        *(posixpath.join(outer, one) for one in below),
        *below,
        folder,
        posixpath.join(outer, "images"),
        outer,
        "",
    ]


def _report_unlisted(images: dict[str, Path], used: set[str], source: Source) -> None:
    folders = {posixpath.dirname(name) for name in used}
    unlisted = [name for name in images if name not in used and posixpath.dirname(name) in folders]
    if unlisted:
        example = unlisted[0]
        text = f"{len(unlisted)} images stand beside listed ones but in no annotation file, e.g. {example!r}"
        source.findings.append(finding("not-listed", posixpath.dirname(example) or ".", text))
