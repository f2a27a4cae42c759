"""The ledger of a store: one line of JSON for each image, in the order of the list, only ever appended to.

What a killed run has left half-written can only be the end of the file, and is cut off when the extraction goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from argusvl.core.appending import json_line, read_lines

Status = Literal["embedded", "quarantined"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one image: it has either a row or a reason.

    Attributes:
        path: As in the list of images.
        sha256: Of the file's bytes; ``None`` where they could not be read.
        row: Of its vector, counted through the whole store.
        reason: Why it has none.
        note: What is odd about it though it has one: how it was converted, a misleading suffix.
    """

    path: str
    sha256: str | None
    row: int | None
    reason: str | None = None
    note: str | None = None

    @property
    def status(self) -> Status:
        """Whether it has a vector."""
        return "quarantined" if self.row is None else "embedded"

    def line(self) -> bytes:
        """As it stands in the file."""
        values: dict[str, Any] = {"path": self.path, "sha256": self.sha256, "status": self.status}
        values |= {"reason": self.reason} if self.row is None else {"row": self.row}
        if self.note is not None:
            values["note"] = self.note
        return json_line(values)

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Inverse of :meth:`line`.

        Raises:
            ValueError: It is no entry.
        """
        values = json.loads(line)
        if not isinstance(values, dict):
            raise ValueError("not an object")
        try:
            told = (values.get(name) for name in ("row", "reason", "note"))
            entry = cls(values["path"], values["sha256"], *told)
            status = values["status"]
        except KeyError as error:
            raise ValueError(f"{error} is missing") from None
        if status != entry.status or (entry.row is None) == (entry.reason is None):
            raise ValueError("status, row and reason contradict each other")
        return entry


def read_ledger(file: Path) -> Iterator[tuple[Entry, int]]:
    """The whole lines of a ledger, each with the place in the file at which it ends, in bytes.

    Raises:
        DataError: The file is missing or a whole line is damaged.
    """
    return read_lines(
        file, Entry.parse, remedy="bring the file back from a copy, or extract into another folder"
    )
