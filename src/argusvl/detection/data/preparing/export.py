"""Export: records → the files of another format, with their images beside them.

What the format cannot hold is refused by name, object by object where possible, and the rest is written. The result
appears under its name only when it is complete.
"""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from argus_doctor.findings import Finding, count_errors
from argus_doctor.rendering import show_findings
from argusvl.core.errors import DataError
from argusvl.core.files import already_there, atomic_folder, copy_file
from argusvl.core.images import IMAGE_SUFFIXES, UPRIGHT
from argusvl.core.progress import track
from argusvl.core.workers import map_in_order
from argusvl.detection.data.findings import box_problem, finding
from argusvl.detection.data.formats import format_of
from argusvl.detection.data.formats.base import Format, PlacedRecord, SourceObject
from argusvl.detection.data.formats.tree import name_of_path, split_named, unique_stem
from argusvl.detection.data.manifest import TEACHER_POOL
from argusvl.detection.data.preparing.inspection import size_and_orientation
from argusvl.detection.data.preparing.split import split_files
from argusvl.detection.data.records import ObjectAnnotation, Record, RecordFile, Scene

ImageMode = Literal["copy", "link"]
"""How images come into the folder: as copies, or as hard links (no space taken, but a change shows in both)."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to export.

    Attributes:
        format: A key of :data:`~argusvl.detection.data.formats.FORMATS`.
        root: Folder that the records' image paths are relative to; each file's own when ``None``.
        prompt_language: Of the question in formats that are conversations.
        workers: Threads; the number of usable cores when ``None``.
    """

    format: str
    root: str | Path | None = None
    images: ImageMode = "copy"
    prompt_language: str = "en"
    workers: int | None = None


@dataclass(slots=True)
class ExportReport:
    """What was exported, by split; what was refused and why; and what the format has no place for."""

    images: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return count_errors(self.findings)

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "splits": {
                name: {"images": self.images[name], "objects": self.objects[name]} for name in self.images
            },
            "notes": self.notes,
            "findings": [one.to_json() for one in self.findings],
        }


@dataclass(frozen=True, slots=True)
class _Split:
    """A record, its split, and the folder that its image paths are relative to."""

    name: str
    record: Record
    root: Path


def export(
    data: str | Path, out: str | Path, options: ExportOptions, *, progress: bool = False
) -> ExportReport:
    """Writes records, a data folder (every split of it) or one JSONL file, in another format.

    Returns:
        What was written, what was not and why.

    Raises:
        DataError: There are no records, none of them can be used, the format is unknown, or ``out`` exists.
        ArgusError: ``out`` cannot be written. Nothing is left behind.
    """
    path, target = Path(data), Path(out)
    chosen = format_of(options.format)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise already_there(target, None, DataError)
    report = ExportReport()
    records = _fitting(list(_read(path, options, report)), chosen, options.format, report)
    sources = list(dict.fromkeys(one.root / image for one in records for image in one.record.images))
    sizes = dict(zip(sources, map_in_order(_size, sources, options.workers), strict=True))
    placing = _Placing(chosen, sizes, report)
    placed = [done for one in records if (done := placing.place(one)) is not None]
    if not placed:
        raise DataError(f"nothing can be exported:\n{show_findings(report.findings)}", where=path)
    with atomic_folder(target) as temporary:
        for name, text in chosen.write(placed, options.prompt_language):
            file = temporary / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("utf-8"))
        jobs = [(source, temporary / name, options.images) for name, source in placing.taken.items()]
        brought = map_in_order(lambda job: bring(*job), jobs, options.workers)
        for _ in track(brought, len(jobs), f"exporting {path.name}", enabled=progress):
            pass
    return report


# --- records --------------------------------------------------------------------------------------------------------


def _read(path: Path, options: ExportOptions, report: ExportReport) -> Iterator[_Split]:
    """The records of a data folder or file; a bad line is a finding."""
    for file in split_files(path, "name one, or convert the data first"):
        records = RecordFile(file, options.root)
        name = TEACHER_POOL if file.stem == TEACHER_POOL else split_named(file.stem) or "train"
        for index in range(len(records)):
            try:
                record = records[index]
            except DataError as error:
                place = error.where or records.source(index)
                report.findings.append(finding("malformed-record", place, error.what, remedy=error.remedy))
                continue
            yield _Split(name, record, records.root)


def _fitting(records: Sequence[_Split], chosen: Format, name: str, report: ExportReport) -> list[_Split]:
    """The records in the form that a format holds; what it has no place for is noted."""
    result: list[_Split] = []
    dropped = divided = pooled = 0
    for one in records:
        if one.record.teachers and not chosen.teachers:
            dropped += 1
            one = replace(one, record=replace(one.record, teachers=()))
        if one.name == TEACHER_POOL and not chosen.teachers:
            pooled += 1
            one = replace(one, name="train")
        scene = one.record.student
        if not scene.images and not chosen.no_images:
            text = f"it shows no image, and a record of {name} is about images"
            remedy = "name its image, or export to argus, whose records may show none"
            report.findings.append(finding("not-exportable", one.record.source, text, remedy=remedy))
            continue
        if len(scene.images) == 1 or chosen.several_images:
            result.append(one)
            continue
        divided += 1
        for index, image in enumerate(scene.images):
            objects = tuple(replace(o, image=0) for o in scene.objects if o.image == index)
            result.append(replace(one, record=replace(one.record, student=Scene((image,), objects))))
    if dropped:
        report.notes.append(f"{name} holds no teachers: those of {dropped} records were left out")
    if pooled:
        report.notes.append(f"{name} knows no teacher pool: its {pooled} records stand in train")
    if divided:
        text = f"{name} holds one image a record: {divided} records of several images were divided"
        report.notes.append(text)
    return result


