"""Formats with one record a line: JSONL files whose records name their images.

A folder's ``train.jsonl``, ``val.jsonl`` and ``test.jsonl`` are its splits; where no file is called so, all are read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from argus_doctor.findings import Finding
from argusvl.core.errors import DataError
from argusvl.core.files import is_inside
from argusvl.core.strict_json import MalformedJsonError, decode_json, shown
from argusvl.core.wording import counted
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats.base import (
    Annotation,
    Reader,
    ReadOptions,
    Slot,
    Source,
    SourceImage,
    SourceObject,
    object_or_finding,
)
from argusvl.detection.data.formats.numbers import numbers
from argusvl.detection.data.formats.text import decode_text, parse_json, read_content
from argusvl.detection.data.formats.tree import list_files, name_of_path, outside_problem, split_named
from argusvl.detection.data.manifest import TEACHER_POOL
from argusvl.detection.data.records import is_path


@dataclass(slots=True)
class LineScene:
    """What a line says of some images.

    Attributes:
        images: Their paths, as written.
        objects: Each with the image that shows it; or why it is none, with the image concerned.
        relative: Whether the boxes are fractions of their image's sides.
    """

    images: Sequence[str]
    objects: list[tuple[int, SourceObject | Finding]] = field(default_factory=list)
    relative: bool = False

    def add(self, image: int | Finding, found: SourceObject | Finding) -> None:
        """Adds an object, or why it, or the image that it names, is none."""
        self.objects.append((0, image) if isinstance(image, Finding) else (image, found))

    def read_objects(self, entries: Sequence[Any], where: str, label_key: str, field_name: str) -> None:
        """Adds objects in the form of :func:`object_of`, each of which may name its ``image``."""
        for index, entry in enumerate(entries):
            place = f"{field_name}[{index}]"
            found = object_of(entry, index, where, label_key, place)
            of_image = entry.get("image", 0) if isinstance(entry, dict) else 0
            self.add(image_index(of_image, len(self.images), index, where, f"{place}.image"), found)

    def annotation(self, image: int, where: str) -> Annotation:
        """What is known of one of the images."""
        return Annotation(where, [one for i, one in self.objects if i == image], relative=self.relative)


LineParser = Callable[[Any, str], "list[LineScene] | Finding"]
"""Decoded line and ``file:line`` → the student's scene and those of its teachers, or why the line cannot be used."""


def line_reader(parse: LineParser, remedy: str, *, pool: bool = False) -> Reader:
    """The reader of JSONL files, or of JSON files that hold a list of records: of one file, or a folder with some.

    ``remedy`` says what to do where there is nothing of the kind; with a ``pool``, ``teacher_pool.jsonl`` is a split.
    """

    def read(folder: Path, options: ReadOptions) -> Source:
        if not folder.exists():
            raise DataError("no such file or folder", where=folder, remedy=remedy)
        source = Source()
        root = folder if folder.is_dir() else folder.parent
        files = _files(folder, source, pool)
        if not files:
            raise DataError("holds no JSONL file", where=folder, remedy=remedy)
        for file, split in files:
            for where, value in _entries(file, file.relative_to(root).as_posix()):
                scenes = value if isinstance(value, Finding) else parse(value, where)
                if not isinstance(scenes, Finding):
                    _add(source, scenes, where, (file.parent, root), split)
                elif scenes.severity == "warning":
                    source.findings.append(scenes)
                else:
                    source.refuse(scenes)
        return source

    return read


def object_of(entry: Any, index: int, place: str, label_key: str, field_name: str) -> SourceObject | Finding:
    """One ``{"bbox_2d": [x1, y1, x2, y2], label_key: "…"}``, which stands in ``field_name`` of the line ``place``."""
    if not isinstance(entry, dict):
        return finding("malformed-annotation", place, f"{field_name} is {shown(entry)}, not an object")
    label = entry.get(label_key)
    if not isinstance(label, str) or not label.strip():
        text = f"{field_name}.{label_key} is {shown(label)}, not a description"
        return finding("empty-label", place, text, object_index=index)
    box = numbers(entry.get("bbox_2d"), 4)
    if box is None:
        text = f"{field_name}.bbox_2d is {shown(entry.get('bbox_2d'))}, not four finite numbers"
        return object_or_finding(index, label, f"box-not-a-number: {text}", place)
    x1, y1, x2, y2 = box
    return SourceObject(index, label, (x1, y1, x2, y2), place)


