"""Pascal VOC: one XML file an image.

Two layouts are read: the tree of the challenge (``Annotations/``, ``JPEGImages/``, ``ImageSets/Main/*.txt``), and a
folder of images with their XML beside them, sub-folders included.

**Pixel numbering.** The challenge counts pixels from 1 and includes the last one: a box over the whole of a 500-pixel
row is ``xmin=1, xmax=500``, which as edges is 0 to 500. Most files of today come from tools that write edges counted
from 0 (LabelImg, CVAT, Label Studio, Roboflow). The file does not say which, so the numbers are kept as they are unless
``pixel_offset=1`` is asked for, which moves the left and the top edge by one pixel to the outside.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

from argus_doctor.findings import Finding
from argusvl.core.wording import listed
from argusvl.detection.data.findings import describe_object, finding, show_box
from argusvl.detection.data.formats.base import (
    SPLITS,
    Annotation,
    Files,
    Format,
    PlacedRecord,
    ReadOptions,
    Source,
    SourceObject,
)
from argusvl.detection.data.formats.numbers import numbers, read_number, side_lengths
from argusvl.detection.data.formats.per_image import list_per_image
from argusvl.detection.data.formats.text import require_text
from argusvl.detection.data.formats.tree import stem_of
from argusvl.detection.data.formats.xml_tree import child_text, line_of, parse_document, text_of, unwritable
from argusvl.detection.data.records import plain_number

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def parse_voc(content: bytes, where: str, pixel_offset: float = 0.0) -> Annotation:
    """Reads one XML document, which findings name ``where``; no file is touched."""
    root, findings = parse_document(content, where, "annotation", "Pascal VOC")
    if root is None:
        return Annotation.unusable(where, *findings)
    size = _size(root, where, findings)
    objects = [_object(e, i, where, pixel_offset) for i, e in enumerate(root.findall("object"))]
    name = child_text(root, "filename") or None
    return Annotation(where, objects, findings, size=size, file_name=name)


def read_voc(folder: Path, options: ReadOptions) -> Source:
    """Lists a Pascal VOC source: an ``ImageSets/Main`` tree, or a folder of images with their XML beside them."""
    remedy = "name a VOC tree (Annotations, JPEGImages, ImageSets) or a folder of images with XML beside them"
    parse = partial(parse_voc, pixel_offset=options.pixel_offset)
    has_lists = (folder / "ImageSets" / "Main").is_dir()
    apart = has_lists or ((folder / "Annotations").is_dir() and (folder / "JPEGImages").is_dir())
    image_folder, annotation_folder = ("JPEGImages", "Annotations") if apart else ("", "")
    source = list_per_image(
        folder, parse, remedy, suffix=".xml", image_folder=image_folder, annotation_folder=annotation_folder
    )
    return _by_image_sets(folder, source) if has_lists else source


def write_voc(records: Sequence[PlacedRecord], language: str) -> Files:
    """The challenge's tree: ``Annotations/``, and the lists of ``ImageSets/Main/``."""
    keys: dict[str, list[str]] = {}
    for record in records:
        key = stem_of(posixpath.relpath(record.image, "JPEGImages"))
        keys.setdefault(record.split, []).append(key)
        yield f"Annotations/{key}.xml", _document(record)
    for split, members in keys.items():
        yield f"ImageSets/Main/{split}.txt", "".join(f"{key}\n" for key in members)


VOC = Format(read=read_voc, write=write_voc, image_folder="JPEGImages", label_problem=unwritable)


# --- one document ---------------------------------------------------------------------------------------------------


def _size(root: Element, where: str, findings: list[Finding]) -> tuple[int, int] | None:
    element = root.find("size")
    texts = [child_text(element, side) or "" for side in ("width", "height")]
    size = side_lengths(*map(read_number, texts))
    if size is None:
        found = f"width is {texts[0]!r} and height is {texts[1]!r}"
        if element is None:
            element, found = root, "there is no <size>"
        place = f"{where}:{line_of(element)}"
        findings.append(finding("missing-size", place, f"no usable image size: {found}"))
    return size


def _object(element: Element, index: int, where: str, pixel_offset: float) -> SourceObject | Finding:
    place = f"{where}:{line_of(element)}"
    label = child_text(element, "name") or ""
    box_element = element.find("bndbox")
    texts = [child_text(box_element, corner) for corner in _CORNERS]
    values = [read_number(text) for text in texts]
    stated = [
        value if value is not None else "missing" if text is None else text
        for value, text in zip(values, texts, strict=True)
    ]
    if not label:
        return finding("empty-label", place, f"object {index} has no name", object_index=index, box=stated)
    box = numbers(values)
    if box is None:
        missing = [corner for corner, text in zip(_CORNERS, texts, strict=True) if text is None]
        found = f"lacks {', '.join(missing)}" if missing else f"is {show_box(stated)}"
        text = f"{describe_object(index, label)}: the box {found}"
        return finding("box-not-a-number", place, text, object_index=index, label=label, box=stated)
    x1, y1, x2, y2 = box
    return SourceObject(index, label, (x1 - pixel_offset, y1 - pixel_offset, x2, y2), place)


