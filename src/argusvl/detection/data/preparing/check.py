"""`argus data check`: everything that is wrong with data, found before it is trained on.

Two kinds of data are read: JSONL records (one file, or a data folder with its splits), and sources that are still to
be converted. Each line, or annotated image, is checked apart, by several threads; nothing stops at the first error.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from argus_doctor.findings import Finding, count_errors, count_kinds
from argusvl.core.errors import DataError
from argusvl.core.images import open_image
from argusvl.core.progress import track
from argusvl.core.strict_json import MalformedJsonError
from argusvl.core.workers import map_in_order
from argusvl.detection.data.descriptions import Descriptions
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats import format_of
from argusvl.detection.data.formats.base import SPLITS, ReadOptions, SourceImage, SourceObject
from argusvl.detection.data.manifest import limits_of, token_statistics
from argusvl.detection.data.measuring.histogram import SIDE_EDGES_PX, Range, ranges_between, whole_ranges
from argusvl.detection.data.orientation import BoxFrame
from argusvl.detection.data.preparing.inspection import inspect_image
from argusvl.detection.data.preparing.label_check import LabelCount, label_findings
from argusvl.detection.data.preparing.leakage import leakage
from argusvl.detection.data.preparing.picture_check import Checked, CheckedPicture, CheckOptions, Pictures
from argusvl.detection.data.preparing.split import split_files
from argusvl.detection.data.prompts import prompt_language
from argusvl.detection.data.records import Problem, RecordFile, decode_line, read_scenes
from argusvl.detection.data.resize import plan_resize
from argusvl.detection.data.scan import Measurement, RecordLine, scan

__all__ = ["CheckOptions", "CheckReport", "LabelCount", "check_records", "check_source"]


_LEARNED_FROM = 2000
"""Records of each file that a tokenizer for counting is learned from."""


@dataclass(slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        findings: In the order of the data, then what concerns all of it.
        pictures: Every image to be learned from or measured on, in the order of the data.
        labels: Whole description → counts.
        conversation_tokens: Of each record, where conversations were counted.
        notes: What was not checked, and what figures rest on.
    """

    data: str
    findings: list[Finding] = field(default_factory=list)
    pictures: list[CheckedPicture] = field(default_factory=list)
    labels: dict[str, LabelCount] = field(default_factory=lambda: defaultdict(LabelCount))
    conversation_tokens: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    limits: tuple[int, int] | None = None

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return count_errors(self.findings)

    @property
    def images(self) -> Counter[str]:
        """Images by split."""
        return Counter(picture.split for picture in self.pictures)

    @property
    def objects(self) -> int:
        """How many objects could be read."""
        return sum(count.objects for count in self.labels.values())

    @property
    def vision_tokens(self) -> list[int]:
        """Merged vision tokens of each image, where it can be read and pixel limits are known."""
        return [p.vision_tokens for p in self.pictures if p.vision_tokens is not None]

    def histograms(self) -> dict[str, tuple[Range, ...]]:
        """Distributions: what is counted → ranges; without those of which nothing is known."""
        sides = [_object_sides_px(p, self.limits) for p in self.pictures if p.size is not None]
        found = {
            "objects of an image": whole_ranges([len(p.labels) for p in self.pictures]),
            "sides of objects, pixels": ranges_between(np.concatenate(sides), SIDE_EDGES_PX) if sides else (),
            "vision tokens of an image": whole_ranges(self.vision_tokens),
            "tokens of a conversation": whole_ranges(self.conversation_tokens),
        }
        return {name: ranges for name, ranges in found.items() if ranges}

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        tokens = token_statistics(self.vision_tokens)
        return {
            "data": self.data,
            "errors": self.errors,
            "warnings": len(self.findings) - self.errors,
            "kinds": count_kinds(self.findings),
            "images": dict(self.images),
            "objects": self.objects,
            "labels": {
                label: {"objects": c.objects, "images": c.images, "splits": dict(c.splits)}
                for label, c in sorted(self.labels.items())
            },
            "vision_tokens": None if tokens is None else tokens.model_dump(),
            "histograms": {
                name: [asdict(one) for one in ranges] for name, ranges in self.histograms().items()
            },
            "notes": self.notes,
            "findings": [f.to_json() for f in self.findings],
        }