def image_index(value: Any, num_images: int, index: int, place: str, field_name: str) -> int | Finding:
    """The image that an object names: a position among the line's images, or why it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < num_images:
        return value
    text = f"{field_name} is {shown(value)}, and the line has {counted(num_images, 'image')}"
    return finding("unknown-id", place, text, object_index=index)


def image_paths(value: Any) -> list[str] | None:
    """Paths of a line's images: a path, a list of paths, or of ``{"path": …}``."""
    stated = [value] if isinstance(value, str) else value
    if not isinstance(stated, list):
        return None
    paths = [one.get("path") if isinstance(one, dict) else one for one in stated]
    return [str(path) for path in paths] if all(map(is_path, paths)) else None


def without(*marks: str) -> Callable[[str], str | None]:
    """Of a format in whose texts these marks stand for something else: why it cannot hold a description, if so."""
    return lambda label: next((f"it holds {mark}" for mark in marks if mark in label), None)


# --- files and lines ------------------------------------------------------------------------------------------------


def _files(path: Path, source: Source, pool: bool) -> list[tuple[Path, str | None]]:
    def split_of(file: Path) -> str | None:
        return TEACHER_POOL if pool and file.stem == TEACHER_POOL else split_named(file.stem)

    if path.is_file():
        return [(path, split_of(path))]
    found = list_files(path, {".jsonl"}, source) or list_files(path, {".json"}, source)
    files = {name: (file, split_of(file)) for name, file in found.items()}
    others = [name for name, (_, split) in files.items() if split is None]
    if 0 < len(others) < len(files):
        text = f"{len(others)} files beside the splits were not read, e.g. {others[0]!r}"
        remedy = "name such a file itself if it is to be converted"
        source.findings.append(finding("not-listed", others[0], text, remedy=remedy))
        return [(file, split) for file, split in files.values() if split is not None]
    return list(files.values())


def _entries(file: Path, name: str) -> Iterator[tuple[str, Any]]:
    """Where a record stands, as no other does, and the record; or the finding of a line that is none."""
    content = read_content(file, name)
    if isinstance(content, Finding):
        yield name, content
        return
    if file.suffix.lower() == ".json":
        yield from _list_entries(content, name)
        return
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):  # UTF-16, in which a line break is two bytes
        text, findings = decode_text(content, name)
        if text is None:
            yield name, findings[0]
            return
        content = text.encode("utf-8", "surrogatepass")
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        text, findings = decode_text(line, name)
        yield from ((where, replace(one, where=where)) for one in findings)
        if text is None:
            continue
        try:
            yield where, decode_json(text.rstrip("\r"))
        except MalformedJsonError as error:
            yield where, finding("malformed-json", where, str(error))


def _list_entries(content: bytes, name: str) -> Iterator[tuple[str, Any]]:
    document = parse_json(content, name)
    if isinstance(document, Finding):
        yield name, document
        return
    for warning in document.warnings:
        yield name, warning
    if not isinstance(document.value, list):
        text = f"holds {shown(document.value)}, not a list of records"
        yield name, finding("malformed-annotation", document.place(), text)
        return
    for position, value in enumerate(document.value):
        # The position as well: such files have all records on one line, and images of a record are put together by it.
        yield f"{document.place(position)}, record {position}", value


def _add(
    source: Source, scenes: list[LineScene], where: str, folders: tuple[Path, Path], split: str | None
) -> None:
    """Adds a line's images; ``folders``: the file's own, which paths are relative to, and the source's."""
    parent, root = folders
    total = sum(len(scene.images) for scene in scenes)
    for stated in (stated for scene in scenes for stated in scene.images):
        if not is_inside(root, parent / stated.replace("\\", os.sep)):
            source.refuse(outside_problem(stated, root, where))
            return
    for number, scene in enumerate(scenes):
        for index, stated in enumerate(scene.images):
            path = parent / stated.replace("\\", os.sep)
            slot = None if total == 1 else Slot(record=where, scene=number, image=index, images=total)
            read = partial(scene.annotation, index, where)
            source.images.append(SourceImage(path, name_of_path(stated), split, read, slot))
