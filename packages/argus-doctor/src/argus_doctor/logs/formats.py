"""Logs that are records: trainer's state, JSON lines, CSV, MLflow's, TensorBoard's and W&B's files.

Each is read as what it holds in order: a record (names and values, whatever they are), or a line of text. TensorBoard
frames each record by its length (8 bytes), a checksum (4), the record, a checksum (4). W&B writes as LevelDB's log
does: after a header of 7 bytes, blocks of 32 KiB with pieces of records, each with a checksum (4), its length (2) and
whether it is whole or first, middle or last (1). Both hold protocol buffers: TensorBoard's own are read by its package;
W&B's have no schema here, and are read by the numbers of their fields.
"""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

Entry = tuple[int | None, "str | dict[str, Any]"]
"""Its line or place, where it has one, and a line of text or a record."""
Lines = Iterable[tuple[int, str]]

WANDB_MAGIC = b":W&B"
_BLOCK = 1 << 15
_LARGEST = 1 << 28
"""Bytes of a record: a length above it is damage, or no length."""
_LARGEST_ENTRY = 1 << 24
"""Characters of one entry of a JSON list."""
_DEEPEST = 4
_LONGEST_NUMBER = 40
_STEPS = ["step", "_step", "global_step", "trainer/global_step", "iter", "iteration", "update", "num_updates"]
_STEPS += ["steps", "Step"]
_NO_CURVES = {"epoch", "time", "timestamp", "wall_time", "created_at", "_timestamp", "_runtime", "total_flos"}


class BrokenLogError(ValueError):
    """What follows cannot be read; what stands before could."""


# --- records as numbers ----------------------------------------------------------------------------------------------


def numbers_of(record: Mapping[str, Any]) -> tuple[float | None, dict[str, float]]:
    """The step of a record, where it is told, and its numbers; those inside others are ``outer/inner``."""
    numbers = dict(_numbers(record, "", 0))
    step = next((numbers[name] for name in _STEPS if name in numbers), numbers.get("epoch"))
    return step, {k: v for k, v in numbers.items() if k not in _STEPS and k not in _NO_CURVES}


def _numbers(record: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, float]]:
    for name, value in record.items():
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from _numbers(value, f"{prefix}{name}/", depth + 1)
        elif (number := as_number(value)) is not None:
            yield f"{prefix}{name}", number


def as_number(value: Any) -> float | None:
    """A number, also where it is written as a text, as ``nan`` or ``-Infinity`` are."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and len(value) > _LONGEST_NUMBER:
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


# --- text ------------------------------------------------------------------------------------------------------------


def json_entries(texts: Iterable[str]) -> Iterator[Entry]:
    """The log of a ``trainer_state.json``, or a list of records; entry by entry, however long it is.

    Raises:
        BrokenLogError: It ends or breaks within the list, or has none.
    """
    decoder, pieces, line, place = json.JSONDecoder(), iter(texts), 1, 0
    text = next(pieces, "")
    begin = re.search(r'^\s*(?=\[)|"log_history"\s*:\s*(?=\[)', text)
    if begin is None:
        raise BrokenLogError("no list 'log_history' in it")
    at = begin.end() + 1
    while True:
        gap = re.compile(r"[\s,]*").match(text, at)
        at = at if gap is None else gap.end()
        if text[at : at + 1] == "]":
            return
        try:
            entry, after = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            more = next(pieces, "") if len(text) - at < _LARGEST_ENTRY else ""
            if not more:
                line += text.count("\n", 0, getattr(error, "pos", at))
                why = getattr(error, "msg", "it is nested too deep")
                raise BrokenLogError(f"is JSON that ends or breaks at line {line}: {why}") from None
            line += text.count("\n", 0, at)
            text, at = text[at:] + more, 0
            continue
        at, place = after, place + 1
        if isinstance(entry, dict):
            yield place, entry


def json_lines(lines: Lines) -> Iterator[Entry]:
    """A record of each line; or the line, where it is something else than JSON."""
    for number, line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            # Half a record is of a process that was killed while it wrote, or writes now.
            if line.strip() and not line.lstrip().startswith("{"):
                yield number, line
        else:
            if isinstance(entry, dict):
                yield number, entry


def csv_rows(lines: Lines, delimiter: str) -> Iterator[Entry]:
    """A record of each row; a header that comes again begins anew."""
    header: list[str] = []
    number = 0

    def texts() -> Iterator[str]:
        nonlocal number
        for number, line in lines:  # noqa: B007 - it is where the row stands that comes next
            yield line

    csv.field_size_limit(1 << 20)
    reader = csv.reader(texts(), delimiter=delimiter)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue
        if not any(cells):
            continue
        if not header or all(as_number(cell) is None for cell in cells if cell.strip()):
            header = [cell.strip().lstrip("\ufeff#").strip() for cell in cells]
        else:
            yield number, dict(zip(header, cells, strict=False))


def delimiter_of(head: str) -> str | None:
    """What separates the cells, where the first two lines are a table's header and a row."""
    lines = [line for line in head.splitlines()[:3] if line.strip()]
    for delimiter in ",\t;" if len(lines) > 1 else "":
        names, cells = (line.split(delimiter) for line in lines[:2])
        if len(names) < 2 or len(names) != len(cells):
            continue
        words = all(n.strip() and len(n) < 80 and as_number(n.strip().strip('"')) is None for n in names)
        numbers = sum(as_number(c.strip().strip('"')) is not None for c in cells)
        empty = sum(not c.strip() for c in cells)
        if words and numbers and (numbers + empty) * 2 >= len(cells):
            return delimiter
    return None