# --- places ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Placing:
    """Gives each image its place: ``taken``, place → image.

    ``sizes`` are those of the images, or why one cannot be used; ``report`` takes the counts and findings.
    """

    format: Format
    sizes: dict[Path, tuple[int, int] | Finding]
    report: ExportReport
    taken: dict[str, Path] = field(default_factory=dict)
    _stems: dict[str, int] = field(default_factory=dict)
    _shared: dict[Path, str] = field(default_factory=dict)

    def place(self, one: _Split) -> PlacedRecord | None:
        """The record with its images at their places; ``None`` where it cannot be used."""
        for image in one.record.images:
            if (problem := self._image_problem(one, image)) is not None:
                self.report.findings.append(problem)
                return None
        kept: list[Scene] = []
        for scene in one.record.scenes:
            objects = tuple(o for index, o in enumerate(scene.objects) if self._fits(one, scene, index, o))
            if scene.objects and not objects:
                text = f"none of its {len(scene.objects)} objects can be written, so the image cannot"
                image = scene.images[0]
                self.report.findings.append(finding("nothing-left", one.record.source, text, image=image))
                return None
            kept.append(Scene(scene.images, objects))
        sizes: dict[str, tuple[int, int]] = {}
        placed: list[Scene] = []
        for scene in kept:
            places = tuple(self._path(one.root / image, image, one.name) for image in scene.images)
            sizes |= {p: self._size(one, image) for p, image in zip(places, scene.images, strict=True)}
            placed.append(Scene(places, scene.objects))
        self.report.images[one.name] += len(placed[0].images)
        self.report.objects[one.name] += len(placed[0].objects)
        return PlacedRecord(one.name, Record(placed[0], tuple(placed[1:])), sizes)

    def _image_problem(self, one: _Split, image: str) -> Finding | None:
        size = self.sizes[one.root / image]
        if isinstance(size, Finding):
            return replace(size, where=one.record.source, numbers={**size.numbers, "image": image})
        if posixpath.splitext(image)[1].lower() not in IMAGE_SUFFIXES:
            text = f"{image!r} does not end as images do ({', '.join(sorted(IMAGE_SUFFIXES))})"
            return finding("not-exportable", one.record.source, text, image=image)
        return None

    def _fits(self, one: _Split, scene: Scene, index: int, annotation: ObjectAnnotation) -> bool:
        image = scene.images[annotation.image]
        problem = box_problem(annotation.bbox_2d, self._size(one, image))
        because = self.format.label_problem(annotation.desc)
        if problem is None and because is not None:
            problem = ("not-exportable", f"the format cannot hold the description: {because}")
        if problem is not None:
            found = SourceObject(index, annotation.desc, annotation.bbox_2d, one.record.source)
            self.report.findings.append(found.finding(*problem, image))
        return problem is None

    def _size(self, one: _Split, image: str) -> tuple[int, int]:
        size = self.sizes[one.root / image]
        assert not isinstance(size, Finding)
        return size

    def _path(self, source: Path, image: str, split: str) -> str:
        """A place of its own; shared where the format names images in its records, so that several may name one."""
        if self.format.several_images and source in self._shared:
            return self._shared[source]
        folder = self.format.image_folder.format(split=split)
        name = _clean(name_of_path(image).removeprefix(f"{split}/"))
        stem, suffix = posixpath.splitext(name)
        # Files beside an image share its name but not its ending.
        place = unique_stem(f"{folder}/{stem}", self._stems) + suffix
        self.taken[place] = source
        self._shared[source] = place
        return place


def _clean(name: str) -> str:
    """A name that lists of names can hold: no line breaks, no spaces at an end, nothing hidden."""
    parts = ["".join(c if c.isprintable() and c != "\\" else "_" for c in part) for part in name.split("/")]
    parts = [f"_{part}" if part.startswith(".") else part for part in parts]
    stem, suffix = posixpath.splitext("/".join(part.strip() or "_" for part in parts))
    return (stem.rstrip() or "_") + suffix


def _size(path: Path) -> tuple[int, int] | Finding:
    header = size_and_orientation(path, str(path), str(path))
    if isinstance(header, Finding):
        return header
    size, orientation = header
    if orientation != UPRIGHT:
        text = f"EXIF orientation is {orientation}: other tools would turn the picture under its boxes"
        return finding("exif-orientation", path, text)
    return size


def bring(source: Path, target: Path, mode: ImageMode) -> None:
    """Puts an image to its place in a folder that is being made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if mode == "link":
        with suppress(OSError):  # the file system has no hard links, or the folder lies on another one
            os.link(source.resolve(), target)
            return
    copy_file(source, target)
