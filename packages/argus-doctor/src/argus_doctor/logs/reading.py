"""What a log, a run's folder or a stream says, whatever wrote it: the kind of a file is told by its content."""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from argus_doctor.errors import ArgusError
from argus_doctor.findings import Finding, finding
from argus_doctor.logs.curves import Curves
from argus_doctor.logs.deaths import DeathReader, Ending, Incident, incident_in
from argus_doctor.logs.lines import parse_line, split_lines
from argus_doctor.logs.metrics_in_text import Printed, printed_in
from argus_doctor.logs.record_files import WANDB_MAGIC, is_events, scalars, wandb_records
from argus_doctor.logs.tables import (
    Row,
    csv_rows,
    database_rows,
    is_metric_file,
    json_rows,
    metric_rows,
    state_rows,
)

STDIN = "-"
_START = 1 << 16
_LARGEST_JSON = 256 << 20
"""Bytes of a file that is one JSON value, and so is read whole."""
_MOST_FILES = 1000
_LEVELS_DOWN = 6
_NO_LOGS = {
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".png",
    ".jpg",
    ".npy",
    ".npz",
    ".html",
    ".py",
    ".yaml",
    ".yml",
    ".md",
}
_TRACKERS_OWN = {
    "debug.log",
    "debug-internal.log",
    "debug-core.log",
    "requirements.txt",
    "wandb-metadata.json",
    "conda.yaml",
}
"""What W&B and MLflow write about themselves."""


@dataclass(slots=True)
class Contents:
    """What was read.

    Attributes:
        curves: The numbers.
        incidents: Signs of death, of each file best first.
        ending: How the run ended, as far as told.
        finished: The engine itself noted that the run ended well, or was asked to stop.
        notes: What could not be read to its end.
        read: How many files said something.
    """

    curves: Curves = field(default_factory=Curves)
    incidents: list[Incident] = field(default_factory=list)
    ending: Ending = Ending.UNKNOWN
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
        self.ending = max(self.ending, other.ending)
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
        raise ArgusError(
            "holds no log that can be read",
            where=folder,
            remedy="name the folder that a run has written its logs to",
        )
    return contents


def _files(folder: Path) -> Iterator[Path]:
    depth = len(folder.parts)
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            n for n in folders if not n.startswith(".") and len(here.parts) - depth < _LEVELS_DOWN
        )
        for name in sorted(names):
            path = here / name
            if name in _TRACKERS_OWN or path.suffix.lower() in _NO_LOGS or here.name in ("params", "tags"):
                continue
            # A link to a folder of another run is not followed by os.walk; one to a file is.
            if path.is_file() and path.stat().st_size:
                yield path


def _read_file(path: Path, name: str) -> Contents:
    try:
        with path.open("rb") as stream:
            return _read_stream(stream, name, path)
    except OSError as error:
        raise ArgusError(
            f"cannot be read: {error.strerror or error}",
            where=path,
            remedy="check the path and its permissions",
        ) from None


