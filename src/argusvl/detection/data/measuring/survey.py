"""What a data set is like, as far as a configuration depends on it: every record and every image's header, read once.

What cannot be used is an error here that names the first such records: a configuration for half of a data set would
fit the half that nobody has looked at.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from argusvl.core.errors import ArgusError, DataError
from argusvl.core.files import read_bytes
from argusvl.core.images import image_size
from argusvl.core.wording import listed_below
from argusvl.detection.data.descriptions import Descriptions
from argusvl.detection.data.formats.base import SPLITS
from argusvl.detection.data.manifest import TEACHER_POOL, limits_of
from argusvl.detection.data.records import Record, RecordFile
from argusvl.detection.data.resize import Box
from argusvl.detection.data.scan import Measurement, RecordLine, scan

_TRAIN = "train.jsonl"
_NAMED = 5


class Shape(NamedTuple):
    """An image: its sides in stored pixels, and how many objects are to be found in it (none in a teacher's)."""

    width: int
    height: int
    objects: int = 0
    name: str = ""


class Shapes(Measurement[tuple[list[Shape], list[float]]]):
    """Images, and how large and how many the objects in them are.

    Attributes:
        images: Every image of every scene: the values of :class:`Shape`.
        crowds: Of each of the students' images, how many objects it shows.
        sides: Sides of squares as large as the students' objects, over the side of a square as large as their image.
        with_teachers: Records that bring demonstrations of their own.
    """

    name = "shapes"
    keeps = ("images", "crowds", "sides", "with_teachers")
    reads_images = True

    def __init__(self) -> None:
        super().__init__()
        self.images: list[Sequence[Any]] = []
        self.crowds, self.sides = array("i"), array("d")
        self.with_teachers = 0

    def measure(self, line: RecordLine) -> tuple[list[Shape], list[float]]:
        """Reads the header of each image, the student's first."""
        record, objects = line.record, objects_by_image(line.record)
        names = record.images
        # Demonstrations are shown, and nothing is to be found in them.
        objects += [0] * (len(names) - len(objects))
        sizes = [image_size(line.file.resolve(name)) for name in names]
        boxes = [(one.bbox_2d, math.prod(sizes[one.image])) for one in record.student.objects]
        sides = [relative_side(box, area) for box, area in boxes]
        return [Shape(*size, n, name) for size, n, name in zip(sizes, objects, names, strict=True)], sides

    def add(self, line: RecordLine, found: tuple[list[Shape], list[float]]) -> None:
        """Adds them."""
        shapes, sides = found
        self.images += shapes
        self.crowds.extend(shape.objects for shape in shapes[: len(line.record.student.images)])
        self.sides.extend(sides)
        self.with_teachers += bool(line.record.teachers)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a data set is like.

    Attributes:
        val: Held-out records, where there are any.
        pool: Scenes for demonstrations, where there are any.
        limits: Pixel limits of the manifest, where there is one.
        images: Every image of every scene.
        trained_on: The images that are trained on.
        described: Their objects' descriptions.
    """

    train: RecordFile
    val: RecordFile | None
    pool: RecordFile | None
    limits: tuple[int, int] | None
    images: list[Shape]
    trained_on: Shapes
    described: Descriptions

    @property
    def descriptions(self) -> dict[str, int]:
        """Of the objects that are trained on: text → how often."""
        return self.described.counts

    def pictures(self) -> list[Path]:
        """The files of what is trained on, demonstrations included."""
        return [self.train.resolve(Shape(*one).name) for one in self.trained_on.images]

    @property
    def train_images(self) -> int:
        """How many images are trained on."""
        return len(self.trained_on.crowds)

    @property
    def objects(self) -> int:
        """How many objects are trained on."""
        return sum(self.descriptions.values())

    @property
    def most_objects(self) -> Shape:
        """The image with the most objects."""
        return max(self.images, key=lambda one: one.objects)

    @property
    def crowded(self) -> int:
        """So many objects, or fewer, are in 19 of 20 images that are trained on."""
        return crowd(self.trained_on.crowds)

    def files(self) -> list[RecordFile]:
        """The record files, train first."""
        return [file for file in (self.train, self.val, self.pool) if file is not None]


def survey_data(data: str | Path, *, root: str | Path | None = None, progress: bool = False) -> Survey:
    """Reads a data folder, or a JSONL file of training records.

    Args:
        data: The folder: its ``train.jsonl`` or else its only JSONL file, with ``val.jsonl`` and
            ``teacher_pool.jsonl`` where it has them. Or one file; beside a ``train.jsonl`` the others are taken too.
        root: Folder that image paths are relative to; each file's own when ``None``.
        progress: Whether to show a progress bar.

    Raises:
        DataError: There is nothing to train on, or a record or an image cannot be used.
    """
    train, val, pool = (None if path is None else RecordFile(path, root) for path in record_files(data))
    assert train is not None
    limits = limits_of(train.path.parent)
    if not len(train):
        raise DataError("holds no record", where=train.path, remedy="name a file of training records")
    described = Descriptions()
    files = [file for file in (train, val, pool) if file is not None]
    shapes = [Shapes() for _ in files]
    for file, of_file in zip(files, shapes, strict=True):
        scan(file, [of_file, described] if file is train else [of_file], progress=progress)
    refuse_bad([error for one in shapes for _, error in one.bad], sum(map(len, files)), data)
    # In the pool, too, nothing is to be found.
    images = [
        Shape(width, height, 0 if file is pool else objects, name)
        for file, one in zip(files, shapes, strict=True)
        for width, height, objects, name in one.images
    ]
    survey = Survey(train, val, pool, limits, images, shapes[0], described)
    if not survey.objects:
        raise DataError(
            f"none of {len(train)} records has an object, so there is nothing to learn",
            where=train.path,
            remedy="annotate objects, or name another file",
        )
    return survey


def refuse_bad(bad: Sequence[ArgusError], total: int, data: str | Path) -> None:
    """Raises one error for all records that cannot be used, if there are any."""
    if not bad:
        return
    named = listed_below([str(error).splitlines()[0] for error in bad], _NAMED)
    count = "none of" if len(bad) == total else f"{len(bad)} of"
    rest = "can be used" if len(bad) == total else "cannot be used"
    raise DataError(
        f"{count} {total} records {rest}:{named}",
        where=data,
        remedy=f"`argus data check {data}` finds everything that is wrong; correct the records or remove them",
    )


def record_files(data: str | Path) -> tuple[Path, Path | None, Path | None]:
    """Files of train, val and the teacher pool.

    Raises:
        DataError: There is no such file or folder, or nothing in it to train on.
    """
    data = Path(data)
    if data.is_file():
        beside = data.parent if data.name == _TRAIN else None
        return data, _beside(beside, "val"), _beside(beside, TEACHER_POOL)
    if not data.is_dir():
        raise DataError("no such file or folder", where=data, remedy="check the path")
    train = data / _TRAIN
    if not train.is_file():
        held_out = {f"{name}.jsonl" for name in (*SPLITS, TEACHER_POOL)}
        others = sorted(file for file in data.glob("*.jsonl") if file.name not in held_out)
        if len(others) != 1:
            found = (
                f", but {', '.join(file.name for file in others)}" if others else " and no other JSONL file"
            )
            raise DataError(
                f"holds no {_TRAIN}{found}",
                where=data,
                remedy="name the file of training records; photographs with annotations of another format become "
                "records by `argus data convert`",
            )
        train = others[0]
    return train, _beside(data, "val"), _beside(data, TEACHER_POOL)


def _beside(folder: Path | None, name: str) -> Path | None:
    """The file of that name, unless it is empty: an empty one is as good as none."""
    file = None if folder is None else folder / f"{name}.jsonl"
    return file if file is not None and file.is_file() and read_bytes(file).strip() else None


def objects_by_image(record: Record) -> list[int]:
    """How many objects each of the student's images shows."""
    counts = Counter(one.image for one in record.student.objects)
    return [counts[k] for k in range(len(record.student.images))]


def crowd(objects: Sequence[int]) -> int:
    """So many objects, or fewer, are in 19 of 20 images; 0 where there is no image."""
    return sorted(objects)[int(0.95 * (len(objects) - 1))] if objects else 0


def small_side(sides: Sequence[float]) -> float:
    """The side that nine of ten objects exceed, over the image's; 1 where there are none."""
    return float(np.quantile(sides, 0.1)) if len(sides) else 1.0


def relative_side(box_xyxy_px: Box, area: float) -> float:
    """Side of a square as large as the box, over that of one as large as its image of ``area`` pixels."""
    x1, y1, x2, y2 = box_xyxy_px
    return float(((x2 - x1) * (y2 - y1) / area) ** 0.5)
