"""Finding the nearest vectors by cosine: exact up to about a million of them, an index on the disk beyond.

Both kinds answer ``search(queries, k)`` with rows and scores, best first, ties by the lower row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argusvl.core.errors import ConfigError, DataError
from argusvl.recognition.extraction.shards import Rows
from argusvl.recognition.extraction.store import EmbeddingStore
from argusvl.recognition.few_shot.classification import DIGITS

EXACT_LIMIT = 1_000_000
"""Above so many vectors, exact search takes seconds for a query."""

Found = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Rows ``[Q, k]`` and cosines ``[Q, k]``."""

_BLOCK_ROWS = 8192
_BLOCK_QUERIES = 1024
_GROUP = 64
"""Scores of which only the largest is looked at first."""
_RESCORED_BYTES = 1 << 20
"""Of vectors computed again at once: what stays in a processor's cache."""
_SHORTER = 4
"""How many times fewer dimensions bound the scores first."""
_FEW = 4
"""Bounds have paid where they leave at most one group of so many."""
_FAILURES = 8
"""So many products in vain, beyond those that paid, and no more are tried."""


class VectorIndex(Protocol):
    """What finds vectors."""

    dimension: int

    def __len__(self) -> int:
        """How many vectors it holds."""
        ...

    def search(self, queries: NDArray[np.float32], k: int) -> Found:
        """The ``k`` rows whose vectors have the largest cosine with each query.

        Args:
            queries: ``[Q, D]``, not necessarily normalised.
            k: At least 1, at most ``len(self)``.

        Raises:
            DataError: The shape is wrong, a value is not finite, or ``k`` is out of range.
        """
        ...


class ExactIndex:
    """Compares each query with each vector; a vector of zeros has the cosine 0 with everything.

    A block of scores is one matrix product in float32. What could be among the ``k`` best by the worst rounding error
    of such a product is computed again in float64, and only those numbers decide: the answer is that of float64
    arithmetic, however the blocks fall, and equal vectors have equal scores. For many queries a quarter of the
    dimensions bound the scores first, and few are computed whole, where vectors are as those of networks are.

    In memory is one block at a time, besides ``vectors`` itself where that is an array.

    Vectors are ``[N, D]`` in memory, or a store, which is read anew for each search.

    Raises:
        DataError: From :meth:`search`, also: a vector is not finite, or the store is damaged.
    """

    def __init__(self, vectors: NDArray[np.float32] | EmbeddingStore) -> None:
        self._vectors = vectors
        self._rows = len(vectors)
        self.dimension = vectors.dimension if isinstance(vectors, EmbeddingStore) else vectors.shape[1]

    def __len__(self) -> int:
        return self._rows

    def search(self, queries: NDArray[np.float32], k: int) -> Found:
        """The exact ``k`` nearest rows; of equal scores the lower row comes first."""
        check_queries(queries, k, self)
        wide = torch.from_numpy(np.ascontiguousarray(queries)).double()
        exact = _unit(wide, torch.linalg.vector_norm(wide, dim=1))  # [Q, D]
        scan = _Scan(exact, k)
        first_row = 0
        for block in blocks_of(self._vectors, _BLOCK_ROWS):
            scan.block(torch.from_numpy(np.require(block, np.float32, ["C", "W"])), first_row)
            first_row += len(block)
        return scan.best_rows.numpy(), scan.best_scores.float().numpy()


def check_queries(queries: NDArray[np.float32], k: int, index: VectorIndex) -> None:
    """Refuses questions that an index cannot answer, as :meth:`VectorIndex.search` says."""
    if queries.ndim != 2 or queries.shape[1] != index.dimension:
        raise DataError(
            f"expected queries [Q, {index.dimension}], got {list(queries.shape)}",
            remedy="embed the queries with the backbone that the index was made with",
        )
    if not np.isfinite(queries).all():
        raise DataError("a query has a value that is not finite", remedy="leave that image out")
    if not 1 <= k <= len(index):
        raise DataError(
            f"{k} nearest of {len(index)} vectors cannot be found", remedy=f"use 1 to {len(index)}"
        )


