"""YOLO as Ultralytics reads it: one text file an image, a class number and four fractions a line.

``data.yaml`` names the classes and the folders (or lists) of each split; the label file of ``…/images/x.jpg`` is
``…/labels/x.txt``. Without a ``data.yaml``, a ``classes.txt`` names the classes, and labels stand beside their images
or in ``labels/``. A line is ``class cx cy width height``, or ``class x1 y1 x2 y2 x3 y3 …`` for a polygon, all as
fractions of the image's sides. An image without a label file shows nothing: that is what YOLO means by it, and it is
said.
"""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from argus_doctor.findings import Finding
from argusvl.config.yaml_text import represent_text
from argusvl.core.errors import DataError
from argusvl.core.files import is_inside, require_folder
from argusvl.detection.data.findings import describe_object, finding, show_box
from argusvl.detection.data.formats.base import (
    Annotation,
    Files,
    Format,
    PlacedRecord,
    ReadOptions,
    Source,
    SourceImage,
    SourceObject,
    labels_in,
    object_or_finding,
)
from argusvl.detection.data.formats.numbers import around, numbers, read_number
from argusvl.detection.data.formats.per_image import read_annotation
from argusvl.detection.data.formats.text import decode_text, read_mapping, read_text, require_text
from argusvl.detection.data.formats.tree import (
    list_files,
    list_images,
    missing_image,
    split_named,
    split_of_path,
    stem_of,
)
from argusvl.detection.data.resize import Box

_DECIMALS = 10
"""Of written fractions: a millionth of a pixel in an image of ten thousand."""

_CLASS_LISTS = ("classes.txt", "obj.names", "labels/classes.txt")
_SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def parse_yolo(content: bytes, where: str, names: dict[int, str]) -> Annotation:
    """Reads one label file, which findings name ``where``; no file is touched. Boxes are fractions of the sides.

    ``names`` are the classes by their numbers.
    """
    text, findings = decode_text(content, where)
    if text is None:
        return Annotation.unusable(where, *findings)
    lines = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    objects = [_object(line.split(), i, f"{where}:{n}", names) for i, (n, line) in enumerate(lines)]
    return Annotation(where, objects, findings, relative=True)


def read_yolo(folder: Path, options: ReadOptions) -> Source:
    """Lists a YOLO source. That nothing names the classes is an error, too."""
    remedy = "name a folder with data.yaml (or classes.txt), images/ and labels/"
    require_folder(folder, remedy=remedy)
    if options.pixel_offset:
        text = "a pixel offset is given, but YOLO's boxes are fractions"
        raise DataError(text, where=folder, remedy="leave out --pixel-offset")
    source = Source()
    config_file = _config_file(folder)
    if config_file is not None:
        config, odd = read_mapping(config_file)
        source.findings += odd
        names = _names_of(config, config_file)
        listed = _by_config(config, config_file, folder, source)
    else:
        names = _names_from_list(folder, remedy, source)
        listed = {name: (path, split_of_path(name)) for name, path in list_images(folder, source).items()}
    labels = {name for name in list_files(folder, {".txt"}, source) if not _is_list(name)}
    used: set[str] = set()
    without: list[str] = []
    for name, (path, split) in listed.items():
        label = next((candidate for candidate in _label_names(name) if candidate in labels), None)
        read: Callable[[], Annotation]
        if label is None:
            without.append(name)
            read = partial(Annotation, where=name, relative=True)
        else:
            used.add(label)
            read = partial(read_annotation, folder / label, label, partial(parse_yolo, names=names))
        source.images.append(SourceImage(path, name.removeprefix("images/"), split, read))
    for label in sorted(labels - used):
        text = "no image of this name belongs to it"
        source.refuse(finding("annotation-without-image", label, text))
    if without:
        text = f"{len(without)} images have no label file and are taken to show nothing, e.g. {without[0]!r}"
        source.findings.append(finding("no-label-file", without[0], text, image=without[0]))
    if not source.images and not source.findings:
        raise DataError("holds no images", where=folder, remedy=remedy)
    return source


class _Dumper(yaml.SafeDumper):
    """YAML 1.1, as Ultralytics reads it."""


_Dumper.add_representer(str, represent_text)


