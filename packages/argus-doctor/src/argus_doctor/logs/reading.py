"""What a log, a run's folder or a stream says, whatever wrote it: the kind of a file is told by its content."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from argus_doctor.errors import ArgusError
from argus_doctor.findings import Finding, finding
from argus_doctor.logs import formats
from argus_doctor.logs.curves import Curves
from argus_doctor.logs.deaths import DeathReader, Incident, incident_in
from argus_doctor.logs.lines import decoded, encoding_of, parse_line, split_lines
from argus_doctor.logs.metrics_in_text import Printed, printed_in

STDIN = "-"
_START = 1 << 16
_READ_AT_AN_END = 64 << 20
_MOST_FILES = 1000
_LEVELS_DOWN = 6
_NO_LOGS = {".safetensors", ".bin", ".pt", ".pth", ".npy", ".npz", ".png", ".jpg"}
_NO_LOGS |= {".html", ".py", ".yaml", ".yml", ".md"}
_TRACKERS_OWN = {"debug.log", "debug-internal.log", "debug-core.log", "requirements.txt"}
_TRACKERS_OWN |= {"wandb-metadata.json", "conda.yaml"}
"""What W&B and MLflow write about themselves."""
_LIST = re.compile(r'\s*\[\s*(?:\{\s*"|\Z)')
_KINDS = "name a text log, CSV, JSON lines, trainer_state.json, TensorBoard events, or a W&B or MLflow folder"


@dataclass(slots=True)
class Contents:
    """What was read.

    Attributes:
        curves: The numbers.
        incidents: Signs of death, of each file best first.
        finished: Whoever ran it noted that the run ended well, or was asked to stop.
        notes: What could not be read to its end.
        read: How many files said something.
    """

    curves: Curves = field(default_factory=Curves)
    incidents: list[Incident] = field(default_factory=list)
    finished: bool = False
    notes: list[Finding] = field(default_factory=list)
    read: int = 0

    def merge(self, other: Contents) -> None:
        """Adds another file of the same run: of a number that both have, the longer curve stands."""
        for name, curve in other.curves.by_name.items():
            mine = self.curves.by_name.get(name)
            if mine is None or curve.count > mine.count:
                self.curves.by_name[name] = curve
        self.curves.entries = max(self.curves.entries, other.curves.entries)
        self.incidents += other.incidents
        self.finished |= other.finished
        self.notes += other.notes
        self.read += other.read


def read_log(source: str) -> Contents:
    """Reads a file, a folder with all that is readable in it, or with ``-`` standard input.

    Raises:
        ArgusError: It is not there, cannot be opened, or is no log.
    """
    if source == STDIN:
        return _read_stream(cast(BinaryIO, sys.stdin.buffer), "stdin", None)
    path = Path(source)
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise ArgusError("no such file or folder", where=source, remedy="name a log, or a run's folder")
    return _read_file(path, path.name)


def _read_folder(folder: Path) -> Contents:
    contents = Contents()
    for count, path in enumerate(_files(folder)):
        if count >= _MOST_FILES:
            what = f"only the first {_MOST_FILES} files were read"
            contents.notes.append(finding("log-not-whole", folder, what))
            break
        try:
            contents.merge(_read_file(path, path.relative_to(folder).as_posix()))
        except ArgusError:
            continue  # pictures, weights: what is no log
    if not contents.read:
        remedy = "name the folder that a run has written its logs to"
        raise ArgusError("holds no log that can be read", where=folder, remedy=remedy)
    return contents


def _files(folder: Path) -> Iterator[Path]:
    # A link to a folder of another run is not followed by os.walk; one to a file is.
    for place, folders, names in os.walk(folder):
        here = Path(place)
        deep = len(here.parts) - len(folder.parts) >= _LEVELS_DOWN
        folders[:] = [] if deep else sorted(name for name in folders if not name.startswith("."))
        for path in (here / name for name in sorted(names)):
            own = path.name in _TRACKERS_OWN or here.name in ("params", "tags")
            if not own and path.suffix.lower() not in _NO_LOGS and path.is_file() and path.stat().st_size:
                yield path


def _read_file(path: Path, name: str) -> Contents:
    def opener(file: str, flags: int) -> int:
        return os.open(file, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe may have no writer yet

    try:
        with open(path, "rb", opener=opener) as stream:
            os.set_blocking(stream.fileno(), True)
            return _read_stream(stream, name, path)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise ArgusError(what, where=path, remedy="check the path and its permissions") from None


def _read_stream(stream: BinaryIO, name: str, path: Path | None) -> Contents:
    source = _Source(stream)
    if source.start[:2] == b"\x1f\x8b":
        unpacked = cast(BinaryIO, gzip.GzipFile(fileobj=io.BufferedReader(source)))
        return _read_stream(unpacked, name.removesuffix(".gz"), None)
    contents, deaths, count, broken = Contents(read=1), DeathReader(name), 0, ""
    try:
        for count, (number, what) in enumerate(_entries(source, name, path), 1):  # noqa: B007 - asked for below
            where = name if number is None else f"{name}:{number}"
            if isinstance(what, dict):
                _note_event(what, where, contents)
                step, values = formats.numbers_of(what)
                if values:
                    deaths.progress(Printed(position={} if step is None else {"step": step}))
            else:
                line = parse_line(number or 0, what)
                printed = printed_in(line.body)
                mine = deaths.feed(line, printed) and printed is not None
                step, values = (printed.step, printed.values) if mine and printed else (None, {})
            if values:
                contents.curves.add(values, step, where)
    except formats.BrokenLogError as error:
        broken = str(error)
    if (broken := broken or source.broken) and not count:
        raise ArgusError(broken, where=name, remedy=f"look for a whole copy, or {_KINDS}")
    if broken:
        what = f"{broken}; what stands before was read"
        contents.notes.append(finding("log-not-whole", name, what))
    if source.left_out:
        what = f"is so long that {len(source.left_out) >> 20} MiB in its middle were left out"
        contents.notes.append(finding("log-not-whole", name, what))
    contents.incidents = deaths.finish() or contents.incidents
    return contents


def _entries(source: _Source, name: str, path: Path | None) -> Iterable[formats.Entry]:
    """What a stream holds, read as what it is."""
    start, stream = source.start, io.BufferedReader(source, _START)
    if start.startswith(formats.WANDB_MAGIC):
        return formats.wandb_records(stream)
    if formats.is_events(start):
        return formats.event_records(stream)
    if start.startswith(b"SQLite format 3\0"):
        if path is None:
            raise formats.BrokenLogError("is a database, which cannot be read from a stream")
        return formats.database_rows(path)
    encoding = encoding_of(start)
    if encoding is None:
        raise ArgusError("is a binary file of a kind that is not known", where=name, remedy=_KINDS)
    head = start.decode(encoding, "replace").lstrip("\ufeff")
    if not head.strip():
        nobody = path is not None and path.is_fifo()
        what = source.broken or ("is a pipe that nobody writes to" if nobody else "is empty")
        raise ArgusError(what, where=name, remedy="name a log that something was written to")
    first = next(line for line in head.splitlines() if line.strip()).strip()
    if _LIST.match(head) or (first[0] == "{" and (first == "{" or '"log_history"' in head[:4096])):
        return formats.json_entries(decoded(stream, encoding))
    size = path.stat().st_size if path is not None and path.is_file() else 0
    # Of a text that would take many minutes the middle is left out: it died at its end.
    source.left_out = range(_READ_AT_AN_END, size - _READ_AT_AN_END)
    lines = split_lines(decoded(stream, encoding, source.left_out))
    if first[0] == "{" and _is_record(first):
        return formats.json_lines(lines)
    if formats.is_metric_file(head):
        return formats.metric_rows(lines, Path(name).name)
    delimiter = formats.delimiter_of(head)
    return lines if delimiter is None else formats.csv_rows(lines, delimiter)


def _is_record(line: str) -> bool:
    """Whether a line is a record of numbers, and not a message that a logger wrote as JSON."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return not any(isinstance(entry.get(key), str) for key in ("log", "message", "msg"))


