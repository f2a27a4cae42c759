"""The manifest of a data folder: where it came from, what is in it, what was refused and why.

``manifest.json`` stands beside the JSONL files. It holds no date and no absolute path of an image, so that the same
input gives the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError

import argusvl
from argus_doctor.findings import Finding
from argusvl.core.errors import DataError
from argusvl.core.files import read_text, write_text_atomically
from argusvl.core.schemas import first_problem
from argusvl.detection.data.findings import ABOUT
from argusvl.detection.data.formats.base import json_by_lines
from argusvl.detection.data.orientation import BoxFrame
from argusvl.detection.data.records import Record

MANIFEST_NAME = "manifest.json"

TEACHER_POOL = "teacher_pool"
"""The teacher pool's name among the splits; its file is ``teacher_pool.jsonl``."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ManifestSource(_Part):
    """Where the data came from (a folder, or a name of drawn scenes), its format or ``synthetic``, how it was read."""

    path: str
    format: str
    options: dict[str, Any] = Field(default_factory=dict)


class PixelLimits(_Part):
    """Area of every stored image, pixels, and what their sides are multiples of."""

    min_pixels: int
    max_pixels: int
    factor: int


class SplitOrigin(_Part):
    """How the splits came about.

    Attributes:
        made_by: ``source``: the source's own; ``argus``: made here, wholly or in part.
        val_fraction: Share of the images held out, where made here.
        seed: Seed of the split, where made here.
        group_key: Regular expression that gave an image's scene; images of a scene stay together.
    """

    made_by: Literal["source", "argus"]
    val_fraction: float | None = None
    seed: int | None = None
    group_key: str | None = None


class SplitCounts(_Part):
    """What a split holds. ``labels``: whole description → number of objects."""

    images: int
    objects: int
    labels: dict[str, int]


class TokenStatistics(_Part):
    """Merged vision tokens an image, over all images."""

    min: int
    max: int
    mean: float
    median: float
    p95: float
    total: int


class ManifestImage(_Part):
    """One stored image.

    Attributes:
        image: Path as in the records.
        source: Its path below the source's image folder; ``None`` where it was drawn.
        original_size: ``(width, height)`` of the upright original, pixels: boxes go back to it by the ratio of sizes.
        size: ``(width, height)`` as stored, pixels.
        vision_tokens: Merged vision tokens, ``t·h·w / merge²``.
        exif_orientation: The original's, where it was not 1.
        boxes_drawn_on: The original's pixels that its boxes were drawn on, where the orientation was not 1.
    """

    image: str
    source: str | None
    split: str
    original_size: tuple[int, int]
    size: tuple[int, int]
    vision_tokens: int
    objects: int
    exif_orientation: int | None = None
    boxes_drawn_on: BoxFrame | None = None


class Refused(_Part):
    """How much was not used; the findings say why."""

    images: int
    objects: int


def _written(one: Finding) -> dict[str, Any]:
    return one.to_json() | {name: one.numbers.get(name) for name in ABOUT}


def _read(value: Any) -> Finding:
    if isinstance(value, Finding):
        return value
    one = Finding.from_json(value)
    if one.numbers.keys() - set(ABOUT):
        raise ValueError("is no finding")
    box = one.numbers.get("box")
    if not isinstance(box, list | None):
        raise ValueError("the box of a finding is a list")
    numbers = {name: one.numbers.get(name) for name in ABOUT}
    return replace(one, numbers=numbers | {"box": None if box is None else tuple(box)})


