"""What one stage has written: a line of JSON for each picture, and beside it the vectors of a stage that gives some.

    1-caption.jsonl      {"path": …, "sha256": …, "status": "done", "result": {…}}
    3-embed.jsonl        {"path": …, "sha256": …, "status": "done", "row": 0}
    3-embed.npy          float32 [rows, D]

Until the stage is finished both names end in ``.part``. A batch is on the disk before the next begins; so whatever cuts
a run off, the whole batches are there and the rest can be cut away.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from argusvl.core.appending import Appender, json_line, read_lines, write_all
from argusvl.core.errors import DataError
from argusvl.core.files import cannot_write

Gives = Literal["records", "vectors"]

_FLOAT = np.dtype("<f4")
_KEPT = "the batches written before are whole"
_REMEDY = "bring the file back from a copy, or run the pipeline into another folder"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage made of one picture: it has a result or a reason.

    Attributes:
        path: As in the list of pictures.
        sha256: Of the file's bytes; ``None`` where they could not be read.
        result: A JSON-ready mapping, or a float32 vector ``[D]``.
        reason: Why there is none.
    """

    path: str
    sha256: str | None
    result: dict[str, Any] | NDArray[np.float32] | None = None
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
        gives: Whether its results are records or vectors.
    """

    def __init__(self, folder: Path, number: int, name: str, gives: Gives) -> None:
        self.lines = folder / f"{number}-{name}.jsonl"
        self.vectors = folder / f"{number}-{name}.npy"
        self._gives = gives
        self._files: Appender | None = None
        self._dimension: int | None = None
        self._counts = Counts()

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
        """The outcomes of a finished stage, in the order of the pictures; vectors are copies.

        Raises:
            DataError: A file is missing or damaged.
        """
        rows = self._memory_map() if self._gives == "vectors" else None
        for (outcome, row), _ in read_lines(self.lines, _parse, remedy=_REMEDY):
            if rows is not None and row is not None:
                if row >= len(rows):
                    raise DataError(f"row {row} is missing", where=self.vectors, remedy=_REMEDY)
                outcome = Outcome(outcome.path, outcome.sha256, np.array(rows[row]))
            yield outcome

    def resume(self, batch_size: int, total: int) -> Counts:
        """Opens the unfinished files for writing, cut back to whole batches; returns what they hold.

        Args:
            batch_size: Pictures of a batch.
            total: Pictures that the stage is to have in the end.

        Raises:
            DataError: A file is damaged.
            ArgusError: They cannot be written.
        """
        part, rows_part = _part(self.lines), _part(self.vectors)
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            if self.vectors.is_file() and not rows_part.is_file():
                self.vectors.replace(rows_part)  # a kill between the two renames of finish()
            part.touch()
            kept, end = self._whole_batches(batch_size, total)
            self._files = Appender(part)
            self._files.cut(end)
            if self._gives == "vectors":
                self._resume_rows(rows_part, kept)
        except OSError as error:
            raise cannot_write(self.lines, error, kept=_KEPT) from error
        self._counts = kept
        return kept

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Writes a batch; when this returns it is on the disk.

        Raises:
            ArgusError: It cannot be written; what was written before is whole.
        """
        assert self._files is not None
        row, lines, vectors = self._counts.done, [], []
        for outcome in outcomes:
            values: dict[str, Any] = {"path": outcome.path, "sha256": outcome.sha256}
            if outcome.reason is not None:
                values |= {"status": "quarantined", "reason": outcome.reason}
            elif self._gives == "vectors":
                assert isinstance(outcome.result, np.ndarray)
                values |= {"status": "done", "row": row}
                vectors.append(outcome.result)
            else:
                values |= {"status": "done", "result": outcome.result}
            row += outcome.reason is None
            lines.append(json_line(values))
        try:
            self._files.append(b"".join(lines), self._row_bytes(np.stack(vectors)) if vectors else b"")
        except OSError as error:
            raise cannot_write(self.lines, error, kept=_KEPT) from error
        added = row - self._counts.done
        self._counts = Counts(row, self._counts.quarantined + len(outcomes) - added)

    def finish(self) -> None:
        """Gives the files their names.

        Raises:
            ArgusError: They cannot be written.
        """
        try:
            self.close()
            if self._gives == "vectors":
                rows_part = _part(self.vectors)
                rows_part.touch()  # where no picture has a vector
                with rows_part.open("r+b", buffering=0) as stream:
                    write_all(stream, _npy_header(self._counts.done, self._dimension or 0))
                    os.fsync(stream.fileno())
                rows_part.replace(self.vectors)
            _part(self.lines).replace(self.lines)
        except OSError as error:
            raise cannot_write(self.lines, error, kept=_KEPT) from error

    def close(self) -> None:
        """Closes the files; they can be resumed."""
        if self._files is not None:
            self._files.close()
            self._files = None

    def _whole_batches(self, batch_size: int, total: int) -> tuple[Counts, int]:
        """Counts of the whole batches in the unfinished file, and where they end."""
        kept, end = Counts(), 0
        done = quarantined = 0
        part = _part(self.lines)
        found = read_lines(part, _parse, remedy=_REMEDY)
        for number, ((outcome, row), position) in enumerate(found, start=1):
            if row not in (None, done):
                raise DataError(
                    f"expected row {done}, found {row}", where=f"{part}, line {number}", remedy=_REMEDY
                )
            done += outcome.reason is None
            quarantined += outcome.reason is not None
            if number % batch_size == 0 or number == total:
                kept, end = Counts(done, quarantined), position
        return kept, end

    def _resume_rows(self, rows_part: Path, kept: Counts) -> None:
        assert self._files is not None
        if kept.done == 0:
            rows_part.unlink(missing_ok=True)
            return
        if not rows_part.is_file():
            raise DataError("the vectors of an interrupted run are missing", where=rows_part, remedy=_REMEDY)
        try:
            with rows_part.open("rb") as stream:
                self._dimension = _read_npy_header(stream)[1]
        except ValueError as error:
            raise DataError(f"damaged: {error}", where=rows_part, remedy=_REMEDY) from error
        end = len(_npy_header(0, self._dimension)) + kept.done * self._dimension * _FLOAT.itemsize
        if rows_part.stat().st_size < end:
            raise DataError(f"holds fewer than {kept.done} vectors", where=rows_part, remedy=_REMEDY)
        self._files.open_data(rows_part, end)

    def _row_bytes(self, vectors: NDArray[np.float32]) -> bytes:
        """Vectors as they are appended, the first after a header with room for their number."""
        assert self._files is not None
        header = b""
        if not self._files.has_data_file:
            self._dimension = vectors.shape[1]
            self._files.open_data(_part(self.vectors), 0)
            header = _npy_header(0, self._dimension)
        if vectors.shape[1] != self._dimension:
            raise DataError(
                f"vectors of {vectors.shape[1]} numbers after others of {self._dimension}",
                where=self.vectors,
                remedy="give vectors of one length in a stage",
            )
        return header + vectors.astype(_FLOAT, copy=False).tobytes()

    def _memory_map(self) -> NDArray[np.float32]:
        try:
            with self.vectors.open("rb") as stream:
                shape = _read_npy_header(stream)
            if 0 in shape:
                return np.empty(shape, dtype=np.float32)
            rows: NDArray[np.float32] = np.load(self.vectors, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot be read: {error}", where=self.vectors, remedy=_REMEDY) from error
        return rows


def _npy_header(rows: int, dimension: int) -> bytes:
    """NumPy's own header, which leaves room for the number of rows to grow: it has one length for all of them."""
    stream = io.BytesIO()
    description = {"descr": _FLOAT.str, "fortran_order": False, "shape": (rows, dimension)}
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue()


def _read_npy_header(stream: BinaryIO) -> tuple[int, int]:
    """The shape; raises ``ValueError`` where it is not one of ours."""
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("another version of the format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    if len(shape) != 2 or fortran_order or dtype != _FLOAT:
        raise ValueError(f"expected float32 [rows, D], found {dtype} {shape}")
    return shape[0], shape[1]


def _part(file: Path) -> Path:
    return file.with_name(f"{file.name}.part")


def _parse(line: bytes) -> tuple[Outcome, int | None]:
    try:
        values = json.loads(line)
        outcome = Outcome(values["path"], values["sha256"], values.get("result"), values.get("reason"))
        if (values["status"] == "done") != (outcome.reason is None):
            raise ValueError("status and reason contradict each other")
        return outcome, values.get("row")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(error) from None
