"""What is wrong with a run's data before it starts: reads every record and every image's header, decodes no pixel."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from argus_doctor.findings import Finding, finding_of
from argusvl.core.errors import ArgusError, ConfigError
from argusvl.detection.config import DetectionRunConfig, DetectionSection
from argusvl.detection.data.labels import label_of
from argusvl.detection.data.measuring.survey import crowd, objects_by_image
from argusvl.detection.data.records import Record, RecordFile, Scene
from argusvl.detection.data.sampling.collation import encode_caption
from argusvl.detection.data.sampling.conversation import ChatProcessor, Turn
from argusvl.detection.data.sampling.pixels import num_placeholders
from argusvl.detection.data.sampling.samples import QueryLimit, VisionLimits, measure_scene
from argusvl.detection.data.scan import Measurement, RecordLine, scan
from argusvl.detection.data.scan_cache import FileStamps, digest_of

T = TypeVar("T")


class RunCheck:
    """Collects findings over the record files of a run; the pool comes before the records that it teaches.

    Without a ``processor``, where the tokenizer is learned from records of which one is malformed, no length is
    checked.

    Attributes:
        findings: What was found, in order.
        longest: Tokens of the longest training conversation.
        unlisted: Labels of training objects that the configured ``data.labels`` lack, and how many objects have them.
    """

    def __init__(
        self, config: DetectionRunConfig, limits: VisionLimits, processor: ChatProcessor | None
    ) -> None:
        self.findings: list[Finding] = []
        self.longest = 0
        self.unlisted: Counter[str] = Counter()
        self.config = config
        self.limits = limits
        self.processor = processor
        self._crowds: Sequence[int] = ()
        self._shows_teachers = config.data.teacher_ratio > 0
        self._teachers = 0  # tokens of as many as a conversation is shown, the longest of the pool

    @property
    def queries_for_crowds(self) -> int:
        """How many queries reach all objects of 19 in 20 training images, when each object takes as many as it may."""
        section = self.config.detection
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
        seen = _Pool(self)
        scan(records, [seen])
        wanted = self.config.data.num_teachers
        self._teachers = sum(sorted(seen.lengths, reverse=True)[:wanted])
        with self.noting():
            if self._shows_teachers and len(records) < wanted:
                raise ConfigError(
                    f"has {len(records)} teachers, num_teachers is {wanted}",
                    where=records.path,
                    remedy="lower num_teachers or make a larger pool with `argus data pool`",
                    slug="pool-too-small",
                )

    def train(self, records: RecordFile, *others: Measurement[Any]) -> None:
        """The records that are trained on; others may come along past them."""
        seen = _Train(self)
        scan(records, [seen, *others])
        self.longest, self._crowds = max(seen.lengths, default=0), seen.crowds
        self.unlisted = Counter(seen.unlisted)
        most = self.config.model.model_max_length
        shown = zip(seen.lengths, seen.drawn, seen.places, strict=True)
        with_teachers = [(length + self._teachers * drawn, place) for length, drawn, place in shown]
        too_long = [(length, records.source(place)) for length, place in with_teachers if length > most]
        with self.noting():
            if too_long:
                length, source = max(too_long)
                raise ConfigError(
                    f"with the longest teachers of the pool, {len(too_long)} of {len(records)} records are longer than "
                    f"model_max_length, {most}; the longest, {source}, has {length} tokens with them",
                    where=records.path,
                    remedy="raise model_max_length, set over_length_policy to drop_teachers, lower num_teachers, or "
                    "take crowded scenes out of the pool",
                    slug="teachers-too-long",
                )

    def val(self, records: RecordFile) -> None:
        """The held-out records: asked about without teachers, and their answers are not read."""
        scan(records, [_Val(self)])


class _Measuring(Measurement[T]):
    """Measures scenes for a check; what is wrong with one is a finding."""

    reads_images = True

    def __init__(self, check: RunCheck) -> None:
        config, processor = check.config, check.processor
        tokens = None if processor is None else processor.fingerprint
        super().__init__(digest_of(tokens, config.model, config.data, config.detection))
        self._check = check
        self._warned = False

    def refuse(self, line: RecordLine, error: ArgusError) -> None:
        super().refuse(line, error)
        with self._check.noting():
            raise error

    def save_cached(self, file: RecordFile, images: FileStamps | None) -> None:
        if not self._warned:  # a warning is given each time
            super().save_cached(file, images)

    def _measure(self, scene: Scene, line: RecordLine) -> Turn:
        turn = measure_scene(scene, line.file.root, self._check.limits, line.source)
        if any(num_placeholders(grid) > self._check.limits.vision_tokens_warn for grid in turn.grids):
            self._warned = True
        return turn


class _Pool(_Measuring[int]):
    name = "checked-as-pool"
    keeps = ("lengths",)

    def __init__(self, check: RunCheck) -> None:
        super().__init__(check)
        self.lengths = array("i")  # what each scene adds to a conversation

    def measure(self, line: RecordLine) -> int:
        turn, processor = self._measure(line.record.student, line), self._check.processor
        return 0 if processor is None else processor.training(turn, source=line.source).tokens_as_teacher

    def add(self, line: RecordLine, found: int) -> None:
        self.lengths.append(found)


class _Val(_Measuring[None]):
    name = "checked-as-val"

    def measure(self, line: RecordLine) -> None:
        turn = self._measure(line.record.student, line)
        _refuse_too_many_objects(line.record, turn, query_limit(self._check.config.detection))
        if self._check.processor is not None:
            self._check.processor.inference(turn, source=line.source)

    def add(self, line: RecordLine, found: None) -> None:
        pass


class _Train(_Measuring[tuple[int, bool]]):
    name = "checked-as-train"
    keeps = ("places", "lengths", "drawn", "crowds", "unlisted")

    def __init__(self, check: RunCheck) -> None:
        super().__init__(check)
        self.places = array("i")  # of the records that can be used
        self.lengths = array("i")  # of each one's conversation without teachers of the pool; 0: not measured
        self.drawn = array("b")  # whether such teachers come on top of it
        self.crowds = array("i")  # objects of each image
        self.unlisted: dict[str, int] = {}

    def measure(self, line: RecordLine) -> tuple[int, bool]:
        check, record, turn = self._check, line.record, self._measure(line.record.student, line)
        data, section, processor = check.config.data, check.config.detection, check.processor
        teachers = [self._measure(scene, line) for scene in record.teachers]
        _refuse_too_many_objects(record, turn, query_limit(section))
        if processor is None:
            return 0, False
        if section.detection_enabled:
            for one in record.student.objects:
                encode_caption(processor, one.desc, section.detection_caption_max_tokens, line.source)
        taught = data.teacher_ratio > 0
        length = len(processor.training(turn, teachers if taught else [], source=line.source))
        return length, taught and not teachers and processor.over_length_policy == "refuse"

    def add(self, line: RecordLine, found: tuple[int, bool]) -> None:
        self.places.append(line.index)
        self.lengths.append(found[0])
        self.drawn.append(found[1])
        self.crowds.extend(objects_by_image(line.record))
        data = self._check.config.data
        if data.labels is not None:
            for label in (label_of(one.desc, data.vocabulary) for one in line.record.student.objects):
                if label not in data.labels:
                    self.unlisted[label] = self.unlisted.get(label, 0) + 1


def query_limit(section: DetectionSection) -> QueryLimit | None:
    """How many objects the configured head can find; ``None`` without one."""
    if not section.detection_enabled:
        return None
    return QueryLimit(section.detection_num_queries, section.detection_queries == "proposals")


def _refuse_too_many_objects(record: Record, turn: Turn, limit: QueryLimit | None) -> None:
    if limit is None:
        return
    crowds = zip(record.student.images, turn.grids, objects_by_image(record), strict=True)
    for name, grid, objects in crowds:
        most, what = limit.of(grid)
        if objects > most:
            raise ConfigError(
                f"{objects} objects in {name}, {what} {most}",
                where=record.source,
                remedy="raise detection_num_queries (or min_pixels, for a small image), or split the image",
                slug="too-many-objects",
            )