def write_yolo(records: Sequence[PlacedRecord], language: str) -> Files:
    """``data.yaml`` and one label file an image; classes are numbered in the order of their names."""
    labels = labels_in(records)
    number_of = {label: number for number, label in enumerate(labels)}
    splits = dict.fromkeys(record.split for record in records)
    config: dict[str, Any] = {split: f"images/{split}" for split in splits}
    # Ultralytics trains with both; where there is only one it stands for the other, as its documentation does it.
    config.setdefault("train", next(iter(config.values()), "images/train"))
    config.setdefault("val", config["train"])
    config |= {"nc": len(labels), "names": dict(enumerate(labels))}
    yield "data.yaml", yaml.dump(config, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1000)
    for record in records:
        lines = []
        width, height = record.size
        for one in record.objects:
            x1, y1, x2, y2 = one.bbox_2d
            box = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            fractions = (f"{v:.{_DECIMALS}f}".rstrip("0").rstrip(".") for v in box)
            lines.append(f"{number_of[one.desc]} {' '.join(fractions)}\n")
        yield next(_label_names(record.image)), "".join(lines)


YOLO = Format(read=read_yolo, write=write_yolo, image_folder="images/{split}")


# --- one line -------------------------------------------------------------------------------------------------------


def _object(fields: list[str], index: int, place: str, names: dict[int, str]) -> SourceObject | Finding:
    values = numbers([read_number(field) for field in fields])
    if values is None:
        bad = next(field for field in fields if read_number(field) is None)
        return finding("box-not-a-number", place, f"object {index}: {bad!r} is no number", object_index=index)
    kind, *coordinates = values
    label = names.get(int(kind)) if kind.is_integer() else None
    if label is None:
        text = f"object {index}: no class has the number {fields[0]}; there are {len(names)}"
        return finding("unknown-id", place, text, object_index=index)
    if len(coordinates) == 4:
        cx, cy, width, height = coordinates
        box: Box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    elif len(coordinates) >= 6 and len(coordinates) % 2 == 0:
        box = around(list(zip(coordinates[::2], coordinates[1::2], strict=True)))
    else:
        text = f"{len(coordinates)} numbers after the class: neither a box (4) nor a polygon (6, 8, …)"
        return object_or_finding(index, label, f"box-not-a-number: {text}", place)
    slack = _rounding(fields[1:])
    if any(v < -slack or v > 1 + slack for v in box):
        edges = show_box([round(v, 6) for v in box])
        text = f"{describe_object(index, label)}: the edges {edges} reach outside 0 to 1"
        return finding("box-not-normalised", place, text, object_index=index, label=label, box=box)
    # An edge that lies outside by rounding only stands on the border that it was written from.
    x1, y1, x2, y2 = (min(max(v, 0.0), 1.0) for v in box)
    return SourceObject(index, label, (x1, y1, x2, y2), place)


def _rounding(fields: list[str]) -> float:
    """How far an edge may lie outside by the rounding of the written digits alone: half a unit of the last for the
    centre, a quarter for half of the width. A box up to the border then still ends on it.
    """
    decimals = max(len(field.partition(".")[2]) for field in fields)
    return min(max(0.75 * 10.0**-decimals, 1e-9), 1e-3) if decimals else 1e-9


# --- the files around it --------------------------------------------------------------------------------------------


def _config_file(folder: Path) -> Path | None:
    """``data.yaml``, or the only YAML file of the folder."""
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    named = [file for file in files if file.stem == "data"]
    return named[0] if named else files[0] if len(files) == 1 else None


def _names_of(config: dict[str, Any], file: Path) -> dict[int, str]:
    stated = config.get("names")
    if isinstance(stated, list):
        stated = dict(enumerate(stated))
    if not isinstance(stated, dict):
        raise DataError("has no names", where=file, remedy="write names: as a list, or as number: name")
    names: dict[int, str] = {}
    for key, name in stated.items():
        number = int(key) if str(key).isdecimal() else None
        # YAML reads the bare words on and off, and numbers, as other than text.
        text = str(name) if isinstance(name, str | int | float) and not isinstance(name, bool) else ""
        if number is None or not text.strip():
            raise DataError(
                f"names: {key!r}: {name!r} is no class number with a name",
                where=file,
                remedy="write names as a list, or as number: name; quote words such as on and off",
            )
        names[number] = text
    count = config.get("nc")
    if count is not None and count != len(names):
        raise DataError(
            f"nc is {count!r}, but {len(names)} classes have names",
            where=file,
            remedy="name every class, or correct nc",
        )
    return names


def _names_from_list(folder: Path, remedy: str, source: Source) -> dict[int, str]:
    file = next((folder / name for name in _CLASS_LISTS if (folder / name).is_file()), None)
    if file is None:
        raise DataError(
            "holds neither data.yaml nor classes.txt: the classes have no names", where=folder, remedy=remedy
        )
    text, odd = require_text(file)
    source.findings += odd
    names = {number: line.strip() for number, line in enumerate(text.splitlines()) if line.strip()}
    repeated = [name for name, count in Counter(names.values()).items() if count > 1]
    if repeated:
        raise DataError(f"names {repeated[0]!r} twice", where=file, remedy="give each class one line")
    return names


