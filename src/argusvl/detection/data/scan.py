"""One scan of a record file: each record is read once, in threads, for everything that is measured of it.

What is measured is a :class:`Measurement`. One whose results are cached (see :mod:`~argusvl.detection.data.scan_cache`)
is not taken again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from argusvl.core.errors import ArgusError
from argusvl.core.progress import track
from argusvl.core.threads import usable_cores
from argusvl.core.workers import map_in_order
from argusvl.detection.data.records import Record, RecordFile
from argusvl.detection.data.scan_cache import (
    FileStamps,
    as_bytes,
    from_bytes,
    load_measured,
    save_measured,
    stamps_of,
)

T = TypeVar("T")

_MOST_AT_ONCE = 32
"""Records that a thread takes at a time: to hand over each one costs as much as to read it."""


class RecordLine:
    """One record of a file: where it stands, from 0, and the line as it stands there."""

    def __init__(self, file: RecordFile, index: int, text: bytes) -> None:
        self.file = file
        self.index = index
        self.text = text

    @property
    def source(self) -> str:
        """``file:line``."""
        return self.file.source(self.index)

    @cached_property
    def record(self) -> Record:
        """The record, parsed for whoever asks first.

        Raises:
            DataError: The line is not a valid record.
        """
        return self.file.parse(self.index, self.text)


class Measurement(ABC, Generic[T]):
    """Something that is measured of each record of a file.

    Attributes:
        name: Under which the results are cached; empty where they are not.
        keeps: The attributes that hold the results: arrays, or JSON values.
        reads_images: Whether they rest on image files, too.
        key: What they rest on besides.
        bad: Where the records stand that cannot be used, and why. Results are not cached then.
    """

    name: ClassVar[str] = ""
    keeps: ClassVar[tuple[str, ...]] = ()
    reads_images: ClassVar[bool] = False

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.bad: list[tuple[str, ArgusError]] = []

    @abstractmethod
    def measure(self, line: RecordLine) -> T:
        """Measures a record, in any thread. An ``ArgusError`` says why the record cannot be used."""

    @abstractmethod
    def add(self, line: RecordLine, found: T) -> None:
        """Adds what was measured of a record; called in their order."""

    def refuse(self, line: RecordLine, error: ArgusError) -> None:
        """Called in place of :meth:`add` where a record cannot be used."""
        self.bad.append((line.source, error))

    def load_cached(self, file: RecordFile) -> bool:
        """Takes the results from the cache, where they are there."""
        results = load_measured(file, self.name, self.key) if self.name else None
        if results is None or not results.keys() >= set(self.keeps):
            return False
        for attribute in self.keeps:
            empty, known = getattr(self, attribute), results[attribute]
            value = array(empty.typecode, known.tobytes()) if isinstance(empty, array) else from_bytes(known)
            setattr(self, attribute, value)
        return True

    def save_cached(self, file: RecordFile, images: FileStamps | None) -> None:
        """Puts the results into the cache."""
        values = {attribute: getattr(self, attribute) for attribute in self.keeps}
        results = {k: np.array(v) if isinstance(v, array) else as_bytes(v) for k, v in values.items()}
        if self.name and not self.bad:
            save_measured(file, self.name, self.key, results, images if self.reads_images else None)


def scan(
    file: RecordFile,
    measurements: Sequence[Measurement[Any]],
    *,
    strict: bool = False,
    workers: int | None = None,
    doing: str = "reading",
    progress: bool = False,
) -> None:
    """Takes measurements of every record of a file.

    Args:
        file: The records.
        measurements: Those whose results are cached are not taken again.
        strict: Whether the first record that one of them cannot use is an error.
        workers: Threads; the number of usable cores when ``None``.
        doing: What the progress bar says.
        progress: Whether to show it.

    Raises:
        ArgusError: A record cannot be used.
    """
    taken = [one for one in measurements if not one.load_cached(file)]
    if not taken:
        return
    images: FileStamps | None = {} if any(one.name and one.reads_images for one in taken) else None
    measure = partial(_measure, file=file, measurements=taken, images=images)
    size = max(1, min(_MOST_AT_ONCE, len(file) // (8 * (workers or usable_cores()))))
    blocks = (range(k, min(k + size, len(file))) for k in range(0, len(file), size))
    each = (one for block in map_in_order(measure, blocks, workers) for one in block)
    for line, found in track(each, len(file), f"{doing} {file.path.name}", unit="records", enabled=progress):
        for measurement, one in zip(taken, found, strict=True):
            if not isinstance(one, ArgusError):
                measurement.add(line, one)
            elif strict:
                raise one
            else:
                measurement.refuse(line, one)
    for one in taken:
        one.save_cached(file, images)


def _measure(
    indices: range, *, file: RecordFile, measurements: Sequence[Measurement[Any]], images: FileStamps | None
) -> list[tuple[RecordLine, list[Any]]]:
    measured = []
    for index, text in zip(indices, file.lines(indices), strict=True):
        line = RecordLine(file, index, text)
        if images is not None:
            # First: an image that changes while it is measured must not pass for the one that was measured.
            with suppress(ArgusError):  # whoever needs the record is told
                images |= stamps_of(file.root, [name for name in line.record.images if name not in images])
        measured.append((line, [_result(one, line) for one in measurements]))
    return measured


def _result(measurement: Measurement[T], line: RecordLine) -> T | ArgusError:
    try:
        return measurement.measure(line)
    except ArgusError as error:
        return error
