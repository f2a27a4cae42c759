"""Logs that are tables: the trainer's state, JSON lines, CSV, and MLflow's files and database."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from argus_doctor.logs.flat import as_number, flat_numbers

Row = tuple[int, float | None, dict[str, float]]
"""Its line, its step where it is told, its numbers."""

_STEPS = (
    "step",
    "_step",
    "global_step",
    "trainer/global_step",
    "iter",
    "iteration",
    "update",
    "num_updates",
    "steps",
    "Step",
)
_NO_CURVES = {"epoch", "time", "timestamp", "wall_time", "created_at", "_timestamp", "_runtime", "total_flos"}


def state_rows(state: Any) -> Iterator[Row]:
    """The log of a ``trainer_state.json``; or of a list of records.

    Raises:
        ValueError: It has no list of records.
    """
    history = state.get("log_history") if isinstance(state, dict) else state
    if not isinstance(history, list):
        raise ValueError("no list 'log_history' in it")
    for place, entry in enumerate(history, 1):
        if isinstance(entry, dict):
            yield _row(place, entry)


def json_rows(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[Row, dict[str, Any]] | tuple[int, str]]:
    """Numbers and content of each line; of a line that is no object, its number and text."""
    for number, line in lines:
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            yield number, line
            continue
        if isinstance(entry, dict):
            yield _row(number, entry), entry


def csv_rows(lines: Iterable[tuple[int, str]], delimiter: str) -> Iterator[Row]:
    """Numbers of each row; cells that are empty or texts are left out, and a header that comes again begins anew."""
    header: list[str] = []
    number = 0

    def texts() -> Iterator[str]:
        nonlocal number
        for at, line in lines:
            number = at
            yield line.replace("\0", "")

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
            continue
        yield _row(number, dict(zip(header, cells, strict=False)))


def is_metric_file(start: str) -> bool:
    """Whether lines are MLflow's: ``timestamp value step``."""
    lines = start.splitlines()[:5]
    whole = lines[:-1] if len(lines) > 1 else lines
    cells = [line.split(" ") for line in whole if line]
    return bool(cells) and all(
        len(c) in (2, 3) and c[0].isdigit() and len(c[0]) >= 12 and as_number(c[1]) is not None for c in cells
    )


def metric_rows(lines: Iterable[tuple[int, str]], name: str) -> Iterator[Row]:
    """The values of one of MLflow's metric files."""
    for number, line in lines:
        cells = line.split(" ")
        value = as_number(cells[1]) if len(cells) >= 2 else None
        if value is not None:
            yield number, as_number(cells[2]) if len(cells) > 2 else None, {name: value}


def database_rows(path: Path) -> Iterator[Row]:
    """The metrics of the last run of MLflow's SQLite database.

    Raises:
        sqlite3.Error: It is no such database.
    """
    with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) as connection:
        latest = connection.execute("SELECT run_uuid FROM metrics ORDER BY timestamp DESC LIMIT 1").fetchone()
        if latest is None:
            return
        query = "SELECT key, value, step, is_nan FROM metrics WHERE run_uuid = ? ORDER BY step, timestamp"
        for place, (key, value, step, is_nan) in enumerate(connection.execute(query, latest), 1):
            yield place, float(step), {str(key): float("nan") if is_nan else float(value)}


def _row(number: int, entry: dict[str, Any]) -> Row:
    numbers = flat_numbers(entry)
    step = next((numbers[name] for name in _STEPS if name in numbers), None)
    kept = {k: v for k, v in numbers.items() if k not in _STEPS and k not in _NO_CURVES}
    return number, step if step is not None else numbers.get("epoch"), kept
