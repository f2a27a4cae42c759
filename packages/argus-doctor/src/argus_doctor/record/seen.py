"""Which samples a training has seen, in a memory that does not grow: a Bloom filter of their fingerprints.

Space/time trade-offs in hash coding with allowable errors (Bloom, 1970).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BITS = 1 << 21
_HASHES = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
_MOST = 200_000
"""Samples; with more, too many that were never seen would be taken for seen."""


class SeenSamples:
    """Remembers samples by their fingerprints.

    Attributes:
        distinct: How many different ones there were.
        total: How many there were in all.
        full: Whether no more are taken in.
    """

    def __init__(self) -> None:
        self._bits = np.zeros(_BITS // 8, np.uint8)
        self.distinct = self.total = 0

    @property
    def full(self) -> bool:
        """Whether there are so many that an answer would mean nothing."""
        return self.distinct >= _MOST

    def add(self, prints: npt.NDArray[np.int64]) -> None:
        """Takes a batch in."""
        self.total += len(prints)
        if self.full:
            return
        self.distinct += int((~self._has(np.unique(prints))).sum())
        for place in self._places(prints):
            np.bitwise_or.at(self._bits, place >> 3, (1 << (place & 7)).astype(np.uint8))

    def share(self, prints: npt.NDArray[np.int64]) -> float:
        """Of a batch, the share that was seen before."""
        return float(self._has(prints).mean()) if len(prints) else 0.0

    def _has(self, prints: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        found = np.ones(len(prints), bool)
        for place in self._places(prints):
            found &= (self._bits[place >> 3] >> (place & 7).astype(np.uint8)) & 1 == 1
        return found

    @staticmethod
    def _places(prints: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        numbers = prints.view(np.uint64)
        return [((numbers * np.uint64(one)) >> np.uint64(64 - 21)).astype(np.int64) for one in _HASHES]
