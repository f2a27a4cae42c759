"""DetectionDataset: record number i → sample, decided by nothing but seed, epoch and index.

Whatever is random (whether a sample gets teachers, which, and how its picture is changed) comes from a generator
made of (seed, epoch, index), so neither the number of workers nor an interruption changes what the model sees.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from argusvl.core.errors import ConfigError
from argusvl.core.files import real_path
from argusvl.core.logging import get_logger
from argusvl.detection.data.augmentation import Augmentation, View
from argusvl.detection.data.conversation import ChatProcessor, Conversation, ConversationTooLongError
from argusvl.detection.data.records import ObjectAnnotation, Record, RecordFile, Scene
from argusvl.detection.data.samples import LoadedScene, Sample, VisionLimits, join, load_scene, measure_scene

Vocabulary = Literal["open", "closed"]

_log = get_logger(__name__)

_TEACHER_DRAWS = 0
_PICTURE_DRAWS = 1
_CACHED_TEACHERS = 64
_PARTNER_TRIES = 20


def labels_of(descriptions: Iterable[str], vocabulary: Vocabulary) -> list[str]:
    """The labels that descriptions come to, sorted.

    Args:
        descriptions: Of the training records' objects.
        vocabulary: ``open``: first segments of the descriptions; ``closed``: whole descriptions.
    """
    return sorted({text if vocabulary == "closed" else text.split("/", 1)[0] for text in descriptions})


def label_of(annotation: ObjectAnnotation, vocabulary: Vocabulary) -> str:
    """What an object counts as: its first segment, or its whole description where the vocabulary is closed."""
    return annotation.desc if vocabulary == "closed" else annotation.first_segment


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
        if not 0 <= self.ratio <= 1:
            raise ConfigError(
                f"{self.ratio} is not in 0 to 1", where="teacher_ratio", remedy="correct the value"
            )
        if self.count < 0:
            raise ConfigError(f"{self.count} is negative", where="num_teachers", remedy="correct the value")
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
    ) -> None:
        self.records = records
        self.processor = processor
        self.limits = limits
        self.teachers = teachers
        self.augmentation = augmentation
        self.seed = seed
        # In shared memory: workers that live through several epochs must see the new number.
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()
        self._teacher_cache: OrderedDict[int, LoadedScene] = OrderedDict()

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
        """Of the records' file: another one as soon as a byte of it changes."""
        return self.records.fingerprint()

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
        if self.augmentation is None:
            return self._sample(student, teachers, record.source)
        try:
            return self._sample(self._augment(student, index), teachers, record.source)
        except ConversationTooLongError:
            # A mosaic of crowded pictures can be longer than any of them. That is no fault of the data, so the
            # picture is shown as it is; if that is too long as well, it is the data's fault and an error.
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

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_teacher_cache": OrderedDict()}

    def _generator(self, index: int, purpose: int) -> np.random.Generator:
        """Draws of one purpose do not move when another purpose draws more or less."""
        return np.random.default_rng([self.seed, self.epoch, index, purpose])

    def _choose_teachers(self, record: Record, index: int) -> list[_Teacher]:
        settings = self.teachers
        rng = self._generator(index, _TEACHER_DRAWS)
        if settings is None or rng.random() >= settings.ratio:
            return []
        if record.teachers:
            return [_Teacher(scene, self.records.root, record.source, None) for scene in record.teachers]
        if settings.pool is None:
            return []
        # One more than needed: the student's own picture, should the pool hold it, would give the answer away.
        drawn = rng.permutation(len(settings.pool))[: settings.count + 1].tolist()
        own = _files(record.student, self.records.root)
        root = settings.pool.root
        candidates = [(number, settings.pool[number]) for number in drawn]
        chosen = [
            _Teacher(r.student, root, r.source, n) for n, r in candidates if not own & _files(r.student, root)
        ]
        return chosen[: settings.count]

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
        rng = self._generator(index, _PICTURE_DRAWS)
        single = len(student.images) == 1
        images: list[np.ndarray] = []
        objects: list[ObjectAnnotation] = []
        for number in range(len(student.images)):
            # A mosaic of a scene with several images would mix up which image shows what.
            another = (lambda: self._partner(rng)) if single else None
            view = self.augmentation(_view(student, number), rng, another)
            images.append(view.pixels)
            for box, desc in zip(view.boxes_xyxy_px.tolist(), view.descs, strict=True):
                objects.append(
                    ObjectAnnotation(bbox_2d=(box[0], box[1], box[2], box[3]), desc=desc, image=number)
                )
        return LoadedScene(tuple(images), tuple(objects), student.plans)

    def _partner(self, rng: np.random.Generator) -> View:
        """Another record's picture for a mosaic."""
        for _ in range(_PARTNER_TRIES):
            record = self.records[int(rng.integers(len(self.records)))]
            if len(record.student.images) == 1:
                return _view(load_scene(record.student, self.records.root, self.limits, record.source), 0)
        raise ConfigError(
            f"mosaic found no record with one image in {_PARTNER_TRIES} tries",
            where="mosaic",
            remedy="set mosaic to 0 for records with several images",
        )


@dataclass(frozen=True, slots=True)
class _Teacher:
    """A demonstration that was chosen, with its number where it comes from the pool."""

    scene: Scene
    root: Path
    source: str
    pool_number: int | None


def _view(scene: LoadedScene, image: int) -> View:
    shown = [a for a in scene.objects if a.image == image]
    boxes = np.array([a.bbox_2d for a in shown], dtype=np.float64).reshape(-1, 4)
    return View(scene.images[image], boxes, tuple(a.desc for a in shown))


def _files(scene: Scene, root: Path) -> set[Path]:
    """The files of a scene's images, comparable between record files."""
    return {real_path(root / name) for name in scene.images}


def checked_labels(labels: Sequence[str]) -> list[str]:
    """Labels as a person has listed them.

    Raises:
        ConfigError: A label is empty or given twice.
    """
    for number, label in enumerate(labels):
        if not label.strip() or label in labels[:number]:
            raise ConfigError(
                f"label {label!r} is " + ("empty" if not label.strip() else "given twice"),
                where="labels",
                remedy="list every label once",
                slug="bad-label-list",
            )
    return list(labels)
