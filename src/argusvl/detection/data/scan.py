"""One walk over records: each is read once, in threads, for all who want to know something of it.

Who wants to know something is a :class:`Visitor`. One that knows already what it would find, since that was kept (see
:mod:`~argusvl.detection.data.scan_cache`), stays at home.
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
from argusvl.detection.data.scan_cache import Marks, keep, marks_of, packed, recall, unpacked

T = TypeVar("T")

_MOST_AT_ONCE = 32
"""Records that a thread takes at a time: to hand over each one costs as much as to read it."""


class Visit:
    """A record that is passed by: where it stands, from 0, and the line as it stands there."""

    def __init__(self, file: RecordFile, index: int, line: bytes) -> None:
        self.file = file
        self.index = index
        self.line = line

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
        return self.file.parse(self.index, self.line)


class Visitor(ABC, Generic[T]):
    """Wants to know something of each record.

    Attributes:
        name: What it finds, where that is kept; empty where it is not.
        keeps: The attributes that hold what it finds: arrays, or JSON values.
        reads_images: Whether that rests on image files, too.
        key: What it rests on besides.
        bad: Where the records stand that cannot be used, and why. What was found is not kept then.
    """

    name: ClassVar[str] = ""
    keeps: ClassVar[tuple[str, ...]] = ()
    reads_images: ClassVar[bool] = False

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.bad: list[tuple[str, ArgusError]] = []

    @abstractmethod
    def look(self, visit: Visit) -> T:
        """What it finds in a record, in any thread. An ``ArgusError`` says why the record cannot be used."""

    @abstractmethod
    def take(self, visit: Visit, found: T) -> None:
        """Takes what it found in a record; called in their order."""

    def refuse(self, visit: Visit, error: ArgusError) -> None:
        """Called in place of :meth:`take` where a record cannot be used."""
        self.bad.append((visit.source, error))

    def knows(self, file: RecordFile) -> bool:
        """Whether it could recall what it would find."""
        facts = recall(file, self.name, self.key) if self.name else None
        if facts is None or not facts.keys() >= set(self.keeps):
            return False
        for attribute in self.keeps:
            empty, known = getattr(self, attribute), facts[attribute]
            value = array(empty.typecode, known.tobytes()) if isinstance(empty, array) else unpacked(known)
            setattr(self, attribute, value)
        return True

    def remember(self, file: RecordFile, marks: Marks | None) -> None:
        """Keeps what it found."""
        values = {attribute: getattr(self, attribute) for attribute in self.keeps}
        facts = {k: np.array(v) if isinstance(v, array) else packed(v) for k, v in values.items()}
        if self.name and not self.bad:
            keep(file, self.name, self.key, facts, marks if self.reads_images else None)


def walk(
    file: RecordFile,
    visitors: Sequence[Visitor[Any]],
    *,
    strict: bool = False,
    workers: int | None = None,
    doing: str = "reading",
    progress: bool = False,
) -> None:
    """Sends visitors past every record of a file.

    Args:
        file: The records.
        visitors: Those that know what they would find are not sent.
        strict: Whether the first record that one of them cannot use is an error.
        workers: Threads; the number of usable cores when ``None``.
        doing: What the progress bar says.
        progress: Whether to show it.

    Raises:
        ArgusError: A record cannot be used.
    """
    sent = [one for one in visitors if not one.knows(file)]
    if not sent:
        return
    marks: Marks | None = {} if any(one.name and one.reads_images for one in sent) else None
    look = partial(_look, file=file, visitors=sent, marks=marks)
    size = max(1, min(_MOST_AT_ONCE, len(file) // (8 * (workers or usable_cores()))))
    blocks = (range(k, min(k + size, len(file))) for k in range(0, len(file), size))
    each = (one for block in map_in_order(look, blocks, workers) for one in block)
    for visit, found in track(each, len(file), f"{doing} {file.path.name}", unit="records", enabled=progress):
        for visitor, one in zip(sent, found, strict=True):
            if not isinstance(one, ArgusError):
                visitor.take(visit, one)
            elif strict:
                raise one
            else:
                visitor.refuse(visit, one)
    for one in sent:
        one.remember(file, marks)


def _look(
    indices: range, *, file: RecordFile, visitors: Sequence[Visitor[Any]], marks: Marks | None
) -> list[tuple[Visit, list[Any]]]:
    looked = []
    for index, line in zip(indices, file.lines(indices), strict=True):
        visit = Visit(file, index, line)
        if marks is not None:
            # Before the others: an image that changes while they look at it must not pass for the one that they saw.
            _mark(visit, marks)
        looked.append((visit, [_found(visitor, visit) for visitor in visitors]))
    return looked


def _found(visitor: Visitor[T], visit: Visit) -> T | ArgusError:
    try:
        return visitor.look(visit)
    except ArgusError as error:
        return error


def _mark(visit: Visit, marks: Marks) -> None:
    with suppress(ArgusError):  # whoever needs the record is told
        record = visit.record
        names = (name for scene in (record.student, *record.teachers) for name in scene.images)
        marks |= marks_of(visit.file.root, [name for name in names if name not in marks])
