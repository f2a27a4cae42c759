"""An index on the disk for more vectors than exact search is quick enough for: LanceDB's HNSW graph.

Each vector is linked to some near ones, and a query goes from link to link (Malkov and Yashunin, 2018, arXiv
1603.09320). Cosines are computed from the whole vectors, not from shortened ones, so what is found has its right score;
what can be missed is a vector that no path led to. How many candidates a query must keep for that is measured when the
index is built, against exact search.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from argusvl.core.errors import ArgusError, DataError
from argusvl.core.extras import import_extra
from argusvl.core.files import atomic_folder
from argusvl.core.logging import get_logger
from argusvl.core.wording import first_line
from argusvl.recognition.extraction.store import EmbeddingStore
from argusvl.recognition.few_shot.index import (
    EXACT_LIMIT,
    ExactIndex,
    Found,
    VectorIndex,
    blocks_of,
    check_queries,
)
from argusvl.recognition.output_folder import read_header

RECALL = 0.99
"""Share of sampled vectors whose nearest other one must be found."""

_TABLE, _FACTS = "vectors", "index.json"
_REMEDY = "delete it and build it again"
_FORMAT = 2
_LINKS, _EFFORT_OF_BUILDING = 16, 100
"""Of a vector on each level, and candidates kept while its links are sought. At a million vectors, building takes six
minutes on two cores. A query from outside then finds the nearest one in 98.7 of 100 cases with 32 candidates, and in
more than 99 with 64."""
_ROWS_OF_A_GRAPH = 2_000_000
"""More vectors are divided among several graphs, of which a query looks into each: one must fit into memory."""
_LEAST_EFFORT, _MOST_EFFORT = 16, 1024
_SAMPLE = 500
_SEED = 0
_SAME_SCORE = 1e-5
"""Cosines that differ by less are equal: the index computes them in float32."""

_ROWS_A_BATCH = 4096
_QUERIES_A_CALL = 1000

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the index's own file says of it; ``source`` tells the state of the store that it is of."""

    rows: int
    dimension: int
    source: str | None
    graphs: int
    effort: int
    recall: float

    def write(self, folder: Path) -> None:
        """Writes it into an index that is being made."""
        text = json.dumps({"format": _FORMAT, **asdict(self)}, indent=2)
        (folder / _FACTS).write_text(f"{text}\n", encoding="utf-8")


