"""What a data set is like, as far as a configuration depends on it: read once, every record and every image's header.

What cannot be used is an error here that names the first such records: a configuration for half of a data set would
fit the half that nobody has looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from argusvl.core.errors import DataError
from argusvl.core.images import image_size
from argusvl.core.progress import track
from argusvl.core.wording import listed_below
from argusvl.core.workers import map_in_order
from argusvl.detection.data.formats.base import SPLITS
from argusvl.detection.data.manifest import MANIFEST_NAME, TEACHER_POOL, read_manifest
from argusvl.detection.data.records import Record, RecordFile, Scene

_TRAIN = "train.jsonl"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Shape:
    """An image: its sides in stored pixels, and how many objects are to be found in it (none in a teacher's)."""

    width: int
    height: int
    objects: int = 0
    name: str = ""


@dataclass(slots=True)
class Survey:
    """What a data set is like.

    Attributes:
        train: Training records.
        val: Held-out records, where there are any.
        pool: Scenes for demonstrations, where there are any.
        limits: Pixel limits of the manifest, where there is one.
        images: Every image of every scene.
        train_objects: Of each image that is trained on, how many objects it shows.
        relative_sides: Sides of squares as large as the objects, over the side of a square as large as their image.
        descriptions: Of the objects that are trained on: text → how often.
        with_teachers: Training records that bring demonstrations of their own.
    """

    train: RecordFile
    val: RecordFile | None
    pool: RecordFile | None
    limits: tuple[int, int] | None
    images: list[Shape] = field(default_factory=list)
    train_objects: list[int] = field(default_factory=list)
    relative_sides: list[float] = field(default_factory=list)
    descriptions: Counter[str] = field(default_factory=Counter)
    with_teachers: int = 0

    @property
    def train_images(self) -> int:
        """How many images are trained on."""
        return len(self.train_objects)

    @property
    def objects(self) -> int:
        """How many objects are trained on."""
        return self.descriptions.total()

    @property
    def most_objects(self) -> Shape:
        """The image with the most objects."""
        return max(self.images, key=lambda one: one.objects)

    @property
    def crowded(self) -> int:
        """So many objects, or fewer, are in 19 of 20 images that are trained on."""
        return crowd(self.train_objects)

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
    manifest = train.path.parent / MANIFEST_NAME
    limits = read_manifest(manifest).limits if manifest.is_file() else None
    survey = Survey(train, val, pool, None if limits is None else (limits.min_pixels, limits.max_pixels))
    if not len(train):
        raise DataError("holds no record", where=train.path, remedy="name a file of training records")
    bad: list[DataError] = []
    for file in survey.files():
        read = map_in_order(partial(_read, records=file), range(len(file)))
        for one in track(read, len(file), f"reading {file.path.name}", unit="records", enabled=progress):
            if isinstance(one, DataError):
                bad.append(one)
            else:
                _add(survey, file, *one)
    refuse_bad(bad, sum(len(file) for file in survey.files()), data)
    if not survey.objects:
        raise DataError(
            f"none of {len(train)} records has an object, so there is nothing to learn",
            where=train.path,
            remedy="annotate objects, or name another file",
        )
    return survey


def refuse_bad(bad: list[DataError], total: int, data: str | Path) -> None:
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
            found = ", ".join(file.name for file in others) or "no JSONL file"
            raise DataError(
                f"holds no {_TRAIN} but {found}",
                where=data,
                remedy="name the file of training records; photographs with annotations of another format become "
                "records by `argus data convert`",
            )
        train = others[0]
    return train, _beside(data, "val"), _beside(data, TEACHER_POOL)


def _beside(folder: Path | None, name: str) -> Path | None:
    """The file of that name, unless it is empty: an empty one is as good as none."""
    file = None if folder is None else folder / f"{name}.jsonl"
    return file if file is not None and file.is_file() and file.read_bytes().strip() else None


def _read(index: int, *, records: RecordFile) -> tuple[Record, list[Shape]] | DataError:
    """A record with the shapes of its images, the student's first."""
    try:
        record = records[index]
        shapes = [
            Shape(*image_size(records.resolve(name)), objects, name)
            for scene in (record.student, *record.teachers)
            for name, objects in zip(scene.images, _objects_by_image(scene), strict=True)
        ]
    except DataError as error:
        return error
    return record, shapes


def _objects_by_image(scene: Scene) -> list[int]:
    counts = Counter(one.image for one in scene.objects)
    return [counts[number] for number in range(len(scene.images))]


def _add(survey: Survey, file: RecordFile, record: Record, shapes: list[Shape]) -> None:
    asked = 0 if file is survey.pool else len(record.student.images)
    survey.images += shapes[:asked]
    # Demonstrations are shown, and nothing is to be found in them.
    survey.images += [Shape(one.width, one.height, 0, one.name) for one in shapes[asked:]]
    if file is not survey.train:
        return
    survey.train_objects += objects_by_image(record)
    survey.with_teachers += bool(record.teachers)
    survey.descriptions.update(one.desc for one in record.student.objects)
    for one in record.student.objects:
        if one.image < len(shapes):
            shape = shapes[one.image]
            x1, y1, x2, y2 = one.bbox_2d
            survey.relative_sides.append(((x2 - x1) * (y2 - y1) / (shape.width * shape.height)) ** 0.5)


def objects_by_image(record: Record) -> list[int]:
    """How many objects each of the student's images shows."""
    counts = Counter(one.image for one in record.student.objects)
    return [counts[k] for k in range(len(record.student.images))]


def crowd(objects: Sequence[int]) -> int:
    """So many objects, or fewer, are in 19 of 20 images; 0 where there is no image."""
    return sorted(objects)[int(0.95 * (len(objects) - 1))] if objects else 0


def small_side(survey: Survey) -> float:
    """The side that nine of ten objects exceed, over the image's."""
    return float(np.quantile(survey.relative_sides, 0.1))


def median_area(images: Iterable[Shape]) -> int:
    """Half of the images have a larger area, in pixels."""
    return int(np.median([one.width * one.height for one in images]))