def _document(record: PlacedRecord) -> str:
    width, height = record.size
    lines = [
        "<annotation>",
        f"  <folder>{text_of(posixpath.dirname(record.image))}</folder>",
        f"  <filename>{text_of(posixpath.basename(record.image))}</filename>",
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        "  <segmented>0</segmented>",
    ]
    for one in record.objects:
        box = "".join(
            f"<{corner}>{plain_number(v)}</{corner}>" for corner, v in zip(_CORNERS, one.bbox_2d, strict=True)
        )
        lines.append(f"  <object><name>{text_of(one.desc)}</name><bndbox>{box}</bndbox></object>")
    return "\n".join([*lines, "</annotation>", ""])


# --- the files around it --------------------------------------------------------------------------------------------


def _by_image_sets(folder: Path, paired: Source) -> Source:
    """The images that the challenge's lists name, in their splits; what stands in no list is not used."""
    source = Source(findings=[one for one in paired.findings if one.slug == "file-name-not-utf8"])
    source.refused_images = len(source.findings)
    images = {stem_of(image.name): image for image in paired.images}
    alone = [one for one in paired.findings if one.slug == "image-without-annotation"]
    without = {stem_of(str(one.numbers["image"])) for one in alone}
    split_of = _read_splits(folder / "ImageSets" / "Main", source.findings)
    for key, (split, listed_at) in split_of.items():
        if key in images:
            source.images.append(replace(images[key], split=split))
        elif key in without:
            text = f"{key!r} is listed in {split or 'trainval'}, but Annotations holds no {key}.xml"
            source.refuse(finding("image-without-annotation", listed_at, text, image=key))
        else:
            text = f"{key!r} is listed in {split or 'trainval'}, but JPEGImages holds no such image"
            # A name with 1, 0 or -1, as in the lists of one class.
            if key.rpartition(" ")[0].rstrip() in images:
                text += "; the list of a split has names alone, no column of a class"
            source.refuse(finding("missing-image", listed_at, text, image=key))
    unlisted = sorted((images.keys() | without) - split_of.keys())
    if unlisted:
        text = f"{len(unlisted)} images stand in no split: {listed(unlisted, 3)}"
        source.findings.append(finding("not-in-a-split", "ImageSets/Main", text))
    return source


def _read_splits(folder: Path, findings: list[Finding]) -> dict[str, tuple[str | None, str]]:
    """Image → its split and ``file:line``. ``trainval`` stands for whichever of train and val has no file."""
    listed = {name: _read_list(folder / f"{name}.txt", findings) for name in (*SPLITS, "trainval")}
    result: dict[str, tuple[str | None, str]] = {}
    for split in ("test", "val", "train"):  # an image listed twice stays in the split that is held out
        for key, place in listed[split].items():
            if key in result:
                other = result[key][0]
                text = f"{key!r} is listed in {split} and in {other}; it is used in {other} only"
                findings.append(finding("split-overlap", place, text, image=key))
            else:
                result[key] = (split, place)
    rest = {key: place for key, place in listed["trainval"].items() if key not in result}
    if rest and listed["train"] and listed["val"]:
        first, place = next(iter(rest.items()))
        text = (
            f"{len(rest)} images of trainval stand in neither train nor val and are not used, e.g. {first!r}"
        )
        findings.append(finding("not-in-a-split", place, text))
        return result
    split_of_rest = "val" if listed["train"] else "train" if listed["val"] else None
    return result | {key: (split_of_rest, place) for key, place in rest.items()}


def _read_list(path: Path, findings: list[Finding]) -> dict[str, str]:
    """Image names of a split's file (one a line, spaces inside a name are part of it) → ``file:line``."""
    if not path.is_file():
        return {}
    place = f"ImageSets/Main/{path.name}"
    text, odd = require_text(path)
    findings += odd
    lines = text.split("\n")
    names: dict[str, str] = {}
    counts = Counter(line.strip() for line in lines if line.strip())
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if not name or name in names:
            continue
        names[name] = f"{place}:{number}"
        if counts[name] > 1:
            findings.append(
                finding("listed-twice", names[name], f"{name!r} is listed {counts[name]} times", image=name)
            )
    if not names:
        findings.append(finding("empty-split", place, "names no image"))
    return names