class Manifest(_Part):
    """Everything that is known of a data folder.

    Attributes:
        manifest_version: Of this layout; raised when a field changes its meaning.
        argus_version: What wrote it.
        limits: The pixel limits that the images were resized by; ``None`` where they were not resized.
        splits: Split → counts; the teacher pool is one of them.
        vision_tokens: Over all images; ``None`` where they were not resized.
        images: Every stored image, where they were resized.
        findings: What was refused and why, and what is odd.
    """

    manifest_version: Literal[1] = 1
    argus_version: str
    source: ManifestSource
    limits: PixelLimits | None
    split_origin: SplitOrigin
    splits: dict[str, SplitCounts]
    vision_tokens: TokenStatistics | None
    images: tuple[ManifestImage, ...]
    refused: Refused = Refused(images=0, objects=0)
    findings: tuple[Annotated[Finding, PlainValidator(_read), PlainSerializer(_written)], ...] = ()

    def with_splits(
        self, splits: Mapping[str, Sequence[Record]], origin: SplitOrigin | None = None
    ) -> Manifest:
        """The same data in other splits, all of whose records are given; ``None`` for an origin that is unchanged."""
        split_of = {
            image: name for name, records in splits.items() for one in records for image in one.images
        }
        moved = (one.model_copy(update={"split": split_of.get(one.image, one.split)}) for one in self.images)
        return self.model_copy(
            update={
                "splits": {name: count_split(records) for name, records in splits.items()},
                "images": tuple(moved),
                "split_origin": origin or self.split_origin,
            }
        )


def build_manifest(
    *,
    source: ManifestSource,
    limits: PixelLimits | None,
    split_origin: SplitOrigin,
    splits: Mapping[str, Sequence[Record]],
    images: Iterable[ManifestImage],
    refused: Refused = Refused(images=0, objects=0),  # noqa: B008 - frozen
    findings: Iterable[Finding] = (),
) -> Manifest:
    """Counts what is there and puts the manifest together."""
    entries = tuple(images)
    manifest = Manifest(
        argus_version=argusvl.__version__,
        source=source,
        limits=limits,
        split_origin=split_origin,
        splits={},
        vision_tokens=token_statistics([entry.vision_tokens for entry in entries]),
        images=entries,
        refused=refused,
        findings=tuple(findings),
    )
    return manifest.with_splits(splits)


def count_split(records: Iterable[Record]) -> SplitCounts:
    """Images, objects and objects per label of the students of these records."""
    labels: Counter[str] = Counter()
    images = 0
    for record in records:
        images += len(record.student.images)
        labels.update(annotation.desc for annotation in record.student.objects)
    return SplitCounts(images=images, objects=labels.total(), labels=dict(sorted(labels.items())))


def token_statistics(counts: Sequence[int]) -> TokenStatistics | None:
    """Of the images' merged vision tokens; ``None`` without images."""
    if not counts:
        return None
    values = np.array(counts)
    return TokenStatistics(
        min=int(values.min()),
        max=int(values.max()),
        mean=round(float(values.mean()), 3),
        median=float(np.median(values)),
        p95=float(np.percentile(values, 95)),
        total=int(values.sum()),
    )


def write_manifest(folder: str | Path, manifest: Manifest) -> None:
    """Writes ``manifest.json`` into a folder, atomically; images and findings take a line each."""
    write_text_atomically(Path(folder) / MANIFEST_NAME, json_by_lines(manifest.model_dump(mode="json")))


def read_manifest(path: str | Path) -> Manifest:
    """Reads and validates a manifest: a file, or that of a folder.

    Raises:
        DataError: There is none, it is no JSON, or a field is missing, unknown or of the wrong type.
    """
    file = Path(path)
    file = file / MANIFEST_NAME if file.is_dir() else file
    remedy = "convert the data again with `argus data convert`"
    try:
        text = read_text(file)
    except FileNotFoundError:
        raise DataError("no such manifest", where=file, remedy=remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", where=file, remedy=remedy) from error
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise DataError(first_problem(error), where=file, remedy=remedy) from None


def existing_manifest(folder: Path) -> Manifest | None:
    """A folder's manifest; ``None`` where there is none.

    Raises:
        DataError: There is one that cannot be read.
    """
    return read_manifest(folder) if (folder / MANIFEST_NAME).is_file() else None


def limits_of(folder: Path) -> tuple[int, int] | None:
    """Least and greatest area of a folder's images, pixels; ``None`` where no manifest tells."""
    manifest = existing_manifest(folder)
    limits = None if manifest is None else manifest.limits
    return None if limits is None else (limits.min_pixels, limits.max_pixels)
