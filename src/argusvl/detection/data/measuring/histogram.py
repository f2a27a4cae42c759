"""Counts by range, for text bars, JSON and pages alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_NUM_BINS = 10

SIDE_EDGES_PX = (0, 14, 28, 56, 112, 224)
"""Sides of objects: less than a patch, a patch to a merged token, and doublings from there."""


@dataclass(frozen=True, slots=True)
class Range:
    """How many values lie in ``low`` to ``high``, both included; ``high`` is ``None`` for all from ``low`` on."""

    low: int
    high: int | None
    count: int

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low} and more"
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


def whole_ranges(values: Sequence[int]) -> tuple[Range, ...]:
    """Up to ten ranges of equal, whole width from the least to the greatest value."""
    if not len(values):
        return ()
    numbers = np.asarray(values)
    low, high = int(numbers.min()), int(numbers.max())
    width = -(-(high - low + 1) // _NUM_BINS)
    counts = np.bincount((numbers - low) // width)
    return tuple(Range(low + i * width, low + (i + 1) * width - 1, int(n)) for i, n in enumerate(counts))


def ranges_between(values: np.ndarray, edges: Sequence[int]) -> tuple[Range, ...]:
    """Counts between ascending edges, the last range open; a value on an edge belongs to the range that begins there.

    No value is below the first edge.
    """
    if not len(values):
        return ()
    counts = np.bincount(np.searchsorted(edges, values, side="right") - 1, minlength=len(edges)).tolist()
    upper = [high - 1 for _, high in pairwise(edges)]
    return tuple(Range(low, high, n) for low, high, n in zip(edges, [*upper, None], counts, strict=True))