class LanceIndex:
    """An index that was built; open one by its folder.

    Args:
        folder: Of the index.
        store: The store that it must be of; not checked when ``None``.

    Attributes:
        dimension: Of the vectors.
        graphs: How many there are.
        effort: Candidates that a query keeps.
        recall: Share of sampled vectors whose nearest other one was found so, when the index was built.

    Raises:
        DataError: The folder is no index, or one of another store.
        ArgusError: LanceDB is not installed.
    """

    def __init__(self, folder: str | Path, store: EmbeddingStore | None = None) -> None:
        self.folder = Path(folder)
        lancedb = import_extra("lancedb")
        facts = read_header(
            self.folder / _FACTS,
            _Facts,
            _FORMAT,
            what="an index of vectors",
            make="LanceIndex.build",
            remedy=_REMEDY,
        )
        self._rows = facts.rows
        self.dimension, self.graphs = facts.dimension, facts.graphs
        self.effort, self.recall = facts.effort, facts.recall
        try:
            self._table = lancedb.connect(self.folder).open_table(_TABLE)
        except (OSError, ValueError) as error:
            raise DataError(f"not an index of vectors: {error}", where=self.folder, remedy=_REMEDY) from None
        if store is not None and (len(store), _source_of(store)) != (facts.rows, facts.source):
            raise DataError(
                f"the index was built from another state than {store.folder} has now",
                where=self.folder,
                remedy=_REMEDY,
            )

    @classmethod
    def build(cls, vectors: EmbeddingStore | NDArray[np.float32], folder: str | Path) -> Self:
        """Makes an index; it appears complete or not at all. Vectors are read a few thousand at a time.

        Args:
            vectors: A store, or ``[N, D]`` in memory.
            folder: To make or to replace.

        Raises:
            DataError: There are fewer than two vectors, or one has no direction.
            ArgusError: LanceDB is not installed, or the folder cannot be written.
        """
        rows = len(vectors)
        if rows < 2:
            raise DataError(f"an index needs two vectors at least, got {rows}", where=folder)
        lancedb = import_extra("lancedb")
        from lancedb.index import HnswFlat

        dimension = vectors.dimension if isinstance(vectors, EmbeddingStore) else vectors.shape[1]
        number = -(-rows // _ROWS_OF_A_GRAPH)
        schema = pa.schema(
            [pa.field("row", pa.int64()), pa.field("vector", pa.list_(pa.float32(), dimension))]
        )
        source = _source_of(vectors) if isinstance(vectors, EmbeddingStore) else None
        facts = _Facts(rows, dimension, source, number, _LEAST_EFFORT, 0.0)
        failures: list[ArgusError] = []
        with atomic_folder(folder) as made:
            data = pa.RecordBatchReader.from_batches(schema, _batches(vectors, schema, failures))
            try:
                table = lancedb.connect(made).create_table(_TABLE, data=data, schema=schema)
                config = HnswFlat(
                    distance_type="cosine",
                    num_partitions=number,
                    m=_LINKS,
                    ef_construction=_EFFORT_OF_BUILDING,
                )
                table.create_index("vector", config=config)
            # Also what LanceDB makes of our own error while it reads the batches.
            except RuntimeError as error:
                if failures:
                    raise failures[0] from error
                raise ArgusError(
                    f"LanceDB could not build the index: {first_line(error)}",
                    where=folder,
                    remedy="check the disk and build it again; what was there before is unchanged",
                ) from error
            facts.write(made)
            effort, recall = cls(made)._least_effort(vectors)
            replace(facts, effort=effort, recall=recall).write(made)
        return cls(folder)

    def __len__(self) -> int:
        return self._rows

    def search(self, queries: NDArray[np.float32], k: int) -> Found:
        """The ``k`` nearest rows, of which some may be missed: see :attr:`recall`.

        Raises:
            DataError: The shape is wrong, a value is not finite, ``k`` is out of range, or a query has no direction.
        """
        check_queries(queries, k, self)
        if not queries.any(axis=1).all():
            raise DataError("a query of zeros has no direction", remedy="leave that image out")
        rows = np.empty((len(queries), k), np.int64)
        scores = np.empty((len(queries), k), np.float32)
        for start in range(0, len(queries), _QUERIES_A_CALL):
            part = slice(start, start + _QUERIES_A_CALL)
            rows[part], scores[part] = self._search(queries[part], k, self.effort)
        return rows, scores

    def _search(self, queries: NDArray[np.float32], k: int, effort: int | None) -> Found:
        """With so many candidates, or by comparing each query with each vector."""
        search = (
            self._table.search(list(queries), vector_column_name="vector")
            .distance_type("cosine")
            .limit(k)
            .select(["row", "_distance"])
        )
        if effort is None:
            search = search.bypass_vector_index()
        else:
            search = search.nprobes(self.graphs).ef(max(effort, k))
        answer = search.to_arrow()
        query = answer["query_index"].to_numpy() if len(queries) > 1 else np.zeros(len(answer), np.int64)
        score, row = 1 - answer["_distance"].to_numpy(), answer["row"].to_numpy()
        order = np.lexsort((row, -score, query))
        counts = np.bincount(query, minlength=len(queries))
        rows = np.empty((len(queries), k), np.int64)
        scores = np.empty((len(queries), k), np.float32)
        complete = counts == k
        kept = order[complete[query[order]]]
        rows[complete], scores[complete] = row[kept].reshape(-1, k), score[kept].reshape(-1, k)
        if not complete.all():  # no path led to as many
            assert effort is not None
            rows[~complete], scores[~complete] = self._search(queries[~complete], k, None)
        return rows, scores

    def _least_effort(self, vectors: EmbeddingStore | NDArray[np.float32]) -> tuple[int, float]:
        """How many candidates a query must keep, and the recall with so many.

        Sampled vectors ask for the nearest one beside themselves.
        """
        generator = np.random.default_rng(_SEED)
        chosen = np.sort(generator.choice(self._rows, min(_SAMPLE, self._rows), replace=False))
        queries = _rows_of(vectors, chosen)
        chosen, queries = chosen[queries.any(axis=1)], queries[queries.any(axis=1)]
        truth = _nearest_other(ExactIndex(vectors).search(queries, 2), chosen)

        def recall_with(effort: int) -> float:
            found = _nearest_other(self._search(queries, 2, effort), chosen)
            return float((found >= truth - _SAME_SCORE).mean())

        effort = _LEAST_EFFORT
        while (recall := recall_with(effort)) < RECALL and effort < _MOST_EFFORT:
            effort *= 2
        if effort < _MOST_EFFORT:  # once more: vectors from outside are harder to find than the index's own
            effort *= 2
            recall = recall_with(effort)
        if recall < RECALL:
            _log.warning(
                "the index finds the nearest vector in %.1f of 100 cases, %.1f were wanted",
                100 * recall,
                100 * RECALL,
            )
        return effort, recall


def index_for(store: EmbeddingStore, folder: str | Path | None = None) -> VectorIndex:
    """What finds vectors of a store: exact search while it is quick, beyond that an index, built if it is missing.

    Args:
        store: Where the vectors are.
        folder: Of the index; beside the store, with ``.index`` after its name, when ``None``.

    Raises:
        DataError: The folder holds something else, or the index of another state of the store.
        ArgusError: LanceDB is needed and not installed.
    """
    if len(store) <= EXACT_LIMIT:
        return ExactIndex(store)
    place = Path(folder) if folder is not None else store.folder.with_name(f"{store.folder.name}.index")
    return LanceIndex(place, store) if place.exists() else LanceIndex.build(store, place)


def _nearest_other(found: Found, own: NDArray[np.int64]) -> NDArray[np.float32]:
    """Score of the first of two rows found that is not the query's own: ``[Q]``."""
    rows, scores = found
    return np.where(rows[:, 0] == own, scores[:, 1], scores[:, 0])


def _batches(
    vectors: EmbeddingStore | NDArray[np.float32], schema: pa.Schema, failures: list[ArgusError]
) -> Iterator[pa.RecordBatch]:
    """What the table is made of; an error of ours is left in ``failures``, too."""
    row = 0
    try:
        for block in blocks_of(vectors, _ROWS_A_BATCH):
            empty = np.flatnonzero(~(np.isfinite(block).all(axis=1) & block.any(axis=1)))
            if len(empty):
                raise DataError(
                    f"the vector of row {row + empty[0]} has no direction: it is zero or not finite",
                    remedy="leave that image out",
                )
            numbers = pa.array(np.arange(row, row + len(block)))
            flat = pa.array(block.reshape(-1), pa.float32())
            values = pa.FixedSizeListArray.from_arrays(flat, block.shape[1])
            yield pa.record_batch([numbers, values], schema=schema)
            row += len(block)
    except ArgusError as error:
        failures.append(error)
        raise


def _rows_of(vectors: EmbeddingStore | NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Some rows, in order, without having all in memory."""
    found, first = [], 0
    for block in blocks_of(vectors, _ROWS_A_BATCH):
        found.append(block[rows[(rows >= first) & (rows < first + len(block))] - first])
        first += len(block)
    return np.concatenate(found)


def _source_of(store: EmbeddingStore) -> str:
    """What tells one state of a store from another."""
    return f"{store.header.fingerprint_sha256} {store.header.inputs_sha256}"
