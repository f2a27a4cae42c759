"""Pictures of a store that are nearest to others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from argusvl.core.errors import ConfigError
from argusvl.recognition.extraction.store import LEDGER, EmbeddingStore
from argusvl.recognition.few_shot.classification import DIGITS
from argusvl.recognition.few_shot.index import VectorIndex
from argusvl.recognition.ledger import read_ledger

_QUERIES_AT_ONCE = 10_000
"""Exact search reads the whole store for each of these."""


def nearest_pictures(
    store: EmbeddingStore, index: VectorIndex, queries: EmbeddingStore, count: int
) -> Iterator[dict[str, Any]]:
    """A JSON-ready line for each query, in their order.

    ``image`` and ``nearest``, a list of ``image`` and ``score`` (the cosine), best first; of a query without a vector
    ``image`` and ``error``. A query that is in the store itself finds itself.

    Args:
        store: Where is searched.
        index: Of its vectors.
        queries: Vectors of the same fingerprint.
        count: How many are found for each, at most as many as there are.

    Raises:
        ConfigError: ``count`` is less than one.
        DataError: A store is damaged.
    """
    if count < 1:
        raise ConfigError(f"{count} nearest pictures are asked for", remedy="ask for one or more")
    places = store.paths()
    lines = _found(places, index, queries, min(count, len(places)))
    for entry, _ in read_ledger(queries.folder / LEDGER):
        yield {"image": entry.path, "error": entry.reason} if entry.row is None else next(lines)


def _found(
    places: list[str], index: VectorIndex, queries: EmbeddingStore, count: int
) -> Iterator[dict[str, Any]]:
    for shard in queries.iter_batches():
        for start in range(0, len(shard.paths), _QUERIES_AT_ONCE):
            part = slice(start, start + _QUERIES_AT_ONCE)
            for path, rows, scores in zip(
                shard.paths[part], *index.search(shard.vectors[part], count), strict=True
            ):
                nearest = [
                    {"image": places[row], "score": round(float(score), DIGITS)}
                    for row, score in zip(rows, scores, strict=True)
                ]
                yield {"image": path, "nearest": nearest}
