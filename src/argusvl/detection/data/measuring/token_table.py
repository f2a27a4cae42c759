"""How many tokens the records of a file take, and for what: the figures behind ``argus inspect tokens``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from argusvl.detection.data.measuring.histogram import whole_ranges
from argusvl.detection.data.sampling.dataset import DetectionDataset
from argusvl.detection.data.scan import Measurement, RecordLine, scan

PARTS = (
    "system",
    "teacher prompt",
    "teacher image",
    "teacher answer",
    "student prompt",
    "student image",
    "student answer",
)
"""What a token can belong to, in the order of a conversation."""

TOTAL = "conversation"


def part_name(role: str, kind: str) -> str:
    """The name of a part's row in the table."""
    return "system" if role == "system" else f"{role} {kind}"


@dataclass(frozen=True, slots=True)
class PartTokens:
    """Tokens of one part, one of :data:`PARTS` or the whole conversation: of a record, and in all records together."""

    part: str
    least: int
    mean: float
    most: int
    total: int


@dataclass(frozen=True, slots=True)
class LongRecord:
    """One of the longest records."""

    index: int
    source: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Records whose length is ``low`` to ``high`` tokens, both included."""

    low: int
    high: int
    records: int


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The figures of a record file.

    Attributes:
        too_long: Records with more tokens than ``model_max_length``.
        with_teachers: Records that are shown teachers.
        parts: A row for each part, the whole conversation last.
        longest: The longest records, longest first.
    """

    records: int
    model_max_length: int
    too_long: int
    with_teachers: int
    parts: tuple[PartTokens, ...]
    longest: tuple[LongRecord, ...]
    histogram: tuple[Bin, ...]


def token_table(dataset: DetectionDataset, model_max_length: int, *, longest: int = 5) -> TokenTable:
    """Counts the tokens of every record, by the images' headers, and names so many of the longest.

    The dataset's processor must accept conversations of any length, or the first too long one is an error.

    Raises:
        DataError: A record, an image's header or a box is not what it should be.
    """
    seen = _Counts(dataset)
    scan(dataset.records, [seen], strict=True, doing="counting tokens of", progress=True)
    counts = seen.counts
    lengths = counts.sum(axis=1)
    order = np.argsort(-lengths, kind="stable")[:longest].tolist()
    columns = [*zip(PARTS, counts.T, strict=True), (TOTAL, lengths)]
    return TokenTable(
        records=len(dataset),
        model_max_length=model_max_length,
        too_long=int((lengths > model_max_length).sum()),
        with_teachers=int((counts[:, PARTS.index("teacher prompt")] > 0).sum()),
        parts=tuple(
            PartTokens(name, int(v.min()), float(v.mean()), int(v.max()), int(v.sum(dtype=np.int64)))
            for name, v in columns
            if len(dataset)
        ),
        longest=tuple(LongRecord(i, dataset.records.source(i), int(lengths[i])) for i in order),
        histogram=tuple(Bin(one.low, one.high or 0, one.count) for one in whole_ranges(lengths)),
    )


class _Counts(Measurement[list[int]]):
    """Counts the parts of each record's conversation."""

    def __init__(self, dataset: DetectionDataset) -> None:
        super().__init__()
        # One row of integers a record: a million records are 28 MB.
        self.counts = np.zeros((len(dataset), len(PARTS)), dtype=np.int32)
        self._dataset = dataset

    def measure(self, line: RecordLine) -> list[int]:
        counts = dict.fromkeys(PARTS, 0)
        for part in self._dataset.measure_record(line.record, line.index).parts:
            counts[part_name(part.role, part.kind)] += len(part)
        return list(counts.values())

    def add(self, line: RecordLine, found: list[int]) -> None:
        self.counts[line.index] = found