def is_metric_file(head: str) -> bool:
    """Whether lines are MLflow's: ``timestamp value step``."""
    lines = head.splitlines()[:5]
    cells = [line.split(" ") for line in (lines[:-1] or lines) if line]
    return bool(cells) and all(
        len(c) in (2, 3) and c[0].isdigit() and len(c[0]) >= 12 and as_number(c[1]) is not None for c in cells
    )


def metric_rows(lines: Lines, name: str) -> Iterator[Entry]:
    """The values of one of MLflow's metric files."""
    for number, line in lines:
        cells = line.split(" ")
        if len(cells) >= 2:
            yield number, {name: cells[1], "step": cells[2] if len(cells) > 2 else None}


# --- binary ----------------------------------------------------------------------------------------------------------


def database_rows(path: Path) -> Iterator[Entry]:
    """The metrics of the last run of MLflow's SQLite database.

    Raises:
        BrokenLogError: It is no such database.
    """
    try:
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) as connection:
            query = "SELECT key, CASE WHEN is_nan THEN 'nan' ELSE value END, step FROM metrics "
            query += "WHERE run_uuid = (SELECT run_uuid FROM metrics ORDER BY timestamp DESC LIMIT 1) "
            query += "ORDER BY step, timestamp"
            for place, (key, value, step) in enumerate(connection.execute(query), 1):
                yield place, {str(key): value, "step": step}
    except sqlite3.Error as error:
        raise BrokenLogError(f"is a database, but not MLflow's: {error}") from None


def is_events(start: bytes) -> bool:
    """Whether a file begins as TensorBoard's do: with a record that names its version."""
    return len(start) > 24 and struct.unpack("<Q", start[:8])[0] < 4096 and b"brain.Event:" in start[12:80]


def event_records(stream: BinaryIO) -> Iterator[Entry]:
    """Step and numbers of each of TensorBoard's events; a file that ends within one ends there.

    Raises:
        BrokenLogError: What follows is no record.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import event_pb2

    while len(head := stream.read(12)) == 12:
        (length,) = struct.unpack("<Q", head[:8])
        if length > _LARGEST:
            raise BrokenLogError("is damaged: a record of impossible length")
        record = stream.read(length)
        if len(record) < length:
            return
        stream.read(4)
        try:
            event = event_pb2.Event.FromString(record)
        except DecodeError as error:
            raise BrokenLogError(f"is damaged: {error}") from error
        yield None, {**{one.tag: _scalar(one) for one in event.summary.value}, "step": event.step}


def _scalar(value: Any) -> float | None:
    """The number of a summary's value: on its own, or a tensor of rank 0, as TensorFlow 2 writes scalars."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor") or value.tensor.tensor_shape.dim:
        return None
    from tensorboard.util.tensor_util import make_ndarray

    try:
        return float(make_ndarray(value.tensor).item())
    except (ValueError, TypeError):  # a text; or another number of values than one
        return None


def wandb_records(stream: BinaryIO) -> Iterator[Entry]:
    """What an offline run of W&B holds: its history, its output, and with which code it ended.

    Raises:
        BrokenLogError: A record is damaged.
    """
    number = 0
    for record in _wandb_frames(stream):
        fields = _fields(record)
        for history in fields.get(2, []):
            yield None, dict(_history(history))
        for output in (*fields.get(4, []), *fields.get(13, [])):
            for text in _text(output, 3).splitlines():
                number += 1
                yield number, text
        for ended in fields.get(18, []):
            code = next(iter(_fields(ended).get(1, [])), 0)
            yield None, {"event": "stopped", "why": f"exit code {code}" if code else "finished"}


def _fields(message: bytes) -> dict[int, list[Any]]:
    """Number → values of each field: integers, or the bytes of texts and messages."""
    from google.protobuf.empty_pb2 import Empty
    from google.protobuf.message import DecodeError
    from google.protobuf.unknown_fields import UnknownFieldSet

    found: dict[int, list[Any]] = {}
    try:
        for one in UnknownFieldSet(Empty.FromString(message)):
            found.setdefault(one.field_number, []).append(one.data)
    except DecodeError as error:
        raise BrokenLogError(f"is damaged: {error}") from error
    return found


def _text(message: bytes, number: int, between: str = "") -> str:
    texts = [one for one in _fields(message).get(number, []) if isinstance(one, bytes)]
    return between.join(one.decode("utf-8", "replace") for one in texts)


def _history(record: bytes) -> Iterator[tuple[str, Any]]:
    for item in _fields(record).get(1, []):
        try:
            yield _text(item, 1) or _text(item, 2, "/"), json.loads(_text(item, 16))
        except (ValueError, RecursionError):
            continue


def _wandb_frames(stream: BinaryIO) -> Iterator[bytes]:
    at = len(stream.read(7))
    parts: list[bytes] = []
    while True:
        if (left := _BLOCK - at % _BLOCK) < 7:
            at += len(stream.read(left))
            continue
        head = stream.read(7)
        if len(head) < 7:
            return
        length, kind = struct.unpack("<HB", head[4:])
        piece = stream.read(length)
        at += 7 + len(piece)
        if len(piece) < length:
            return
        if kind not in (1, 2, 3, 4):
            raise BrokenLogError(f"is damaged: a piece of kind {kind}")
        parts = [piece] if kind in (1, 2) else [*parts, piece]
        if kind in (1, 4):
            yield b"".join(parts)
            parts = []
