"""Writing a store so that it may be killed at any point, by a signal or by a power cut, and goes on from there.

The vectors of a batch are appended to the raw file of the current shard, then its lines to the ledger (see
``core/appending.py``): from here on it is done. When all batches of a shard are done, the Parquet file is written under
another name, brought to the disk and renamed, and the raw file is removed. What a kill has left between two steps is
cut off or finished when the store is opened again, and since a batch is always the same images in the same order, the
bytes in the end are the same.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from argusvl.core.appending import Appender, json_line
from argusvl.core.errors import ArgusError, DataError
from argusvl.core.files import cannot_write, read_bytes, write_bytes_atomically
from argusvl.core.strict_json import decode_json
from argusvl.core.wording import listed
from argusvl.recognition.extraction.fingerprint import require_same, require_same_fingerprint
from argusvl.recognition.extraction.shards import REMEDY, read_shard, shard_bytes, shard_file
from argusvl.recognition.extraction.store import HEADER, INPUTS, LEDGER, SHARDS, Header
from argusvl.recognition.ledger import Entry, read_ledger
from argusvl.recognition.output_folder import StoreBusyError, refuse_other_files

_FLOAT_BYTES = 4
_SYNC_SECONDS = 1.0
"""What a kill can cost."""
_NEW_INPUTS = ".inputs.jsonl.new"
"""``inputs.jsonl`` before ``store.json`` is there: a file of the user's own with that name is never replaced."""
_SHOWN_NAMES = 5
_CHANGED_REMEDY = (
    "bring the images back as they were and give the same command again, or extract into another folder with "
    "--out NEW --reuse {store}: what is in this store is then not computed again"
)


@dataclass(frozen=True, slots=True)
class EmbeddedBatch:
    """What an engine gives for a batch.

    Attributes:
        entries: One for each image, in the order of the list of images; rows count from the batch's first vector.
        vectors: ``[N, D]`` float32 on the CPU, of the entries that have a row.
        reused: How many of these come from an older store.
    """

    entries: Sequence[Entry]
    vectors: NDArray[np.float32]
    reused: int = 0


@dataclass
class _Done:
    """How far the store is: images with a line in the ledger, vectors, where these lines end, and the entries with a
    vector of the shard that is being made.
    """

    inputs: int = 0
    rows: int = 0
    ledger_bytes: int = 0
    entries: list[Entry] = field(default_factory=list)

    def add(self, batch: Sequence[Entry], ledger_bytes: int = 0) -> None:
        """Takes in the entries of a batch."""
        self.entries += [entry for entry in batch if entry.row is not None]
        self.rows += sum(entry.row is not None for entry in batch)
        self.inputs += len(batch)
        self.ledger_bytes = ledger_bytes


