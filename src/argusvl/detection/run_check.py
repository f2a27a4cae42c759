"""What is wrong with a run's data before it starts: reads every record and every image's header, decodes no pixel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from argusvl.core.errors import ArgusError, ConfigError
from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.data.collation import Collator
from argusvl.detection.data.conversation import ChatProcessor, Turn
from argusvl.detection.data.dataset import label_of
from argusvl.detection.data.records import Record, RecordFile
from argusvl.detection.data.samples import VisionLimits, measure_scene
from argusvl.detection.data.survey import crowd, objects_by_image
from argusvl.doctor.findings import Finding, finding_of


class RunCheck:
    """Collects findings over the record files of a run; the pool comes before the records that it teaches.

    Args:
        config: The run's configuration.
        limits: How large images may be.
        processor: Measures conversations; ``None`` where there is none, because the tokenizer is learned from records
            of which one is malformed. Lengths are not checked then.
        collator: Measures descriptions, with that processor.

    Attributes:
        findings: What was found, in order.
        longest: Tokens of the longest training conversation.
        unlisted: Labels of training objects that the configured ``data.labels`` lack, and how many objects have them.
    """

    def __init__(
        self,
        config: DetectionRunConfig,
        limits: VisionLimits,
        processor: ChatProcessor | None,
        collator: Collator | None,
    ) -> None:
        self.findings: list[Finding] = []
        self.longest = 0
        self.unlisted: Counter[str] = Counter()
        self._crowds: list[int] = []
        self._config = config
        self._limits = limits
        self._processor = processor
        self._collator = collator
        self._shows_teachers = config.data.teacher_ratio > 0
        self._teacher_lengths: list[int] = []

    @property
    def queries_for_crowds(self) -> int:
        """How many queries reach all objects of 19 in 20 training images, when each object takes as many as it may."""
        section = self._config.detection
        several = (
            section.detection_queries == "proposals" and section.detection_assignment == "several_to_one"
        )
        return crowd(self._crowds) * (section.detection_positives_per_object if several else 1)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Turns an error inside into a finding; one that was found before is not repeated."""
        try:
            yield
        except ArgusError as error:
            if (found := finding_of(error)) not in self.findings:
                self.findings.append(found)

    def pool(self, records: RecordFile) -> None:
        """The scenes that demonstrations are drawn from."""
        for index in range(len(records)):
            with self.noting():
                record = records[index]
                turn = measure_scene(record.student, records.root, self._limits, record.source)
                if self._processor is not None:
                    self._teacher_lengths.append(_length_as_teacher(turn, self._processor, record.source))
        self._teacher_lengths.sort(reverse=True)
        wanted = self._config.data.num_teachers
        with self.noting():
            if self._shows_teachers and len(records) < wanted:
                raise ConfigError(
                    f"has {len(records)} teachers, num_teachers is {wanted}",
                    where=records.path,
                    remedy="lower num_teachers or make a larger pool with `argus data pool`",
                    slug="pool-too-small",
                )

    def train(self, records: RecordFile) -> None:
        """The records that are trained on."""
        too_long: list[tuple[int, str]] = []
        for index in range(len(records)):
            with self.noting():
                record = records[index]
                length = self._train_record(record, records.root)
                if length > self._config.model.model_max_length:
                    too_long.append((length, record.source))
        with self.noting():
            if too_long:
                length, source = max(too_long)
                raise ConfigError(
                    f"with the longest teachers of the pool, {len(too_long)} of {len(records)} records are longer than "
                    f"model_max_length, {self._config.model.model_max_length}; the longest, {source}, has {length} "
                    "tokens with them",
                    where=records.path,
                    remedy="raise model_max_length, set over_length_policy to drop_teachers, lower num_teachers, or "
                    "take crowded scenes out of the pool",
                    slug="teachers-too-long",
                )

    def val(self, records: RecordFile) -> None:
        """The held-out records: asked about without teachers, and their answers are not read."""
        for index in range(len(records)):
            with self.noting():
                record = records[index]
                turn = measure_scene(record.student, records.root, self._limits, record.source)
                self._check_number_of_objects(record, turn)
                if self._processor is not None:
                    self._processor.inference(turn, source=record.source)

    def _train_record(self, record: Record, root: Path) -> int:
        """The most tokens that its conversation can have; 0 where lengths are not checked."""
        turn = measure_scene(record.student, root, self._limits, record.source)
        teachers = [measure_scene(scene, root, self._limits, record.source) for scene in record.teachers]
        self._check_number_of_objects(record, turn)
        self._crowds += objects_by_image(record)
        data = self._config.data
        if data.labels is not None:
            shown_labels = (label_of(annotation, data.vocabulary) for annotation in record.student.objects)
            self.unlisted.update(label for label in shown_labels if label not in data.labels)
        if self._processor is None:
            return 0
        if self._collator is not None and self._config.detection.detection_enabled:
            for annotation in record.student.objects:
                self._collator.caption_ids(annotation, record.source)
        shown = teachers if self._shows_teachers else []
        length = len(self._processor.training(turn, shown, source=record.source))
        self.longest = max(self.longest, length)
        if self._shows_teachers and not teachers and self._processor.over_length_policy == "refuse":
            length += sum(self._teacher_lengths[: self._config.data.num_teachers])
        return length

    def _check_number_of_objects(self, record: Record, turn: Turn) -> None:
        section = self._config.detection
        if not section.detection_enabled:
            return
        for number, (name, (_, rows, columns)) in enumerate(
            zip(record.student.images, turn.grids, strict=True)
        ):
            most, what = section.detection_num_queries, "detection_num_queries is"
            if section.detection_queries == "proposals" and rows * columns < most:
                most, what = rows * columns, "patches in it that can propose one are"
            objects = sum(a.image == number for a in record.student.objects)
            if objects > most:
                raise ConfigError(
                    f"{objects} objects in {name}, {what} {most}",
                    where=record.source,
                    remedy="raise detection_num_queries (or min_pixels, for a small image), or split the image",
                    slug="too-many-objects",
                )


def _length_as_teacher(turn: Turn, processor: ChatProcessor, source: str) -> int:
    """Tokens that a scene adds to a conversation: the same as it has as the student, without the system prompt."""
    alone = processor.training(turn, source=source)
    return len(alone) - alone.student_prompt_span[0]