def _read_stream(stream: BinaryIO, name: str, path: Path | None) -> Contents:
    start = stream.read(_START)
    if start[:2] == b"\x1f\x8b":
        with _unpacking(name):
            unpacked = cast(BinaryIO, gzip.GzipFile(fileobj=_Ahead.of(start, stream)))
            return _read_stream(unpacked, name.removesuffix(".gz"), None)
    whole = _Ahead.of(start, stream)
    if start.startswith(WANDB_MAGIC):
        return _read_wandb(whole, name)
    if is_events(start):
        return _read_events(whole, name)
    if start.startswith(b"SQLite format 3\0"):
        return _read_database(path, name)
    if b"\0" in start[:4096] and start[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise ArgusError(
            "is a binary file of a kind that is not known",
            where=name,
            remedy=(
                "name a text log, CSV, JSON lines, trainer_state.json, TensorBoard events, or a "
                "W&B or MLflow folder"
            ),
        )
    if not start.strip():
        raise ArgusError("is empty", where=name, remedy="name a log that something was written to")
    return _read_text(start, stream, name)


def _read_text(start: bytes, stream: BinaryIO, name: str) -> Contents:
    head = start.decode("utf-8", "replace").lstrip("\ufeff")
    first = head.lstrip()[:1]
    line = next((one for one in head.splitlines() if one.strip()), "")
    if first in "{[" and (rows := _one_value(head, line, start, stream, name)) is not None:
        return _of_rows(rows, name)
    lines = split_lines(stream, start)
    if first == "{" and _is_record(line):
        return _read_json_lines(lines, name)
    if is_metric_file(head):
        return _of_rows(metric_rows(lines, Path(name).name), name)
    if (delimiter := _delimiter(head)) is not None:
        return _of_rows(csv_rows(lines, delimiter), name)
    return _read_plain(lines, name)


def _one_value(
    head: str, line: str, start: bytes, stream: BinaryIO, name: str
) -> Iterable[Row] | Contents | None:
    """The rows of a file that is one JSON value; ``None`` where it is none."""
    lone = (
        line.strip() in ("{", "[")
        or '"log_history"' in head[:4096]
        or head.lstrip()[:2] in ("[{", "[\n", "[ ")
    )
    if not lone or "'" in line[:3] or line.startswith(("{'", "['")) or line.strip()[1:2].isdigit():
        return None
    content = start + stream.read(_LARGEST_JSON)
    text = content.decode("utf-8", "replace").lstrip("\ufeff")
    try:
        return list(state_rows(json.loads(text)))
    except RecursionError:
        return None
    except ValueError as error:
        if not isinstance(error, json.JSONDecodeError):
            raise ArgusError(
                str(error), where=name, remedy="name a trainer_state.json or a list of records"
            ) from None
        whole = _whole_entries(text)
        if not whole:
            raise ArgusError(
                f"is JSON that ends or breaks at line {error.lineno}: {error.msg}",
                where=name,
                remedy="name an older checkpoint's, or the run's log",
            ) from None
        contents = _of_rows(state_rows(whole), name)
        what = f"is JSON that breaks at line {error.lineno}; {len(whole)} entries before were read"
        contents.notes.append(finding("log-not-whole", name, what))
        return contents


def _whole_entries(text: str) -> list[Any]:
    """The entries of a list that was cut off."""
    begin = text.find("[", max(text.find('"log_history"'), 0))
    decoder, entries, at = json.JSONDecoder(), [], begin + 1
    while begin >= 0 and (at := text.find("{", at)) >= 0:
        try:
            entry, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        entries.append(entry)
    return entries


def _read_json_lines(lines: Iterable[tuple[int, str]], name: str) -> Contents:
    contents, deaths = Contents(read=1), DeathReader(name)
    for item in json_rows(lines):
        if isinstance(item[1], str):
            if item[1].lstrip().startswith("{"):
                continue  # half a record, of a process that was killed while it wrote, or writes now
            _feed_text(item, deaths, contents.curves, name)
            continue
        (number, step, values), entry = item
        _note_event(entry, number, name, contents)
        if values:
            contents.curves.add(values, step, f"{name}:{number}")
            deaths.progress(Printed(position={} if step is None else {"step": step}))
    _close(deaths, contents)
    return contents


def _note_event(entry: dict[str, Any], number: int, name: str, contents: Contents) -> None:
    """What our own engine notes of a run: the last word on how it ended."""
    event = entry.get("event")
    if event in ("started", "resumed"):
        contents.finished = False
        contents.incidents.clear()
    elif event == "stopped":
        why = str(entry.get("why", ""))
        contents.finished = why in ("finished", "interrupted")
        if not contents.finished and why:
            contents.incidents.append(incident_in(why, f"{name}:{number}"))


def _read_plain(lines: Iterable[tuple[int, str]], name: str) -> Contents:
    contents, deaths = Contents(read=1), DeathReader(name)
    for item in lines:
        _feed_text(item, deaths, contents.curves, name)
    _close(deaths, contents)
    return contents


def _feed_text(item: tuple[int, str], deaths: DeathReader, curves: Curves, name: str) -> None:
    line = parse_line(*item)
    printed = printed_in(line.body)
    if deaths.feed(line, printed) and printed is not None and printed.values:
        curves.add(printed.values, printed.step, f"{name}:{line.number}")


def _close(deaths: DeathReader, contents: Contents) -> None:
    contents.incidents += deaths.finish()
    contents.ending = max(contents.ending, deaths.ending)


def _of_rows(rows: Iterable[Row] | Contents, name: str) -> Contents:
    if isinstance(rows, Contents):
        return rows
    contents = Contents(read=1)
    for number, step, values in rows:
        if values:
            contents.curves.add(values, step, f"{name}:{number}")
    return contents


def _read_events(stream: BinaryIO, name: str) -> Contents:
    contents = Contents(read=1)
    try:
        for step, values in scalars(stream):
            contents.curves.add(values, step, name)
    except ValueError as error:
        contents.notes.append(
            finding("log-not-whole", name, f"is damaged: {error}; what stands before was read")
        )
    return contents


def _read_wandb(stream: BinaryIO, name: str) -> Contents:
    contents, deaths, number = Contents(read=1), DeathReader(name), 0
    code: int | None = None
    try:
        for kind, value in wandb_records(stream):
            if kind == "history":
                step, values = value
                contents.curves.add(values, step, name)
                deaths.progress(Printed(position={} if step is None else {"step": step}))
            elif kind == "output":
                for text in str(value).splitlines():
                    number += 1
                    deaths.feed(parse_line(number, text), printed_in(text))
            else:
                code = int(value)
    except ValueError as error:
        contents.notes.append(
            finding("log-not-whole", name, f"is damaged: {error}; what stands before was read")
        )
    _close(deaths, contents)
    if code == 0:
        contents.finished = True
    elif code is not None and not contents.incidents:
        contents.incidents.append(incident_in(f"exit code {code}", name))
    return contents


def _read_database(path: Path | None, name: str) -> Contents:
    if path is None:
        raise ArgusError("a database cannot be read from a stream", where=name, remedy="name the file itself")
    try:
        return _of_rows(database_rows(path), name)
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise ArgusError(
            f"is a database, but not MLflow's: {error}",
            where=name,
            remedy="name mlflow.db, or the folder mlruns",
        ) from None


def _is_record(line: str) -> bool:
    """Whether a line is a record of numbers, and not a message that a logger wrote as JSON."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and not any(
        isinstance(entry.get(k), str) for k in ("log", "message", "msg")
    )


def _delimiter(head: str) -> str | None:
    """What separates the cells, where the first two lines are a table's header and a row."""
    lines = [line for line in head.splitlines()[:3] if line.strip()]
    if len(lines) < 2:
        return None
    for delimiter in ",\t;":
        names, cells = (line.split(delimiter) for line in lines[:2])
        if len(names) < 2 or len(names) != len(cells):
            continue
        words = all(n.strip() and len(n) < 80 and not _is_number(n) for n in names)
        numbers = sum(_is_number(c) or not c.strip() for c in cells)
        if words and numbers * 2 >= len(cells) and any(_is_number(c) for c in cells):
            return delimiter
    return None


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True


@contextmanager
def _unpacking(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise ArgusError(
            f"cannot be unpacked: {error}", where=name, remedy="unpack it with gzip -d first"
        ) from None


class _Ahead(io.RawIOBase):
    """A stream together with what had been read of it."""

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start, self._stream = start, stream

    @classmethod
    def of(cls, start: bytes, stream: BinaryIO) -> BinaryIO:
        """Such a stream, buffered."""
        return io.BufferedReader(cls(start, stream), 1 << 16)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._start:
            taken, self._start = self._start[: len(buffer)], self._start[len(buffer) :]
        else:
            taken = self._stream.read(len(buffer))
        buffer[: len(taken)] = taken
        return len(taken)
