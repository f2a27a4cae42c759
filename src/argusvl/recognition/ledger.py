"""Ledgers: a line of JSON for each picture, in the order of the list, only ever appended to.

Extraction writes one beside its vectors, each stage of a pipeline one with its results. What a killed run has left
half-written can only be the end of the file, and is cut off when the work goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from argusvl.core.appending import json_line, read_lines
from argusvl.core.errors import ImageError
from argusvl.core.images import read_image_file
from argusvl.core.strict_json import decode_json

REMEDY = "bring it back from a copy, or begin again in another folder"


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one picture: it has a row, a result, or a reason why it has neither.

    Attributes:
        path: As in the list of pictures.
        sha256: Of the file's bytes; ``None`` where they could not be read.
        row: Of its vector, counted through the whole store.
        reason: Why there is nothing.
        note: What is odd about it though it has a vector: how it was converted, a misleading suffix.
        result: What a stage made of it, a JSON-ready mapping.
    """

    path: str
    sha256: str | None
    row: int | None = None
    reason: str | None = None
    note: str | None = None
    result: dict[str, Any] | None = None

    @property
    def status(self) -> str:
        """What the line says of it in a word."""
        return "quarantined" if self.reason is not None else "done" if self.row is None else "embedded"

    def line(self) -> bytes:
        """As it stands in the file."""
        values: dict[str, Any] = {"path": self.path, "sha256": self.sha256, "status": self.status}
        told = ("row", "reason", "note", "result")
        return json_line(values | {name: v for name in told if (v := getattr(self, name)) is not None})

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Inverse of :meth:`line`.

        Raises:
            ValueError: It is no entry.
        """
        values = decode_json(line.decode("utf-8"))
        if not isinstance(values, dict):
            raise ValueError("not an object")
        try:
            status = values.pop("status")
            entry = cls(**values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{error} is missing" if isinstance(error, KeyError) else str(error)) from None
        has = [value is not None for value in (entry.row, entry.reason, entry.result)]
        if status != entry.status or sum(has) != 1:
            raise ValueError("status, row, result and reason contradict each other")
        return entry


def read_entry(root: Path, path: str) -> tuple[Entry, bytes]:
    """A picture's bytes, and its entry so far: with their hash, or the reason why they cannot be read. For threads."""
    try:
        data = read_image_file(root / path)
    except ImageError as error:
        return Entry(path, None, reason=error.what), b""
    return Entry(path, hashlib.sha256(data).hexdigest()), data


def read_ledger(file: Path) -> Iterator[tuple[Entry, int]]:
    """The whole lines of a ledger, each with the place in the file at which it ends, in bytes.

    Raises:
        DataError: The file is missing or a whole line is damaged.
    """
    return read_lines(file, Entry.parse, remedy=REMEDY)
