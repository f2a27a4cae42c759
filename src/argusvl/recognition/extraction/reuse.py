"""Vectors that an older store has already, found by the hash of the image's file."""

from __future__ import annotations

import bisect
import threading
from functools import lru_cache
from itertools import accumulate, takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argusvl.recognition.extraction.fingerprint import StoreFingerprint, require_same_fingerprint
from argusvl.recognition.extraction.shards import count_rows, read_shard, shard_file
from argusvl.recognition.extraction.store import LEDGER, Header
from argusvl.recognition.ledger import read_ledger

_SHARDS_IN_MEMORY = 4


class KnownVectors:
    """The vectors of a store, finished or not; in memory are its hashes (some 150 bytes each) and a few shards.

    Args:
        folder: The older store.
        fingerprint: What makes the vectors of the new one.

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

    def __len__(self) -> int:
        return len(self._rows)

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