class _Scan:
    """Goes over blocks of vectors; ``Q`` queries, ``D`` dimensions.

    The best rows so far: scores falling, equal ones by rising row.
    """

    def __init__(self, queries: Tensor, k: int) -> None:
        self._k = k
        self.best_scores = torch.full((len(queries), k), -torch.inf, dtype=torch.float64)
        self.best_rows = torch.full((len(queries), k), torch.iinfo(torch.int64).max)
        self._exact = queries  # [Q, D] float64, of length 1
        self._queries = queries.float()
        # A dot product of D float32 terms is off by at most D half units in the last place of the sum of the terms'
        # sizes, in whatever order (Higham 2002, section 3.1); that sum is at most 1. Eight more for the two roundings.
        self._error = (queries.shape[1] + 8) * 2.0**-24
        self._unit = torch.empty(0, 0)
        self._scores = torch.empty(0, 0)
        self._bound: _UpperBound | None = None
        self._bounded = 0  # products that the bound has saved, less those that it has not

    def block(self, vectors: Tensor, first_row: int) -> None:
        """Takes in ``[B, D]`` float32 vectors."""
        if not len(vectors):
            return
        # Piece by piece in the processor's cache: seven times as fast as converted in one.
        pieces = [torch.linalg.vector_norm(piece.double(), dim=1) for piece in vectors.split(512)]
        lengths = torch.cat(pieces)  # [B]
        if not torch.isfinite(lengths).all():
            row = first_row + int((~torch.isfinite(lengths)).nonzero()[0])
            raise DataError(f"the vector of row {row} is not finite", remedy="leave that image out")
        # Whole groups only, filled up with zeros; at least four groups for each row wanted, where there are so many.
        group = max(1, min(_GROUP, len(vectors) // (4 * self._k)))
        filled = -(-len(vectors) // group) * group
        # Kept from block to block: fresh memory costs time.
        if self._unit.shape != (filled, vectors.shape[1]):
            self._unit = torch.zeros(filled, vectors.shape[1])
            self._scores = torch.empty(min(_BLOCK_QUERIES, len(self._queries)), filled)
        self._unit[: len(vectors)] = _unit(vectors, lengths)
        bound = self._bound if self._bounded > -_FAILURES else None
        short = None if bound is None else bound.shorten(self._unit)
        for start in range(0, len(self._queries), _BLOCK_QUERIES):
            query, column = self._candidates(slice(start, start + _BLOCK_QUERIES), short, len(vectors), group)
            step = max(1, _RESCORED_BYTES // (vectors.shape[1] * 8))
            for first in range(0, len(query), step):
                asked, place = query[first : first + step] + start, column[first : first + step]
                products = (self._exact[asked] * vectors[place]).sum(1)
                exact = products / torch.where(lengths[place] > 0, lengths[place], 1)  # cosines in float64
                self._offer(asked, exact, place + first_row)
        # With the roots a whole quarter: products of odd sizes are slower.
        dimension = vectors.shape[1] // _SHORTER - 1
        if self._bound is None and dimension > 0 and len(self._queries) >= 4 * dimension <= len(vectors):
            self._bound = _UpperBound(self._unit[: len(vectors)], self._queries, dimension, self._error)

    def _offer(self, queries: Tensor, scores: Tensor, rows: Tensor) -> None:
        """Takes in candidates: ``[C]`` each."""
        touched, place = torch.unique(queries, return_inverse=True)
        old = torch.arange(len(touched)).repeat_interleave(self._k)
        query = torch.cat([old, place]).numpy()
        score = torch.cat([self.best_scores[touched].flatten(), scores]).numpy()
        row = torch.cat([self.best_rows[touched].flatten(), rows]).numpy()
        order = np.lexsort((row, -score, query))
        starts = np.searchsorted(query[order], np.arange(len(touched)))
        kept = torch.from_numpy(order[starts[:, None] + np.arange(self._k)])  # [touched, k]
        self.best_scores[touched] = torch.from_numpy(score)[kept]
        self.best_rows[touched] = torch.from_numpy(row)[kept]

    def _candidates(self, part: slice, short: Tensor | None, rows: int, group: int) -> tuple[Tensor, Tensor]:
        """What of the block, or of its upper bounds ``short``, may be among the best of some queries.

        ``rows`` of the block are vectors; scores are looked at ``group`` by group. Returns query and column, ``[C]``.
        """
        worst = self.best_scores[part, -1]  # [q]
        if self._bound is not None and short is not None:
            scores, largest = self._scored(self._bound.queries[part], short, rows, group)
            limit = _rounded_down(worst - self._bound.error)
            likely = largest >= limit[:, None]
            paid = int(likely.sum()) * _FEW <= likely.numel()
            self._bounded += 1 if paid else -1
            if paid:
                return _reaching(scores, likely, limit)
        scores, largest = self._scored(self._queries[part], self._unit, rows, group)
        least = worst - self._error
        if largest.shape[1] >= self._k:  # k groups have a score of at least this, so k scores are
            among_these = largest.topk(self._k).values[:, -1].double() - 2 * self._error
            least = torch.maximum(least, among_these)
        limit = _rounded_down(least)
        return _reaching(scores, largest >= limit[:, None], limit)

    def _scored(self, queries: Tensor, vectors: Tensor, rows: int, group: int) -> tuple[Tensor, Tensor]:
        """Products ``[q, G, group]``, and the largest of each group."""
        products = torch.mm(queries, vectors.T, out=self._scores[: len(queries)])  # [q, filled]
        products[:, rows:] = -torch.inf
        scores = products.unflatten(1, (-1, group))
        return scores, scores.amax(2)


def _rounded_down(limit: Tensor) -> Tensor:
    """A limit must not be lifted by its own conversion."""
    return torch.nextafter(limit.float(), torch.tensor(-torch.inf))


def _reaching(scores: Tensor, groups: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """Query and column of the scores ``[q, G, group]`` of such groups ``[q, G]`` that reach ``limit`` ``[q]``."""
    query, place = groups.nonzero(as_tuple=True)
    which, within = (scores[query, place] >= limit[query, None]).nonzero(as_tuple=True)
    return query[which], place[which] * scores.shape[2] + within


class _UpperBound:
    """Vectors of length one in few dimensions, whose products are upper bounds of the whole ones' (up to ``error``).

    For any matrix ``P`` of norm at most one, ``1 - PP'`` is positive semidefinite, and by Cauchy and Schwarz
    ``a'b <= (P'a)'(P'b) + sqrt(1 - |P'a|^2) sqrt(1 - |P'b|^2)``: the roots are one further dimension. ``P`` are the
    main axes of a sample of the vectors, which leave little for the roots.

    Args:
        sample: Unit vectors ``[N, D]``, as all that follow.
        queries: ``[Q, D]``.
        dimension: How many axes.
        rounding: How far a product of ``D`` float32 terms is off at most, for vectors of length one.
    """

    def __init__(self, sample: Tensor, queries: Tensor, dimension: int, rounding: float) -> None:
        axes = torch.linalg.eigh((sample.T @ sample).double()).eigenvectors[:, -dimension:]
        # Conversion to float32 must not lift its norm above one: it is off by sqrt(d) 2^-24 at most (Frobenius).
        self._axes = (axes * (1 - dimension**0.5 * 2.0**-23)).float()
        # Each of the d coordinates is off by the rounding at most.
        self._shortened_error = dimension**0.5 * rounding
        self.error = 2 * self._shortened_error + self._shortened_error**2 + 2 * rounding
        self.queries = self.shorten(queries)

    def shorten(self, vectors: Tensor) -> Tensor:
        """``[N, D]`` → ``[N, d + 1]``."""
        short = vectors @ self._axes
        left = 1 + 4 * self._shortened_error - short.square().sum(1, keepdim=True)
        return torch.cat([short, left.clamp_min(0).sqrt()], dim=1)


def blocks_of(vectors: NDArray[np.float32] | EmbeddingStore, rows: int) -> Iterator[NDArray[np.float32]]:
    """Vectors in their order, at most so many rows at a time; of a store, one shard is in memory."""
    shards = (
        (shard.vectors for shard in vectors.iter_batches())
        if isinstance(vectors, EmbeddingStore)
        else (vectors,)
    )
    for shard in shards:
        for start in range(0, len(shard), rows):
            yield shard[start : start + rows]


def _unit(vectors: Tensor, lengths: Tensor) -> Tensor:
    """Of length 1, those of zeros unchanged: ``[N, D]`` and their lengths ``[N]`` in float64."""
    divisor = torch.where(lengths > 0, lengths, 1)[:, None]
    if bool(((lengths == 0) | ((lengths > 1e-30) & (lengths < 1e30))).all()):
        return vectors / divisor.to(vectors.dtype)
    return (vectors.double() / divisor).to(vectors.dtype)  # such lengths are beyond float32, or nearly so


_QUERIES_AT_ONCE = 10_000
"""Exact search reads the whole store for each of these."""


def nearest_pictures(
    store: EmbeddingStore, index: VectorIndex, queries: EmbeddingStore, count: int
) -> Iterator[dict[str, Any]]:
    """A JSON-ready line for each query, in their order.

    ``image`` and ``nearest``, a list of ``image`` and ``score`` (the cosine), best first; of a query without a vector
    ``image`` and ``error``. A query that is in the store itself finds itself.

    ``index`` is of the vectors of ``store``, whose fingerprint the queries have; at most ``count`` are found for each.

    Raises:
        ConfigError: ``count`` is less than one.
        DataError: A store is damaged.
    """
    if count < 1:
        raise ConfigError(f"{count} nearest pictures are asked for", remedy="ask for one or more")
    places = store.paths()

    def lines(shard: Rows) -> Iterator[dict[str, Any]]:
        for start in range(0, len(shard.paths), _QUERIES_AT_ONCE):
            part = slice(start, start + _QUERIES_AT_ONCE)
            found = index.search(shard.vectors[part], min(count, len(places)))
            for path, rows, scores in zip(shard.paths[part], *found, strict=True):
                nearest = [
                    {"image": places[row], "score": round(float(score), DIGITS)}
                    for row, score in zip(rows, scores, strict=True)
                ]
                yield {"image": path, "nearest": nearest}

    return queries.lines(lines)
