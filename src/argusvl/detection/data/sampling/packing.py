"""Which samples share a packed row: rows that are equally full of tokens and of patches, planned for a whole epoch."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from argusvl.core.errors import ConfigError

_SLACK = 1.05
"""Rows that an epoch has beyond those that it needs: in other epochs other samples have teachers."""
_LARGE = 10_000
"""Of so many samples one epoch tells what all need."""
_EPOCHS_TRIED = 8
_ROW_DRAWS = 2
"""Sets these draws apart from those of a sample."""
_ROWS_TOGETHER = 64
"""Rows are filled from so many rows' worth of samples that follow each other in the epoch's random order: enough for
equal rows, few enough for a row to be a random choice."""
_JITTER = 1.7


@dataclass(frozen=True, slots=True)
class PackingSettings:
    """How full a packed row is.

    Attributes:
        tokens: Most tokens of it, before augmentation, and no fewer than a sample may have; ``None``: as many as
            ``samples`` samples have on average.
        samples: That number.
    """

    tokens: int | None
    samples: int


class RowPlan:
    """The rows of every epoch: as many in each, of other samples.

    ``sizes`` gives, for an epoch, ``[N, 2]``: tokens and patches of each of its N samples.
    """

    def __init__(
        self,
        sizes: Callable[[int], NDArray[np.int64]],
        samples: int,
        settings: PackingSettings,
        seed: int,
    ) -> None:
        self._sizes, self._samples, self._settings, self._seed = sizes, samples, settings, seed

    def num_rows(self, ranks: int) -> int:
        """Of an epoch: a multiple of ``ranks``.

        Raises:
            ConfigError: There are fewer samples than ranks.
        """
        if self._samples < ranks:
            raise ConfigError(
                f"{self._samples} samples cannot be shared by {ranks} processes",
                where="train",
                remedy="train with fewer processes",
            )
        return min(-(-self._number // ranks) * ranks, self._samples // ranks * ranks)

    def rows(self, epoch: int, ranks: int) -> Iterator[list[int]]:
        """The samples of each row of an epoch."""
        rng = np.random.default_rng([self._seed, epoch, _ROW_DRAWS])
        return fill_rows(self._sizes(epoch), self.num_rows(ranks), rng, self._settings.tokens)

    @cached_property
    def _number(self) -> int:
        """Rows of an epoch of one rank."""
        most = self._settings.tokens
        if most is None:
            return -(-self._samples // self._settings.samples)
        tried = [self._sizes(k)[:, 0] for k in range(1 if self._samples > _LARGE else _EPOCHS_TRIED)]
        return math.ceil(_SLACK * max(rows_needed(tokens, most) for tokens in tried))


def rows_needed(tokens: NDArray[np.int64], most: int) -> int:
    """How many rows of at most ``most`` tokens hold samples of these lengths (worst fit, the longest first)."""
    room: list[int] = []  # of each row, negative: the first of the heap has the most
    for length in sorted(tokens.tolist(), reverse=True):
        if room and -room[0] >= length:
            heapq.heapreplace(room, room[0] + length)
        else:
            heapq.heappush(room, length - most)
    return len(room)


def fill_rows(
    sizes: NDArray[np.int64], rows: int, rng: np.random.Generator, most: int | None = None
) -> Iterator[list[int]]:
    """Shares samples out to rows of nearly equal size, some rows at a time.

    Args:
        sizes: ``[N, 2]``: tokens and patches of each sample; both are balanced.
        rows: How many; at most N.
        rng: Chooses which samples meet, and the order of rows.
        most: Tokens that a row should not exceed; it does where the samples leave no other choice.

    Yields:
        The samples of each row, each sample once and no row empty.
    """
    shares = sizes / np.maximum(sizes.sum(0), 1)  # of the epoch's tokens and patches
    limit = np.inf if most is None else most / max(int(sizes[:, 0].sum()), 1)
    order = rng.permutation(len(sizes))
    groups = math.ceil(rows / _ROWS_TOGETHER)
    bounds = [round(rows * k / groups) for k in range(groups + 1)]
    # Each group of rows gets as large a part of the samples as it is of the rows, and at least one for each row.
    reached = shares[order].mean(1).cumsum()
    begin = 0
    for first, last in itertools.pairwise(bounds):
        end = len(order) if last == rows else int(np.searchsorted(reached, last / rows))
        end = max(begin + last - first, min(end, len(order) - (rows - last)))
        yield from _fill(order[begin:end], shares, last - first, rng, limit)
        begin = end


def _fill(
    samples: NDArray[np.int64], shares: NDArray[np.float64], rows: int, rng: np.random.Generator, limit: float
) -> list[list[int]]:
    """The largest first, each into the row that has least of what the sample has most.

    That is worst fit for vectors by their dot product (Panigrahy et al., 2011). The order is not exactly that of sizes,
    or the same samples would meet in every epoch.
    """
    order = np.argsort(-shares[samples].sum(1) * rng.uniform(1.0, _JITTER, len(samples)), kind="stable")
    load = np.zeros((rows, 2))
    filled: list[list[int]] = [[] for _ in range(rows)]
    for sample in samples[order].tolist():
        share = shares[sample]
        has_room = load[:, 0] + share[0] <= limit
        fullness = load @ share if has_room.any() else load[:, 0]
        k = int(np.where(has_room | ~has_room.any(), fullness, np.inf).argmin())
        load[k] += share
        filled[k].append(sample)
    for row in (row for row in filled if not row):  # some samples are larger than whole rows
        row.append(max(filled, key=len).pop())
    return [filled[k] for k in rng.permutation(rows)]
