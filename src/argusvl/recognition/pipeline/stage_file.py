"""What one stage has written: a line of JSON for each picture.

    1-caption.jsonl      {"path": …, "sha256": …, "status": "done", "result": {…}}

Until the stage is finished the name ends in ``.part``. A batch is on the disk before the next begins; so whatever cuts
a run off, the whole batches are there and the rest can be cut away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argusvl.core.appending import Appender, json_line, read_lines
from argusvl.core.files import cannot_write

_KEPT = "the batches written before are whole"
_REMEDY = "bring the file back from a copy, or run the pipeline into another folder"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage made of one picture: it has a result or a reason.

    Attributes:
        path: As in the list of pictures.
        sha256: Of the file's bytes; ``None`` where they could not be read.
        result: A JSON-ready mapping.
        reason: Why there is none.
    """

    path: str
    sha256: str | None
    result: dict[str, Any] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Lines of a stage's file."""

    done: int = 0
    quarantined: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.done + self.quarantined


class StageFile:
    """The output of one stage.

    Args:
        folder: Of the pipeline.
        number: Of the stage, from 1.
        name: Of the stage.
    """

    def __init__(self, folder: Path, number: int, name: str) -> None:
        self.lines = folder / f"{number}-{name}.jsonl"
        self._part = self.lines.with_name(f"{self.lines.name}.part")
        self._files: Appender | None = None

    @property
    def complete(self) -> bool:
        """Whether the stage is finished."""
        return self.lines.is_file()

    def counts(self) -> Counts:
        """Of a finished stage.

        Raises:
            DataError: The file is damaged.
        """
        done = quarantined = 0
        for outcome in self.read():
            done += outcome.reason is None
            quarantined += outcome.reason is not None
        return Counts(done, quarantined)

    def read(self) -> Iterator[Outcome]:
        """The outcomes of a finished stage, in the order of the pictures.

        Raises:
            DataError: The file is missing or damaged.
        """
        return (outcome for outcome, _ in read_lines(self.lines, _parse, remedy=_REMEDY))

    def resume(self, batch_size: int, total: int) -> Counts:
        """Opens the unfinished file for writing, cut back to whole batches; returns what it holds.

        Args:
            batch_size: Pictures of a batch.
            total: Pictures that the stage is to have in the end.

        Raises:
            DataError: The file is damaged.
            ArgusError: It cannot be written.
        """
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._part.touch()
            kept, end = self._whole_batches(batch_size, total)
            self._files = Appender(self._part)
            self._files.cut(end)
        except OSError as error:
            raise cannot_write(self.lines, error, kept=_KEPT) from error
        return kept

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Writes a batch; when this returns it is on the disk.

        Raises:
            ArgusError: It cannot be written; what was written before is whole.
        """
        assert self._files is not None
        lines = []
        for outcome in outcomes:
            values: dict[str, Any] = {"path": outcome.path, "sha256": outcome.sha256}
            if outcome.reason is not None:
                values |= {"status": "quarantined", "reason": outcome.reason}
            else:
                values |= {"status": "done", "result": outcome.result}
            lines.append(json_line(values))
        try:
            self._files.append(b"".join(lines))
        except OSError as error:
            raise cannot_write(self.lines, error, kept=_KEPT) from error

    def finish(self) -> None:
        """Gives the file its name.

        Raises:
            ArgusError: It cannot be written.
        """
        try:
            self.close()
            self._part.replace(self.lines)
        except OSError as error:
            raise cannot_write(self.lines, error, kept=_KEPT) from error

    def close(self) -> None:
        """Closes the file; it can be resumed."""
        if self._files is not None:
            self._files.close()
            self._files = None

    def _whole_batches(self, batch_size: int, total: int) -> tuple[Counts, int]:
        """Counts of the whole batches in the unfinished file, and where they end."""
        kept, end = Counts(), 0
        done = 0
        found = read_lines(self._part, _parse, remedy=_REMEDY)
        for number, (outcome, position) in enumerate(found, start=1):
            done += outcome.reason is None
            if number % batch_size == 0 or number == total:
                kept, end = Counts(done, number - done), position
        return kept, end


def _parse(line: bytes) -> Outcome:
    try:
        values = json.loads(line)
        outcome = Outcome(values["path"], values["sha256"], values.get("result"), values.get("reason"))
        if (values["status"] == "done") != (outcome.reason is None):
            raise ValueError("status and reason contradict each other")
        return outcome
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(error) from None
