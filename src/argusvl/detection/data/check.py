"""`argus data check`: everything that is wrong with data, found before it is trained on.

Two kinds of data are read: JSONL records (one file, or a data folder with its splits), and sources that are still to
be converted. Each line, or annotated image, is checked apart, by several threads; nothing stops at the first error.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from argusvl.core.errors import DataError, ImageError
from argusvl.core.images import open_image
from argusvl.detection.data.findings import Finding, count_errors, count_kinds, finding
from argusvl.detection.data.formats import ReadOptions, SourceImage, reader_of
from argusvl.detection.data.formats.base import SPLITS
from argusvl.detection.data.inspection import inspect_image, unreadable
from argusvl.detection.data.labels import near_duplicates
from argusvl.detection.data.line_check import check_line
from argusvl.detection.data.manifest import MANIFEST_NAME, TEACHER_POOL, read_manifest, token_statistics
from argusvl.detection.data.orientation import BoxFrame
from argusvl.detection.data.picture_check import Checked, CheckedObject, CheckOptions, Pictures
from argusvl.detection.data.progress import track
from argusvl.detection.data.workers import map_in_order

__all__ = ["CheckOptions", "CheckReport", "LabelCount", "check_records", "check_source"]


@dataclass(slots=True)
class LabelCount:
    """Of one label: how many objects, in how many images, and objects by split."""

    objects: int = 0
    images: int = 0
    splits: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        data: What was checked.
        findings: In the order of the data, then what concerns all of it.
        images: Images by split.
        labels: Whole description → counts.
        vision_tokens: Merged vision tokens of each image, where pixel limits are known.
        notes: What was not checked, and why.
    """

    data: str
    findings: list[Finding] = field(default_factory=list)
    images: Counter[str] = field(default_factory=Counter)
    labels: dict[str, LabelCount] = field(default_factory=lambda: defaultdict(LabelCount))
    vision_tokens: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return count_errors(self.findings)

    @property
    def objects(self) -> int:
        """How many objects could be read."""
        return sum(count.objects for count in self.labels.values())

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
            "notes": self.notes,
            "findings": [f.model_dump(exclude_none=True) for f in self.findings],
        }


def check_records(
    data: str | Path, options: CheckOptions, *, root: str | Path | None = None, progress: bool = False
) -> CheckReport:
    """Checks a JSONL file, or every split of a data folder.

    Args:
        data: The file or folder. Pixel limits that are not given are taken from the manifest beside it.
        options: What to check against.
        root: Folder that image paths are relative to; each file's own when ``None``.
        progress: Whether to show a progress bar.

    Raises:
        DataError: There is nothing to check.
    """
    path = Path(data)
    files = _record_files(path)
    report = CheckReport(data=str(path))
    options = _with_manifest_limits(options, files[0].parent, report)
    pictures = Pictures(options)
    seen: dict[Path, tuple[str, str]] = {}
    for file in files:
        check = partial(check_line, file=file, root=Path(root or file.parent), pictures=pictures)
        results = map_in_order(check, _lines(file), options.workers)
        total = sum(1 for _ in _lines(file))
        checked = track(results, total, f"checking {file.name}", unit="lines", enabled=progress)
        _collect(report, file.stem, checked, seen)
    report.findings += _label_findings(report)
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
    """Checks data that is still to be converted.

    Args:
        folder: The source.
        format_name: A key of :data:`~argusvl.detection.data.formats.FORMATS`.
        options: What to check against.
        pixel_offset: As in the conversion.
        exif_boxes: As in the conversion.
        progress: Whether to show a progress bar.

    Raises:
        DataError: The folder does not hold data of this format.
    """
    source = reader_of(format_name)(Path(folder), ReadOptions(pixel_offset))
    report = CheckReport(data=str(folder), findings=list(source.findings))
    options = _with_manifest_limits(options, Path(folder), report)
    pictures = Pictures(options)
    by_split: dict[str, list[SourceImage]] = defaultdict(list)
    for entry in source.images:
        by_split[entry.split or "all"].append(entry)
    for split, entries in by_split.items():
        check = partial(_check_source_image, exif_boxes=exif_boxes, pictures=pictures)
        results = map_in_order(check, entries, options.workers)
        _collect(report, split, track(results, len(entries), f"checking {split}", enabled=progress), {})
    report.findings += _label_findings(report)
    return report


