"""DetectionDataset: record number i → sample, decided by nothing but seed, epoch and index.

Whatever is random (whether a sample gets teachers, which, and how its picture is changed) comes from a generator
made of (seed, epoch, index), so neither the number of workers nor an interruption changes what the model sees.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from argusvl.core.errors import ConfigError
from argusvl.core.logging import get_logger
from argusvl.detection.data.records import ObjectAnnotation, Record, RecordFile, Scene
from argusvl.detection.data.sampling.augmentation import Augmentation, View
from argusvl.detection.data.sampling.conversation import ChatProcessor, Conversation, ConversationTooLongError
from argusvl.detection.data.sampling.packing import PackingSettings, RowPlan
from argusvl.detection.data.sampling.samples import (
    LoadedScene,
    QueryLimit,
    Sample,
    VisionLimits,
    join,
    load_scene,
    measure_scene,
    warn_once,
)
from argusvl.detection.data.sampling.sizes import SceneSizes
from argusvl.detection.data.scan import scan

_log = get_logger(__name__)

_PICTURE_DRAWS = 1
_TEACHER_DRAWS = 0
"""Draws of one purpose do not move when another purpose draws more or less."""
_CACHED_TEACHERS = 64
_LARGEST_OF = 20_000
"""Of more samples only so many, the largest without their teachers, are compared with them."""
_ROWS_COMPARED = 500


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """When a sample is shown demonstrations first.

    Attributes:
        pool: Records whose student scenes are the demonstrations; ``None``: only those that records bring along.
        ratio: Probability that a sample gets teachers, 0 to 1.
        count: Teachers drawn from the pool for such a sample. A record with teachers of its own gets exactly those.
    """

    pool: RecordFile | None
    ratio: float
    count: int

    def __post_init__(self) -> None:
        if self.pool is not None and self.ratio > 0 and len(self.pool) < self.count:
            raise ConfigError(
                f"num_teachers is {self.count}, the pool {self.pool.path} has {len(self.pool)} records",
                where="num_teachers",
                remedy="lower num_teachers or make a larger pool with `argus data pool`",
            )


class DetectionDataset(Dataset[Sample]):
    """Samples by index, for training (with teachers and augmentation) and for evaluation (with neither).

    Args:
        records: The records; their ``root`` is where image paths start.
        processor: Writes the conversations.
        limits: Pixel and token limits.
        teachers: Demonstrations; ``None`` for none at all.
        augmentation: Changes of the student's pictures; ``None`` for none.
        seed: Seed of every draw.
        query_limit: A warning names the images that show more objects than are found. ``None``: none.
        packing: How full packed rows are; ``None``: no rows are planned.
    """

    def __init__(
        self,
        records: RecordFile,
        processor: ChatProcessor,
        *,
        limits: VisionLimits,
        teachers: TeacherSettings | None,
        augmentation: Augmentation | None,
        seed: int,
        query_limit: QueryLimit | None = None,
        packing: PackingSettings | None = None,
    ) -> None:
        self.records = records
        self.processor = processor
        self.limits = limits
        self.teachers = teachers or TeacherSettings(None, 0.0, 0)
        self.augmentation = augmentation
        self.seed = seed
        self.query_limit = query_limit
        # In shared memory: workers that live through several epochs must see the new number.
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()
        self._teacher_cache: OrderedDict[int, LoadedScene] = OrderedDict()
        self._drawn: _DrawnTeachers | None = None
        self._plan = None if packing is None else RowPlan(self._sizes, len(records), packing, seed)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def epoch(self) -> int:
        """The epoch that samples are drawn for."""
        return int(self._epoch)

    def sample_name(self, index: int) -> str:
        """Where a sample is written: file and line."""
        return self.records.source(self._position(index))

    def fingerprint(self) -> str:
        """Of the records' file and the pool's, where one is drawn from: another one as soon as a byte changes."""
        fingerprint, pool = self.records.fingerprint(), self.teachers.pool
        if pool is None or not self.teachers.ratio * self.teachers.count:
            return fingerprint
        return f"{fingerprint}, records of the teacher pool {pool.fingerprint()}"

    def set_epoch(self, epoch: int) -> None:
        """Chooses the draws of an epoch; running workers see it too."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> Sample:
        """The sample.

        Raises:
            DataError: The record, one of its images or boxes, or the conversation's length is not what it should be.
        """
        index = self._position(index)
        record = self.records[index]
        student = load_scene(record.student, self.records.root, self.limits, record.source)
        teachers = [self._load_teacher(teacher) for teacher in self._choose_teachers(record, index)]
        self._warn_of_crowds(student, record)
        if self.augmentation is None:
            return self._sample(student, teachers, record.source)
        try:
            return self._sample(self._augment(student, index), teachers, record.source)
        except ConversationTooLongError:
            # Boxes that have moved may be written with more digits. That is no fault of the data, so the picture is
            # shown as it is; if that is too long as well, it is the data's fault and an error.
            sample = self._sample(student, teachers, record.source)
            _log.debug("%s: too long when augmented, shown unchanged in epoch %d", record.source, self.epoch)
            return sample

    def measure(self, index: int) -> Conversation:
        """The conversation of a sample before augmentation, from the images' headers: no pixel is decoded.

        Raises:
            DataError: As for a sample, but for what only the pixels show.
        """
        index = self._position(index)
        return self.measure_record(self.records[index], index)

    def measure_record(self, record: Record, index: int) -> Conversation:
        """As :meth:`measure`, for a record that was read already."""
        student = measure_scene(record.student, self.records.root, self.limits, record.source)
        teachers = [
            measure_scene(t.scene, t.root, self.limits, t.source)
            for t in self._choose_teachers(record, index)
        ]
        return self.processor.training(student, teachers, source=record.source)

    def _position(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return index % len(self)

    def _sample(self, student: LoadedScene, teachers: Sequence[LoadedScene], source: str) -> Sample:
        turns = [teacher.turn for teacher in teachers]
        conversation = self.processor.training(student.turn, turns, source=source)
        if conversation.dropped_teachers:
            _log.debug("%s: %d teachers left out, too long", source, conversation.dropped_teachers)
        return join(conversation, student, teachers, source)

    def _warn_of_crowds(self, shown: LoadedScene, record: Record) -> None:
        """Names images with more objects than can be found: the rest of them is not learned from."""
        if self.query_limit is None:
            return
        for number, (name, grid) in enumerate(zip(record.student.images, shown.grids, strict=True)):
            objects = sum(one.image == number for one in shown.objects)
            most, what = self.query_limit.of(grid)
            if objects > most:
                warn_once(
                    f"{record.source} ({name})",
                    "%s: %d objects in it, %s %d: the others are not learned",
                    objects,
                    what,
                    most,
                )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_teacher_cache": OrderedDict()}

    def _draw_teachers(self, epoch: int) -> _DrawnTeachers:
        """Of all samples at once: planning rows asks for all of them."""
        if self._drawn is None or self._drawn.epoch != epoch:
            self._drawn = _DrawnTeachers.draw(self.teachers, len(self), self.seed, epoch)
        return self._drawn

    def _choose_teachers(self, record: Record, index: int) -> list[_Teacher]:
        settings, drawn = self.teachers, self._draw_teachers(self.epoch)
        if not drawn.shown[index]:
            return []
        if record.teachers:
            return [_Teacher(scene, self.records.root, record.source, None) for scene in record.teachers]
        if settings.pool is None:
            return []
        # One more than needed: the student's own picture, should the pool hold it, would give the answer away.
        own = record.student.files(self.records.root)
        root = settings.pool.root
        candidates = [(number, settings.pool[number]) for number in drawn.of(index, settings.count + 1)]
        chosen = [
            _Teacher(r.student, root, r.source, n) for n, r in candidates if not own & r.student.files(root)
        ]
        return chosen[: settings.count]

    def num_batches(self, ranks: int) -> int | None:
        """Packed rows of an epoch; ``None`` where none are planned."""
        return None if self._plan is None else self._plan.num_rows(ranks)

    def batches(self, epoch: int, ranks: int) -> Iterator[list[int]]:
        """The samples of each packed row of an epoch, see :class:`RowPlan`."""
        assert self._plan is not None
        return self._plan.rows(epoch, ranks)

    def largest_batch(self, samples: int, ranks: int) -> list[int]:
        """The samples of the largest batch in the first epoch: of so many samples, or of the planned rows.

        Rows are of nearly one size: of many, the first ones tell.
        """
        students = self._scene_sizes[0].students.sum(1)
        if self._plan is None:
            crowd = np.argsort(-students, kind="stable")[:_LARGEST_OF]
            sizes = self._sizes(0, crowd)[crowd].sum(1)
            return [int(i) for i in crowd[np.argsort(-sizes, kind="stable")[:samples]]]
        sizes = self._sizes(0).sum(1)
        rows = itertools.islice(self._plan.rows(0, ranks), _ROWS_COMPARED)
        return max(rows, key=lambda row: int(sizes[row].sum()))

    def _sizes(self, epoch: int, among: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """``[N, 2]``: tokens and patches of each sample in an epoch, before augmentation.

        Teachers are counted for all, or for the samples ``among`` alone.
        """
        own, pool = self._scene_sizes
        drawn, sizes = self._draw_teachers(epoch), own.students.copy()
        sizes[:, 0] += self.processor.system_length
        shown = drawn.shown.nonzero()[0] if among is None else among[drawn.shown[among]]
        for index in shown.tolist():
            teachers = own.teachers(index)
            if not len(teachers) and pool is not None:
                teachers = pool.students[drawn.of(index, self.teachers.count)]
            for size in teachers:
                if sizes[index, 0] + size[0] > self.processor.model_max_length:
                    break  # it would not be shown
                sizes[index] += size
        return sizes

    @cached_property
    def _scene_sizes(self) -> tuple[SceneSizes, SceneSizes | None]:
        """Of the records, and of the pool."""
        pool = self.teachers.pool
        return self._measured(self.records), None if pool is None else self._measured(pool)

    def _measured(self, records: RecordFile) -> SceneSizes:
        sizes = SceneSizes(self.processor, self.limits)
        scan(records, [sizes], strict=True, doing="measuring")
        return sizes

    def _load_teacher(self, teacher: _Teacher) -> LoadedScene:
        """Loads a teacher; the pool is small and its pictures come again and again."""
        number = teacher.pool_number
        if number is None:
            return load_scene(teacher.scene, teacher.root, self.limits, teacher.source)
        if number not in self._teacher_cache:
            loaded = load_scene(teacher.scene, teacher.root, self.limits, teacher.source)
            self._teacher_cache[number] = loaded
            if len(self._teacher_cache) > _CACHED_TEACHERS:
                self._teacher_cache.popitem(last=False)
        return self._teacher_cache[number]

    def _augment(self, student: LoadedScene, index: int) -> LoadedScene:
        assert self.augmentation is not None
        rng = np.random.default_rng([self.seed, self.epoch, index, _PICTURE_DRAWS])
        images: list[np.ndarray] = []
        objects: list[ObjectAnnotation] = []
        for number in range(len(student.images)):
            view = self.augmentation(_view(student, number), rng)
            images.append(view.pixels)
            for box, desc in zip(view.boxes_xyxy_px.tolist(), view.descs, strict=True):
                objects.append(
                    ObjectAnnotation(bbox_2d=(box[0], box[1], box[2], box[3]), desc=desc, image=number)
                )
        return LoadedScene(tuple(images), tuple(objects), student.plans)


@dataclass(frozen=True, slots=True)
class _Teacher:
    """A demonstration that was chosen, with its number where it comes from the pool."""

    scene: Scene
    root: Path
    source: str
    pool_number: int | None


@dataclass(frozen=True, slots=True)
class _DrawnTeachers:
    """Which samples are shown demonstrations in an epoch, and which ones.

    Attributes:
        epoch: The epoch.
        shown: ``[N]``.
        order: The pool, shuffled.
        first: ``[N]``: where a sample's demonstrations begin in it; the others follow.
    """

    epoch: int
    shown: NDArray[np.bool_]
    order: NDArray[np.int64]
    first: NDArray[np.int64]

    @classmethod
    def draw(cls, settings: TeacherSettings, samples: int, seed: int, epoch: int) -> _DrawnTeachers:
        rng = np.random.default_rng([seed, epoch, _TEACHER_DRAWS])
        pool = 0 if settings.pool is None else len(settings.pool)
        shown = rng.random(samples) < settings.ratio
        return cls(epoch, shown, rng.permutation(pool), rng.integers(max(pool, 1), size=samples))

    def of(self, index: int, count: int) -> list[int]:
        """Up to so many of the pool, none twice."""
        places = self.first[index] + np.arange(min(count, len(self.order)))
        return [int(n) for n in self.order[places % max(len(self.order), 1)]]


def _view(scene: LoadedScene, image: int) -> View:
    shown = [a for a in scene.objects if a.image == image]
    boxes = np.array([a.bbox_2d for a in shown], dtype=np.float64).reshape(-1, 4)
    return View(scene.images[image], boxes, tuple(a.desc for a in shown))