def check_records(
    data: str | Path,
    options: CheckOptions,
    *,
    root: str | Path | None = None,
    conversations: bool = False,
    model: str | Path | None = None,
    progress: bool = False,
) -> CheckReport:
    """Checks a JSONL file, or every split of a data folder.

    Args:
        data: The file or folder. Pixel limits that are not given are taken from the manifest beside it.
        options: What to check against.
        root: Folder that image paths are relative to; each file's own when ``None``.
        conversations: Whether to count the tokens of conversations, too, where pixel limits are known.
        model: Folder or name of the model whose tokenizer counts them; a small one is learned from the records when
            ``None``.
        progress: Whether to show a progress bar.

    Raises:
        DataError: There is nothing to check.
        CheckpointError: The model has no tokenizer.
    """
    path = Path(data)
    if not path.exists():
        raise DataError("no such file or folder", where=path, remedy="check the path")
    files = split_files(path, "name one, or say --format voc for data not yet converted")
    report = CheckReport(data=str(path))
    options = _with_manifest_limits(options, files[0].parent, report)
    pictures = Pictures(options)
    # The descriptions are for the tokenizer of conversations, and for the start of training.
    records = {RecordFile(file, root): Descriptions() for file in files}
    for file, described in records.items():
        if not len(file):
            report.findings.append(finding("no-records", file.path, "the file holds no record"))
        measurements: list[Measurement[Any]] = [_Lines(report, pictures), described]
        scan(file, measurements, workers=options.workers, doing="checking", progress=progress)
    _add_findings_on_all(report, options, progress)
    if conversations and report.limits is not None and report.pictures:
        _count_conversations(report, records, model, options.workers, progress)
    return report


def check_source(
    folder: str | Path,
    format_name: str,
    options: CheckOptions,
    *,
    pixel_offset: float = 0.0,
    exif_boxes: BoxFrame | None = None,
    progress: bool = False,
) -> CheckReport:
    """Checks data that is still to be converted: a source of a format, by the options of its conversion.

    Raises:
        DataError: The folder does not hold data of this format.
    """
    source = format_of(format_name).read(Path(folder), ReadOptions(pixel_offset))
    report = CheckReport(data=str(folder), findings=list(source.findings))
    options = _with_manifest_limits(options, Path(folder), report)
    pictures = Pictures(options)
    by_split: dict[str, list[SourceImage]] = defaultdict(list)
    for entry in source.images:
        by_split[entry.split or "all"].append(entry)
    # What is held out comes after what is learned from, and is compared with it.
    order = {name: place for place, name in enumerate(SPLITS)}
    for split, entries in sorted(by_split.items(), key=lambda item: order.get(item[0], len(order))):
        check = partial(_check_source_image, split=split, exif_boxes=exif_boxes, pictures=pictures)
        results = map_in_order(check, entries, options.workers)
        for checked in track(results, len(entries), f"checking {split}", enabled=progress):
            _collect(report, checked)
    _add_findings_on_all(report, options, progress)
    return report


def _with_manifest_limits(options: CheckOptions, folder: Path, report: CheckReport) -> CheckOptions:
    report.limits = options.limits or limits_of(folder)
    if report.limits is None:
        report.notes.append(
            "vision tokens and boxes under one patch were not checked: give --min-pixels and --max-pixels"
        )
        return options
    return replace(options, min_pixels=report.limits[0], max_pixels=report.limits[1])


