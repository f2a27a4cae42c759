"""The paired bootstrap: whether two figures on the same pictures differ by more than chance.

Pictures are drawn anew with replacement, the same ones for both, and the figures are computed of each draw: the spread
of the difference says how much of it is due to which pictures there happen to be (Efron and Tibshirani, An Introduction
to the Bootstrap, 1993). It knows nothing of how two trainings of the same configuration differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
SEED = 0
_COVERED = 95.0  # percent


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and the interval that holds 95 % of its resamples."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the second figure is above the first."""

    first: Interval
    second: Interval
    difference: Interval

    @property
    def by_chance(self) -> bool:
        """Whether the interval of the difference holds 0: other pictures might say the opposite."""
        return not (self.difference.low > 0 or self.difference.high < 0)


def draw_weights(count: int, resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.float64]:
    """How often each picture stands in each draw.

    Returns:
        ``[1 + resamples, count]``; the first row is all ones: the pictures as they are.
    """
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.concatenate([np.ones((1, count)), draws.astype(np.float64)])


def interval(samples: NDArray[np.float64]) -> Interval:
    """The interval of a figure; ``nan`` where it cannot be had.

    Args:
        samples: ``[1 + resamples]``: of the pictures as they are, then of each draw; ``nan`` where a draw has none.
    """
    drawn = samples[1:][np.isfinite(samples[1:])]
    edge = (100 - _COVERED) / 2
    low, high = np.percentile(drawn, [edge, 100 - edge]).tolist() if len(drawn) else (np.nan, np.nan)
    return Interval(float(samples[0]), low, high)


def difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    """Compares two figures of the same draws, each ``[1 + resamples]`` as for :func:`interval`."""
    return Difference(interval(first), interval(second), interval(second - first))
