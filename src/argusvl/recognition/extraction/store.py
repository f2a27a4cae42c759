"""A store of vectors: what is in the folder, and reading it.

    store.json                     what made the vectors, and how the store is divided
    inputs.jsonl                   the images in their order, a JSON string on each line
    ledger.jsonl                   what became of each image so far (``ledger.py``)
    shards/part-000000.parquet     path, sha256, embedding
    shards/part-000007.rows        vectors of the shard that is being made, raw float32; gone when it is complete

No file holds a time or a folder's name: the same images give the same bytes wherever and whenever.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from argusvl.core.errors import DataError
from argusvl.recognition.extraction.fingerprint import Plan, StoreFingerprint, require_same_fingerprint
from argusvl.recognition.extraction.shards import REMEDY, Rows, count_rows, read_shard, shard_file
from argusvl.recognition.ledger import Entry, read_ledger
from argusvl.recognition.output_folder import read_header

FORMAT = 1
HEADER, INPUTS, LEDGER, SHARDS = "store.json", "inputs.jsonl", "ledger.jsonl", "shards"


@dataclass(frozen=True)
class Header:
    """What ``store.json`` says.

    Attributes:
        fingerprint: What made the vectors.
        plan: How the store is made.
        dimension: Of the vectors.
        inputs: How many images there are.
        inputs_sha256: Of ``inputs.jsonl``.
    """

    fingerprint: StoreFingerprint
    plan: Plan
    dimension: int
    inputs: int
    inputs_sha256: str

    @property
    def shards(self) -> int:
        """How many Parquet files the complete store has."""
        return -(-self.inputs // self.plan.shard_rows)

    @property
    def fingerprint_sha256(self) -> str:
        """Digest of the fingerprint, which each shard carries."""
        text = json.dumps(asdict(self.fingerprint), sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    def text(self) -> str:
        """The file's content."""
        values = asdict(self) | {"format": FORMAT}
        return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The header of a store.

        Raises:
            DataError: The folder is no store, its header is damaged, or it is of another version of the format.
        """
        make = "argus recognize extract IMAGES --out STORE --backbone NAME"
        return read_header(folder / HEADER, cls, FORMAT, what="a store of vectors", make=make, remedy=REMEDY)


class EmbeddingStore:
    """A complete store, for reading; open one with :meth:`open`.

    Attributes:
        folder: Where it is.
        header: What made it.
        embedded: How many images have a vector.
        quarantined: Entries of those that have none, with their reasons.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder = folder
        self.header = header
        self.embedded = 0
        self.quarantined: list[Entry] = []
        for entry, _ in read_ledger(folder / LEDGER):
            if entry.row is None:
                self.quarantined.append(entry)
            elif entry.row != self.embedded:
                raise DataError(
                    f"the ledger is damaged: {entry.path} has the row {entry.row}, not {self.embedded}",
                    where=folder / LEDGER,
                    remedy=REMEDY,
                )
            else:
                self.embedded += 1

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Opens a store.

        Raises:
            DataError: The folder is no store, its extraction is not finished, or it is damaged.
        """
        place = Path(folder)
        store = cls(place, Header.read(place))
        done = store.embedded + len(store.quarantined)
        if done != store.header.inputs or not all(
            shard_file(place, number).is_file() for number in range(store.header.shards)
        ):
            raise DataError(
                f"the extraction is not finished: {done} of {store.header.inputs} images are done",
                where=place,
                remedy="give the same argus recognize extract command again: it goes on",
            )
        return store

    @property
    def fingerprint(self) -> StoreFingerprint:
        """What made the vectors."""
        return self.header.fingerprint

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        return self.header.dimension

    def __len__(self) -> int:
        return self.embedded

    def iter_batches(self) -> Iterator[Rows]:
        """The rows in order, a shard at a time.

        Raises:
            DataError: A shard is damaged, or of another store.
        """
        rows = 0
        for number in range(self.header.shards):
            file = shard_file(self.folder, number)
            shard = read_shard(file, self.dimension, self.header.fingerprint_sha256)
            rows += len(shard.paths)
            if rows <= self.embedded:
                yield shard
        if rows != self.embedded:
            raise DataError(
                f"the shards have {rows} rows, the ledger {self.embedded}",
                where=self.folder,
                remedy="bring the files back from a copy, or extract into another folder",
            )

    def paths(self) -> list[str]:
        """Names of the embedded images, by row."""
        return self._names[0]

    def digests(self) -> list[str]:
        """SHA-256 of their files, by row."""
        return self._names[1]

    def vectors(self) -> tuple[list[str], NDArray[np.float32]]:
        """Names by row, and all vectors ``[N, D]`` in memory, not normalised.

        Raises:
            DataError: A shard is damaged, or of another store.
        """
        found = np.empty((self.embedded, self.dimension), dtype=np.float32)
        names: list[str] = []
        for rows in self.iter_batches():
            found[len(names) : len(names) + len(rows.paths)] = rows.vectors
            names += rows.paths
        return names, found

    def lines(self, answer: Callable[[Rows], Iterable[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        """A line for each picture in their order: what ``answer`` gives for rows, or why there is no vector."""
        answers = (line for rows in self.iter_batches() for line in answer(rows))
        for entry, _ in read_ledger(self.folder / LEDGER):
            yield {"image": entry.path, "error": entry.reason} if entry.row is None else next(answers)

    @cached_property
    def _names(self) -> tuple[list[str], list[str]]:
        entries = [entry for entry, _ in read_ledger(self.folder / LEDGER) if entry.row is not None]
        return [entry.path for entry in entries], [entry.sha256 or "" for entry in entries]


def how_far(folder: Path) -> tuple[int, int]:
    """How many images of a store are done, finished or not, and how many there are.

    Raises:
        DataError: The folder is no store, or is damaged.
    """
    return sum(1 for _ in read_ledger(folder / LEDGER)), Header.read(folder).inputs


_SHARDS_IN_MEMORY = 4


class KnownVectors:
    """The vectors of a store, finished or not; in memory are its hashes (some 150 bytes each) and a few shards.

    Raises:
        DataError: The folder is no store, is damaged, or its vectors were made in another way.
    """

    def __init__(self, folder: Path, fingerprint: StoreFingerprint) -> None:
        header = Header.read(folder)
        require_same_fingerprint(header.fingerprint, fingerprint, folder)
        files = list(takewhile(Path.is_file, (shard_file(folder, n) for n in range(header.shards))))
        self._starts = list(accumulate((count_rows(file) for file in files), initial=0))
        self._rows = {
            bytes.fromhex(entry.sha256): entry.row
            for entry, _ in read_ledger(folder / LEDGER)
            if entry.sha256 is not None and entry.row is not None and entry.row < self._starts[-1]
        }
        self._lock = threading.Lock()
        self._vectors = lru_cache(_SHARDS_IN_MEMORY)(
            lambda number: read_shard(files[number], header.dimension, header.fingerprint_sha256).vectors
        )

    def find(self, sha256: str) -> NDArray[np.float32] | None:
        """The vector ``[D]`` of the image whose file has this hash; may be called from several threads.

        Raises:
            DataError: Its shard is damaged.
        """
        row = self._rows.get(bytes.fromhex(sha256))
        if row is None:
            return None
        shard = bisect.bisect_right(self._starts, row) - 1
        with self._lock:
            vectors: NDArray[np.float32] = self._vectors(shard)
        return vectors[row - self._starts[shard]].copy()