class _Lines(Measurement[Checked]):
    """Checks each line, whether or not it is a record: everything that is wrong with it, then its pictures."""

    def __init__(self, report: CheckReport, pictures: Pictures) -> None:
        super().__init__()
        self._report = report
        self._pictures = pictures

    def measure(self, line: RecordLine) -> Checked:
        checked, file, where = Checked(), line.file, line.source

        def note(problem: Problem) -> None:
            found = finding(problem.slug, where, problem.what, remedy=problem.remedy, **problem.about)
            checked.findings.append(found)

        try:
            value = decode_line(line.text)
        except MalformedJsonError as error:
            checked.findings.append(finding("malformed-json", where, str(error)))
            return checked
        for number, scene in enumerate(read_scenes(value, note)):
            teacher, split = (f"teacher {number - 1}", None) if number else ("", file.path.stem)
            alone = len(scene.images) == 1
            for position, name in enumerate(scene.images):
                objects = [
                    SourceObject(index, one.desc, one.bbox_2d, where, teacher)
                    for index, one in scene.objects.items()
                    if one.image == position
                ]
                path = file.root / name
                checked.add(self._pictures.check(path, name, where, objects, split=split, alone=alone))
        return checked

    def add(self, line: RecordLine, found: Checked) -> None:
        _collect(self._report, found)


def _check_source_image(
    entry: SourceImage, *, split: str, exif_boxes: BoxFrame | None, pictures: Pictures
) -> Checked:
    annotation = entry.annotate()
    inspected = inspect_image(entry.path, entry.name, annotation, exif_boxes)
    checked = Checked(findings=list(inspected.findings))
    if not inspected.usable:
        return checked
    where, objects, size = annotation.where, inspected.objects, inspected.size
    checked.add(pictures.check(entry.path, entry.name, where, objects, split=split, upright_size=size))
    return checked


def _collect(report: CheckReport, checked: Checked) -> None:
    report.findings += checked.findings
    report.pictures += checked.pictures
    for picture in checked.pictures:
        for label, count in Counter(picture.labels).items():
            splits = Counter({picture.split: count})
            report.labels[label].add(LabelCount(count, 1, picture.where, picture.name, splits))


def _add_findings_on_all(report: CheckReport, options: CheckOptions, progress: bool) -> None:
    """What only all pictures and all labels together show."""

    def open_upright(path: Path) -> Image.Image:
        return open_image(path, exif="upright", max_megapixels=options.max_megapixels)

    report.findings += leakage(report.pictures, open_upright, progress=progress)
    report.findings += label_findings(report.data, report.labels, has_train="train" in report.images)


def _count_conversations(
    report: CheckReport,
    records: Mapping[RecordFile, Descriptions],
    model: str | Path | None,
    workers: int | None,
    progress: bool,
) -> None:
    from argusvl.detection.data.measuring.conversation_lengths import (
        LEARNED_VOCABULARY,
        Lengths,
        open_processor,
    )

    assert report.limits is not None
    language = prompt_language({label: count.objects for label, count in report.labels.items()})
    scenes = chain.from_iterable(one.scenes(_LEARNED_FROM) for one in records.values())
    try:
        processor = open_processor(scenes, model=model, language=language, max_pixels=report.limits[1])
    except DataError as error:
        report.notes.append(f"conversations were not counted: {error.what}")
        return
    for file in records:
        lengths = Lengths(processor, report.limits)
        scan(file, [lengths], workers=workers, doing="counting tokens of", progress=progress)
        report.conversation_tokens += lengths.conversations.tolist()
        # What only this tokenizer minds: training with it would stop there.
        known = {one.where for one in report.findings if one.severity == "error"}
        report.findings += [
            finding("malformed-record", where, error.what, remedy=error.remedy)
            for where, error in lengths.bad
            if where not in known
        ]
    if model is None:
        report.notes.append(
            f"conversations were counted by a tokenizer of {LEARNED_VOCABULARY} tokens learned from these records; "
            "--model names another"
        )


def _object_sides_px(picture: CheckedPicture, limits: tuple[int, int] | None) -> np.ndarray:
    """Sides of squares as large as the objects, as the network sees them where pixel limits are known, ``[N]``."""
    assert picture.size is not None
    boxes = picture.boxes_xyxy_px.astype(np.float64)
    # A box may reach outside of its image, or over all of it: that is a finding of its own.
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    if limits is not None and picture.vision_tokens is not None:
        plan = plan_resize(*picture.size, *limits)
        areas *= math.prod(plan.resized_size) / math.prod(plan.size)
    return np.asarray(np.sqrt(areas))
