"""Which samples a training has seen, in a memory that does not grow: a Bloom filter of their fingerprints.

Space/time trade-offs in hash coding with allowable errors (Bloom, 1970).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BITS = 1 << 21
_HASHES = np.array([[0x9E3779B97F4A7C15], [0xC2B2AE3D27D4EB4F], [0x165667B19E3779F9]], np.uint64)
_BIT = (1 << np.arange(8)).astype(np.uint8)
_MOST = 200_000
"""Samples; with more, too many that were never seen would be taken for seen."""


class SeenSamples:
    """Remembers samples by their fingerprints.

    Attributes:
        distinct: How many different ones there were.
        total: How many there were in all.
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
        byte, bit = self._places(prints)
        unseen = prints[~self._set(byte, bit)]
        if len(unseen):
            self.distinct += len(set(unseen.tolist()))  # of few, quicker than numpy's
            np.bitwise_or.at(self._bits, byte, bit)

    def share(self, prints: npt.NDArray[np.int64]) -> float:
        """Of a batch, the share that was seen before."""
        return float(self._set(*self._places(prints)).mean()) if len(prints) else 0.0

    def _set(self, byte: npt.NDArray[np.int64], bit: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = ((self._bits[byte] & bit) != 0).all(0)
        return found

    @staticmethod
    def _places(prints: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Of each print, by each hash, a byte and one bit of it: both ``[hashes, N]``."""
        place = (prints.view(np.uint64) * _HASHES) >> np.uint64(64 - 21)
        return (place >> np.uint64(3)).view(np.int64), _BIT[(place & np.uint64(7)).view(np.int64)]
