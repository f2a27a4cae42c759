from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from samples import write_photos

from argusvl.core.errors import DataError
from argusvl.recognition.extraction.extractor import extract
from argusvl.recognition.extraction.store import EmbeddingStore
from argusvl.recognition.few_shot import index as index_module
from argusvl.recognition.few_shot.index import ExactIndex, Found


def reference(vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> Found:
    """All cosines in float64, one dot product at a time."""

    def unit(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        wide = rows.astype(np.float64)
        norm = np.linalg.norm(wide, axis=1, keepdims=True)
        return wide / np.where(norm > 0, norm, 1)

    cosines = np.array([[float(np.dot(q, v)) for v in unit(vectors)] for q in unit(queries)])
    order = np.argsort(-np.round(cosines, 12), axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(cosines, order, axis=1).astype(np.float32)


def check(vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> None:
    rows, scores = ExactIndex(vectors).search(queries, k)
    true_rows, true_scores = reference(vectors, queries, k)
    np.testing.assert_array_equal(rows, true_rows)
    np.testing.assert_allclose(scores, true_scores, atol=1e-7)
    assert rows.dtype == np.int64 and scores.dtype == np.float32


@pytest.fixture(params=[7, 64, 8192])
def block_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of several sizes; five queries at a time."""
    monkeypatch.setattr(index_module, "_BLOCK_ROWS", request.param)
    monkeypatch.setattr(index_module, "_BLOCK_QUERIES", 5)


@pytest.mark.usefixtures("block_rows")
@pytest.mark.parametrize("k", [1, 3, 20, 150])
def test_the_answer_is_that_of_float64_however_the_blocks_fall(k: int) -> None:
    rng = np.random.default_rng(k)
    vectors = rng.standard_normal((150, 9)).astype(np.float32) * rng.uniform(1e-3, 1e3, (150, 1)).astype(
        np.float32
    )
    vectors[[3, 80, 149]] = vectors[0]  # ties
    vectors[40] = 0
    queries = np.concatenate([rng.standard_normal((11, 9)).astype(np.float32), vectors[[0, 7]]])
    check(vectors, queries, k)


@settings(max_examples=40)
@given(data=st.data())
def test_any_ties_are_broken_by_the_row(data: st.DataObject) -> None:
    """Few different vectors, so that equal ones stand on both sides of every border."""
    rows, k = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 12))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    kinds = rng.standard_normal((data.draw(st.integers(1, 6)), 5)).astype(np.float32)
    vectors = kinds[rng.integers(0, len(kinds), rows)]
    check(vectors, kinds[:3], min(k, rows))


def test_scores_nearer_than_float32_can_tell_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal(1280)
    noise = rng.standard_normal((4000, 1280))
    vectors = (base + 2e-4 * noise).astype(np.float32)  # cosines differ by about 1e-9
    check(vectors[:200], base[None].astype(np.float32), 5)


def test_values_whose_squares_overflow() -> None:
    vectors = np.array([[1e30, 0], [1e-30, 1e-30], [0, 3e38]], dtype=np.float32)
    check(vectors, np.array([[2e38, 1e38], [1e-38, 0]], dtype=np.float32), 3)


def test_many_equal_vectors_stay_within_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_RESCORED_BYTES", 4096)
    vectors = np.ones((3000, 8), dtype=np.float32)
    rows, scores = ExactIndex(vectors).search(vectors[:2], 4)
    assert rows.tolist() == [[0, 1, 2, 3]] * 2
    np.testing.assert_allclose(scores, 1)


@pytest.mark.parametrize("order", ["shuffled", "by cluster"])
@pytest.mark.parametrize("flat", [0.0, 0.05, 1.0], ids=["six axes", "nearly", "in every direction"])
def test_bounds_leave_the_answer_exact(order: str, flat: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As networks' vectors are, and as they are not; sorted so that the best of some queries come last."""
    monkeypatch.setattr(index_module, "_BLOCK_ROWS", 256)
    monkeypatch.setattr(index_module, "_BLOCK_QUERIES", 32)
    rng = np.random.default_rng(7)
    axes = rng.standard_normal((6, 48))
    cluster = rng.integers(0, 20, 2900)
    centres = rng.standard_normal((20, 6))
    if order == "by cluster":
        cluster.sort()
    vectors = (centres[cluster] + 0.3 * rng.standard_normal((2900, 6))) @ axes
    vectors = (vectors + flat * 3 * rng.standard_normal(vectors.shape)).astype(np.float32)
    vectors[[5, 700, 2899]] = vectors[300]
    vectors[1500] = 0
    queries = vectors[rng.integers(0, len(vectors), 70)] + 0.1 * rng.standard_normal((70, 48))
    check(vectors, np.concatenate([queries.astype(np.float32), vectors[[300, 2899]]]), 7)


def test_a_store_is_searched_by_shards(tmp_path: Path, tiny: Any) -> None:
    photos = write_photos(tmp_path / "photos", 20, corrupt=(4,))
    extract(photos, tmp_path / "store", tiny, batch_size=2, shard_rows=4)
    store = EmbeddingStore.open(tmp_path / "store")
    _, vectors = store.vectors()
    rows, scores = ExactIndex(store).search(vectors[:7], 3)
    in_memory = ExactIndex(vectors).search(vectors[:7], 3)
    np.testing.assert_array_equal(rows, in_memory[0])
    np.testing.assert_array_equal(scores, in_memory[1])
    assert rows[:, 0].tolist() == list(range(7))


@pytest.mark.parametrize(
    ("queries", "k", "message"),
    [
        (np.ones((2, 3), np.float32), 1, r"expected queries \[Q, 4\], got \[2, 3\]"),
        (np.ones(4, np.float32), 1, "expected queries"),
        (np.full((1, 4), np.nan, np.float32), 1, "not finite"),
        (np.ones((1, 4), np.float32), 0, "0 nearest of 6"),
        (np.ones((1, 4), np.float32), 7, "7 nearest of 6"),
    ],
)
def test_questions_that_cannot_be_answered(queries: NDArray[np.float32], k: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ExactIndex(np.ones((6, 4), np.float32)).search(queries, k)


def test_a_vector_that_is_not_finite_is_named() -> None:
    vectors = np.ones((6, 4), np.float32)
    vectors[3, 1] = np.inf
    with pytest.raises(DataError, match="row 3 is not finite"):
        ExactIndex(vectors).search(np.ones((1, 4), np.float32), 1)


def test_no_queries_have_no_answers() -> None:
    rows, scores = ExactIndex(np.ones((6, 4), np.float32)).search(np.empty((0, 4), np.float32), 2)
    assert rows.shape == scores.shape == (0, 2)