class StoreWriter:
    """Makes a store, or goes on with one. A context manager: only one process writes into a store at a time.

    Raises:
        DataError: The folder holds something else, or a store that was made in another way or of other images; it is
            damaged.
        StoreBusyError: Another process is writing into it.
        ArgusError: It cannot be written.
    """

    def __init__(self, folder: Path, header: Header, paths: Sequence[str]) -> None:
        self.folder = folder
        self.header = header
        self._paths = paths
        self._files: Appender | None = None
        self._done = _Done()
        self._safe = 0

    @property
    def position(self) -> int:
        """How many images of the list are done; a multiple of the batch size, or all."""
        return self._done.inputs

    @property
    def rows(self) -> int:
        """How many of them have a vector."""
        return self._done.rows

    def __enter__(self) -> Self:
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            refuse_other_files(self.folder, HEADER, _is_beginning)
            files = Appender(self.folder / LEDGER, sync_seconds=_SYNC_SECONDS)
        try:
            if not files.lock():
                raise StoreBusyError(self.folder)
            with self._writing():
                # What a kill has left under a temporary name.
                for pattern in (".*.part", f"{SHARDS}/.*.part"):
                    for file in self.folder.glob(pattern):
                        file.unlink(missing_ok=True)
                if not (self.folder / HEADER).exists():  # which makes the folder a store
                    (self.folder / SHARDS).mkdir(exist_ok=True)
                    write_bytes_atomically(self.folder / _NEW_INPUTS, inputs_bytes(self._paths))
                    write_bytes_atomically(self.folder / HEADER, self.header.text().encode("utf-8"))
                self._recover(files)
        except BaseException:
            files.close()
            raise
        self._files = files
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._files is not None
        try:
            if self._files.intact:  # after a write that was broken off, the next start must find its end
                with self._writing():
                    self._files.sync()
        finally:
            self._files.close()
            self._files = None

    def append(self, batch: EmbeddedBatch) -> None:
        """Writes the next batch; after a second, at the end of a shard and of the context it is on the disk.

        Raises:
            ArgusError: It cannot be written; what was written before is whole.
        """
        assert self._files is not None
        files, done, plan = self._files, self._done, self.header.plan
        end = min(done.inputs + plan.batch_size, len(self._paths))
        assert [e.path for e in batch.entries] == list(self._paths[done.inputs : end])
        entries = [e if e.row is None else replace(e, row=done.rows + e.row) for e in batch.entries]
        assert batch.vectors.shape == (sum(e.row is not None for e in entries), self.header.dimension)
        assert batch.vectors.dtype == np.float32
        lines = b"".join(entry.line() for entry in entries)
        with self._writing():
            if not files.has_data_file:
                files.open_data(self._raw_file(done.inputs // plan.shard_rows))
            files.append(lines, batch.vectors.astype("<f4", copy=False).tobytes())
            done.add(entries)
            ends_shard = self._ends_shard(end)
            if ends_shard:
                files.sync()
            if files.synced:
                self._safe = end
            if ends_shard:
                files.close_data()
                self._finish_shard((end - 1) // plan.shard_rows, done.entries)
                done.entries = []

    def _recover(self, files: Appender) -> None:
        """Cuts off what a kill has left half-done, and finishes a shard that only lacked its Parquet file."""
        if (self.folder / _NEW_INPUTS).exists():
            (self.folder / _NEW_INPUTS).replace(self.folder / INPUTS)
        stored = Header.read(self.folder)
        require_same_fingerprint(stored.fingerprint, self.header.fingerprint, self.folder)
        remedy = "go on with the values of the store, or extract into another folder with --out"
        require_same(asdict(stored.plan), asdict(self.header.plan), self.folder, remedy=remedy)
        require_same_names(self.folder / INPUTS, self._paths)
        done, begun, shards = _Done(), _Done(), 0  # at the end of a batch, and at that of a shard
        for batch, end in self._whole_batches():
            done.add(batch, end)
            if self._ends_shard(done.inputs):
                self._require_shard(shards, done.entries)
                done.entries = []
                begun, shards = replace(done, entries=[]), shards + 1
        raw = self._raw_file(shards)
        size = len(done.entries) * self.header.dimension * _FLOAT_BYTES
        for other in (self.folder / SHARDS).glob("*.rows"):
            if other != raw:
                other.unlink()
        if raw.is_file() and raw.stat().st_size >= size:
            files.open_data(raw, size)
        else:  # a disk that has lost what it had confirmed, or a copy without this file: the shard begins again
            done = begun
            raw.unlink(missing_ok=True)
        files.cut(done.ledger_bytes)
        self._done, self._safe = done, done.inputs

    def _whole_batches(self) -> Iterator[tuple[list[Entry], int]]:
        """The entries of each whole batch of the ledger, and where it ends there."""
        rows, total, batch = 0, len(self._paths), list[Entry]()
        for inputs, (entry, end) in enumerate(read_ledger(self.folder / LEDGER), start=1):
            expected = self._paths[inputs - 1] if inputs <= total else None
            if entry.path != expected or entry.row not in (None, rows):
                raise DataError(
                    f"the ledger is damaged: found {entry.path!r} with row {entry.row}, expected {expected!r} with "
                    f"row {rows}",
                    where=f"{self.folder / LEDGER}, line {inputs}",
                    remedy=REMEDY,
                )
            rows += entry.row is not None
            batch.append(entry)
            if inputs % self.header.plan.batch_size == 0 or inputs == total:
                yield batch, end
                batch = []

    def _require_shard(self, number: int, entries: Sequence[Entry]) -> None:
        """Makes the Parquet file of a shard whose images are all done, where it is not there."""
        file, header = shard_file(self.folder, number), self.header
        if not file.is_file():
            self._finish_shard(number, entries)
        elif len(read_shard(file, header.dimension, header.fingerprint_sha256).paths) != len(entries):
            raise DataError(
                f"the store is damaged: this file has not the {len(entries)} rows of the ledger",
                where=file,
                remedy=REMEDY,
            )

    def _ends_shard(self, inputs: int) -> bool:
        return inputs % self.header.plan.shard_rows == 0 or inputs == len(self._paths)

    def _raw_file(self, number: int) -> Path:
        return shard_file(self.folder, number).with_suffix(".rows")

    def _finish_shard(self, number: int, entries: Sequence[Entry]) -> None:
        """Makes the Parquet file from the raw one, which then goes."""
        raw = self._raw_file(number)
        data = read_bytes(raw) if raw.is_file() else b""
        size = len(entries) * self.header.dimension * _FLOAT_BYTES
        if len(data) < size:
            raise DataError(
                f"the store is damaged: the vectors of {shard_file(self.folder, number).name} are missing",
                where=raw,
                remedy=REMEDY,
            )
        vectors = np.frombuffer(data[:size], dtype="<f4").reshape(len(entries), self.header.dimension)
        content = shard_bytes(entries, vectors, self.header.fingerprint_sha256)
        write_bytes_atomically(shard_file(self.folder, number), content)
        raw.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Says of an error of the disk what it means for the store."""
        try:
            yield
        except (OSError, ArgusError) as error:
            cause = error.__cause__ if isinstance(error, ArgusError) else error  # of write_bytes_atomically
            if isinstance(error, DataError) or not isinstance(cause, OSError):
                raise
            kept = f"{self._safe} of {len(self._paths)} images are done and whole"
            raise cannot_write(self.folder, cause, kept=kept) from error


def _is_beginning(entry: Path) -> bool:
    """Whether an entry of a folder may be what a kill has left before the store was one."""
    if entry.name == LEDGER:
        return entry.stat().st_size == 0
    if entry.name == SHARDS:
        return entry.is_dir() and not any(entry.iterdir())
    return entry.name == _NEW_INPUTS or (entry.name.startswith(".") and entry.name.endswith(".part"))


def require_same_names(inputs: Path, paths: Sequence[str]) -> None:
    """Whether the images have the names that they had when the store was begun; ``inputs`` is its ``inputs.jsonl``.

    Raises:
        DataError: Images were added or removed, each of which is named, or the file is damaged.
    """
    try:
        data = read_bytes(inputs)
        if data == inputs_bytes(paths):
            return
        stored = [decode_json(line.decode("utf-8")) for line in data.split(b"\n")[:-1]]
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", where=inputs, remedy=REMEDY) from None
    before, now = set(stored), set(paths)
    raise changed_inputs(
        inputs.parent,
        added=[path for path in paths if path not in before],
        removed=[path for path in stored if path not in now],
    )


def changed_inputs(
    folder: Path, *, added: Sequence[str] = (), removed: Sequence[str] = (), changed: Sequence[str] = ()
) -> DataError:
    """The error that names what is not as it was."""
    parts = [
        f"\n  {len(paths)} {word}: {listed([repr(path) for path in paths], _SHOWN_NAMES)}"
        for word, paths in (("added", added), ("removed", removed), ("changed", changed))
        if paths
    ]
    return DataError(
        f"the images are not those with which the store was begun:{''.join(parts)}",
        where=folder,
        remedy=_CHANGED_REMEDY.format(store=folder),
    )


def inputs_bytes(paths: Sequence[str]) -> bytes:
    """Content of ``inputs.jsonl``."""
    return b"".join(json_line(path) for path in paths)


def inputs_sha256(paths: Sequence[str]) -> str:
    """SHA-256 of that."""
    return hashlib.sha256(inputs_bytes(paths)).hexdigest()