def _record_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = [path / f"{name}.jsonl" for name in (*SPLITS, TEACHER_POOL)]
        files = [file for file in files if file.is_file()] or sorted(path.glob("*.jsonl"))
        if not files:
            raise DataError(
                "holds no JSONL file",
                where=path,
                remedy="name one, or say --format voc for data not yet converted",
            )
        return files
    if not path.is_file():
        raise DataError("no such file or folder", where=path, remedy="check the path")
    return [path]


def _with_manifest_limits(options: CheckOptions, folder: Path, report: CheckReport) -> CheckOptions:
    if options.min_pixels is not None:
        return options
    limits = read_manifest(folder).limits if (folder / MANIFEST_NAME).is_file() else None
    if limits is None:
        report.notes.append(
            "vision tokens and boxes under one patch were not checked: give --min-pixels and --max-pixels"
        )
        return options
    return replace(options, min_pixels=limits.min_pixels, max_pixels=limits.max_pixels)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    with file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, line


def _check_source_image(entry: SourceImage, *, exif_boxes: BoxFrame | None, pictures: Pictures) -> Checked:
    annotation = entry.annotate()
    inspected = inspect_image(entry.path, entry.name, annotation, exif_boxes)
    checked = Checked(findings=list(inspected.findings))
    if not inspected.usable:
        return checked
    checked.labels.append([one.label for one in inspected.objects])
    try:
        open_image(entry.path, exif="ignore", max_megapixels=pictures.options.max_megapixels)
    except ImageError as error:
        checked.findings.append(unreadable(error, entry.name))
        return checked
    objects = [CheckedObject(one.index, one.label, one.box_xyxy_px, one.where) for one in inspected.objects]
    more = pictures.check_objects(inspected.size, entry.name, annotation.where, objects)
    checked.findings += more.findings
    checked.vision_tokens += more.vision_tokens
    return checked


def _collect(
    report: CheckReport, split: str, results: Iterable[Checked], seen: dict[Path, tuple[str, str]]
) -> None:
    """Adds what was found in one split; ``seen`` holds the images of the splits before it."""
    for checked in results:
        report.findings += checked.findings
        report.vision_tokens += checked.vision_tokens
        report.images[split] += len(checked.labels)
        for labels in checked.labels:
            for label, count in Counter(labels).items():
                entry = report.labels[label]
                entry.objects += count
                entry.images += 1
                entry.splits[split] += count
        for path, where in checked.paths:
            other, place = seen.setdefault(path, (split, where))
            if other != split:
                text = f"the image {path.name} stands in {split} and in {other} ({place})"
                report.findings.append(finding("split-overlap", where, text, image=str(path)))


def _label_findings(report: CheckReport) -> list[Finding]:
    """What only all labels together show."""
    findings = []
    for first, second in near_duplicates(report.labels):
        counts = [
            sum(c.objects for label, c in report.labels.items() if f"{label}/".startswith(f"{name}/"))
            for name in (first, second)
        ]
        rarer, other = (first, second) if counts[0] <= counts[1] else (second, first)
        text = f"{rarer!r} ({min(counts)} objects) and {other!r} ({max(counts)} objects) may be one label"
        findings.append(finding("near-duplicate-labels", report.data, text, label=rarer))
    if "train" in report.images:
        types: dict[str, Counter[str]] = defaultdict(Counter)
        for label, count in report.labels.items():
            types[label.split("/", 1)[0]].update(count.splits)
        for name, splits in sorted(types.items()):
            held_out = {split: count for split, count in splits.items() if split in ("val", "test")}
            if held_out and not splits["train"]:
                shown = " and ".join(f"{split} ({count} objects)" for split, count in held_out.items())
                text = f"{name!r} stands in {shown} but never in train"
                findings.append(finding("label-not-in-train", report.data, text, label=name))
    return findings
