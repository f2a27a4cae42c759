"""Files that grow batch by batch and may be cut off at any point, by a signal, a full disk or a power cut.

A batch is some lines of JSON and perhaps data that they speak of, in a file of their own, which reach the disk before
the lines are written. So where a whole line is found its data are there, and what an interruption has left can only be
the end of either file: it is cut away when the work goes on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from argusvl.core.errors import DataError
from argusvl.core.files import lock_file, open_file, open_to_append, read_bytes
from argusvl.core.strict_json import decode_json

T = TypeVar("T")


class Appender:
    """Appends batches to a file of lines and a file of data.

    Args:
        lines: The file of lines; made where it is missing, never shortened before :meth:`cut`.
        sync_seconds: What a kill may cost. Bringing something to the disk takes some milliseconds, so the batches of
            this time are brought there together; 0 brings each there at once.

    Attributes:
        intact: No write was broken off. Nothing may be written behind one that was.

    Raises:
        OSError: The file cannot be opened. So do all methods, where they cannot write.
    """

    def __init__(self, lines: Path, *, sync_seconds: float = 0.0) -> None:
        self.intact = True
        self._lines: BinaryIO = open_to_append(lines, buffering=0)
        self._data: BinaryIO | None = None
        self._waiting = b""  # lines of batches whose data are written, perhaps not on the disk yet
        self._sync_seconds = sync_seconds
        self._synced_at = time.monotonic()

    @property
    def synced(self) -> bool:
        """Whether all that was appended is on the disk."""
        return not self._waiting

    @property
    def has_data_file(self) -> bool:
        """Whether a file of data is open."""
        return self._data is not None

    def lock(self) -> bool:
        """Locks the file of lines until it is closed; ``False`` where another process has done so."""
        return lock_file(self._lines)

    def cut(self, end: int) -> None:
        """Shortens the file of lines to its first ``end`` bytes."""
        self._lines.truncate(end)
        os.fsync(self._lines.fileno())

    def open_data(self, file: Path, end: int | None = None) -> None:
        """Takes a file of data, made where it is missing, and cuts it to its first ``end`` bytes."""
        self.close_data()
        self._data = open_to_append(file, buffering=0)
        if end is not None:
            self._data.truncate(end)

    def append(self, lines: bytes, data: bytes = b"") -> None:
        """Writes a batch; see :attr:`synced` for whether it is on the disk."""
        self.intact = False
        if data:
            assert self._data is not None
            write_all(self._data, data)
        self._waiting += lines
        self.intact = True
        if time.monotonic() - self._synced_at >= self._sync_seconds:
            self.sync()

    def sync(self) -> None:
        """Brings to the disk what was appended: the data, and then the lines that say so."""
        if self._waiting:
            self.intact = False
            if self._data is not None:
                os.fsync(self._data.fileno())
            write_all(self._lines, self._waiting)
            os.fsync(self._lines.fileno())
            self._waiting = b""
            self.intact = True
        self._synced_at = time.monotonic()

    def close_data(self) -> None:
        """Closes the file of data; it must be synced."""
        if self._data is not None:
            self._data.close()
            self._data = None

    def close(self) -> None:
        """Closes both files as they are."""
        self.close_data()
        self._lines.close()


def write_all(stream: BinaryIO, data: bytes) -> None:
    """Writes everything; an unbuffered stream may take a part at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) or 0 :]


def json_line(value: Any) -> bytes:
    """A value on one line, in UTF-8; a file name whose bytes are not UTF-8 is written with escapes."""
    try:
        return (json.dumps(value, ensure_ascii=False) + "\n").encode("utf-8")
    except UnicodeEncodeError:
        return (json.dumps(value) + "\n").encode("ascii")


def read_lines(file: Path, parse: Callable[[bytes], T], *, remedy: str) -> Iterator[tuple[T, int]]:
    """What the whole lines of a file say, each with the place at which it ends, in bytes.

    A line is whole when it ends with a line feed (JSON escapes those inside a text); a last one without, which an
    interruption has cut, is left out. ``parse`` gives what a line says, or raises ``ValueError``.

    Raises:
        DataError: The file cannot be read, or a whole line is damaged.
    """
    try:
        with open_file(file) as stream:
            end = 0
            for number, line in enumerate(stream, start=1):
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                try:
                    value = parse(line)
                except ValueError as error:
                    raise DataError(
                        f"the line is damaged ({error}): {line[:80]!r}",
                        where=f"{file}, line {number}",
                        remedy=remedy,
                    ) from None
                yield value, end
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", where=file, remedy=remedy) from None


def read_objects(file: Path) -> Iterator[dict[str, Any]]:
    """The objects in a file of JSON lines; nothing where there is none, and lines that are no object are passed over.

    For files that are shown and not computed with: a process that was killed while it wrote may have left half a line.
    """
    if not file.is_file():
        return
    for line in read_bytes(file).decode("utf-8", "replace").splitlines():
        try:
            entry = decode_json(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry
