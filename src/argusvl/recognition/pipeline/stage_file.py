"""What one stage has written: a ledger with its results.

    1-caption.jsonl      {"path": …, "sha256": …, "status": "done", "result": {…}}

Until the stage is finished the name ends in ``.part``. A batch is on the disk before the next begins; so whatever cuts
a run off, the whole batches are there and the rest can be cut away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from argusvl.core.appending import Appender
from argusvl.core.files import cannot_write
from argusvl.recognition.ledger import Entry, read_ledger


class StageFile:
    """The output of one stage; what cannot be written is an ``ArgusError``, a damaged line a ``DataError``."""

    def __init__(self, folder: Path, number: int, name: str) -> None:
        self.name = name
        self.lines = folder / f"{number}-{name}.jsonl"
        self._part = self.lines.with_name(f"{self.lines.name}.part")
        self._files: Appender | None = None

    @property
    def complete(self) -> bool:
        """Whether the stage is finished."""
        return self.lines.is_file()

    def read(self) -> Iterator[Entry]:
        """The entries of a finished stage, in the order of the pictures."""
        return (entry for entry, _ in read_ledger(self.lines))

    def resume(self, batch_size: int, total: int) -> int:
        """Opens the unfinished file for writing, cut back to whole batches; returns how many entries it holds."""
        kept = end = 0
        with self._writing():
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._part.touch()
            for number, (_, position) in enumerate(read_ledger(self._part), start=1):
                if number % batch_size == 0 or number == total:
                    kept, end = number, position
            self._files = Appender(self._part)
            self._files.cut(end)
        return kept

    def append(self, entries: Sequence[Entry]) -> None:
        """Writes a batch; when this returns it is on the disk."""
        assert self._files is not None
        with self._writing():
            self._files.append(b"".join(entry.line() for entry in entries))

    def finish(self) -> None:
        """Gives the file its name."""
        with self._writing():
            self.close()
            self._part.replace(self.lines)

    def close(self) -> None:
        """Closes the file; it can be resumed."""
        if self._files is not None:
            self._files.close()
            self._files = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self.lines, error, kept="the batches written before are whole") from error