def _by_config(
    config: dict[str, Any], file: Path, folder: Path, source: Source
) -> dict[str, tuple[Path, str | None]]:
    """Image (path below the folder) → file and split, in the order of the splits."""
    stated = config.get("path")
    root = folder / stated if isinstance(stated, str) and os.path.isdir(folder / stated) else folder  # noqa: PTH112
    images = list_images(folder, source)
    found: dict[str, tuple[Path, str | None]] = {}
    splits = _split_entries(config)
    for split in ("test", "val", "train"):  # an image of two splits stays in the one that is held out
        for entry in splits.get(split, ()):
            for name in _images_of(entry, root, folder, images, file.name, split, source):
                other = found.setdefault(name, (images[name], split))[1]
                if other != split:
                    text = f"{name!r} stands in {split} and in {other}; it is used in {other} only"
                    source.findings.append(finding("split-overlap", file.name, text, image=name))
    if not splits:
        return {name: (path, split_of_path(name)) for name, path in images.items()}
    return dict(sorted(found.items()))


def _split_entries(config: dict[str, Any]) -> dict[str, list[str]]:
    """Split → the folders and lists that its key names.

    Ultralytics asks for train and val; who has only one of them names it twice. It is taken once, as the split that its
    folder names, else as train.
    """
    splits: dict[str, list[str]] = {}
    for key, split in _SPLIT_KEYS.items():
        stated = config.get(key)
        if stated:
            splits.setdefault(split, [str(one) for one in (stated if isinstance(stated, list) else [stated])])
    for split in ("val", "test"):
        if split in splits and splits[split] == splits.get("train"):
            named = split_named(posixpath.basename(splits[split][0].rstrip("/")))
            del splits["train" if named == split else split]
    return splits


def _images_of(
    entry: str, root: Path, folder: Path, images: dict[str, Path], file: str, key: str, source: Source
) -> list[str]:
    """The images that a split's entry names: a folder, or a list of images."""
    below = _below(entry, root, folder)
    if below is None:
        text = f"{key}: there is no folder or list {entry!r} in the source"
        remedy = "correct the path in the YAML file"
        source.findings.append(finding("missing-image", file, text, remedy=remedy))
        return []
    if (folder / below).is_dir():
        prefix = "" if below == "." else f"{below}/"
        names = [name for name in images if name.startswith(prefix)]
        if not names:
            source.findings.append(finding("empty-split", file, f"{key}: {entry!r} holds no image"))
        return names
    lines, odd = read_text(folder / below, below)
    source.findings += odd
    names = []
    for number, line in enumerate((lines or "").splitlines(), start=1):
        stated = line.strip()
        if not stated:
            continue
        base = folder / posixpath.dirname(below)
        name = _below(stated, base, folder) or _below(stated, root, folder)
        if name is None or name not in images:
            source.refuse(missing_image(stated, f"{below}:{number}"))
        else:
            names.append(name)
    return names


def _below(entry: str, root: Path, folder: Path) -> str | None:
    """A path of the YAML file as a path below the source's folder, where it exists.

    Tools write ``../train/images`` for a folder beside the YAML file; it is looked for without the dots too.
    """
    entry = entry.replace("\\", "/")
    for candidate in (root / entry, folder / entry, folder / entry.removeprefix("../")):
        path = Path(os.path.normpath(candidate))
        base = Path(os.path.normpath(folder))
        lies_below = path == base or base in path.parents
        if lies_below and is_inside(base, path) and os.path.exists(path):  # noqa: PTH110 - any name is no error
            return path.relative_to(base).as_posix()
    return None


def _label_names(image: str) -> Iterator[str]:
    """Where the label file of an image may stand: ``images`` → ``labels`` (the last such folder), else beside it."""
    parts = image.split("/")
    for position in reversed(range(len(parts) - 1)):
        if parts[position] == "images":
            yield stem_of("/".join([*parts[:position], "labels", *parts[position + 1 :]])) + ".txt"
            break
    yield f"{stem_of(image)}.txt"
    yield f"labels/{stem_of(image)}.txt"


def _is_list(name: str) -> bool:
    """Text files that are no label files: class names, lists of a split, notes of the exporting tool."""
    if name in _CLASS_LISTS:
        return True
    # Roboflow's README.dataset.txt, and train.txt: in the top folder only, below it they belong to images.
    stem = stem_of(name.lower())
    return "/" not in name and (stem in _SPLIT_KEYS or stem.startswith("readme") or stem == "notes")