def _note_event(record: dict[str, Any], where: str, contents: Contents) -> None:
    """What an engine notes of its run: the last word on how it ended."""
    event, why = record.get("event"), str(record.get("why", ""))
    if event in ("started", "resumed"):
        contents.finished = False
        contents.incidents.clear()
    elif event == "stopped":
        contents.finished = why in ("finished", "interrupted")
        if not contents.finished and why:
            contents.incidents.append(incident_in(why, where))


class _Source(io.RawIOBase):
    """A stream of which the start is known; one that cannot be unpacked to its end ends there.

    Attributes:
        start: Its first bytes; a hole, as it stays where a log was cut while it was written, is left out.
        broken: Why it ended early, if it did.
        left_out: Bytes of which only lines are counted.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._take = getattr(stream, "read1", stream.read)  # hands over what is there before it fails
        self.broken, self.left_out = "", range(0)
        self.start = b""
        while len(self.start) < _START and (more := self._read(_START)):
            hole = 0 if self.start else len(more) - len(more.lstrip(b"\0"))
            self.start += more[hole // 2 * 2 :]  # one byte may be half a character
        self._left = self.start

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        taken = self._left[: len(buffer)] or self._read(len(buffer))
        self._left = self._left[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)

    def _read(self, size: int) -> bytes:
        try:
            return bytes(self._take(size))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.broken = f"cannot be unpacked to its end: {error}"
            return b""
