from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from samples import write_photos

from argusvl.core.errors import ArgusError, DataError
from argusvl.recognition.extraction.extractor import extract
from argusvl.recognition.extraction.store import EmbeddingStore
from argusvl.recognition.few_shot import lance_index
from argusvl.recognition.few_shot.index import ExactIndex
from argusvl.recognition.few_shot.lance_index import LanceIndex, index_for


def clustered(rows: int, seed: int) -> NDArray[np.float32]:
    """Vectors around twenty centres, of several lengths."""
    centres = np.random.default_rng(0).standard_normal((20, 16))
    rng = np.random.default_rng(seed)
    found = centres[rng.integers(0, 20, rows)] + 0.5 * rng.standard_normal((rows, 16))
    return (found * rng.uniform(0.1, 10, (rows, 1))).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    found = clustered(1000, 1)
    found[[10, 700, 999]] = found[5]
    return found


@pytest.fixture(scope="module")
def index(vectors: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> LanceIndex:
    pytest.importorskip("lancedb")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lance_index, "_ROWS_OF_A_GRAPH", 500)
        patched.setattr(lance_index, "_SAMPLE", 100)
        return LanceIndex.build(vectors, tmp_path_factory.mktemp("lance") / "index")


def test_it_finds_what_exact_search_finds(index: LanceIndex, vectors: NDArray[np.float32]) -> None:
    queries, exact = clustered(300, 2), ExactIndex(vectors)
    rows, scores = index.search(queries, 5)
    true_rows, true_scores = exact.search(queries, 5)
    assert index.recall >= 0.99
    # The graph is drawn at random, and 0.99 is what the index's own rows have on the average.
    assert (scores[:, 0] >= true_scores[:, 0] - 1e-5).mean() >= 0.95
    assert (rows == true_rows).mean() > 0.9
    same = rows == true_rows
    np.testing.assert_allclose(scores[same], true_scores[same], atol=1e-5)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_ties_come_by_row_and_single_queries_work(index: LanceIndex, vectors: NDArray[np.float32]) -> None:
    rows, scores = index.search(vectors[5:6], 4)
    assert rows[0].tolist() == [5, 10, 700, 999]
    np.testing.assert_allclose(scores, 1, atol=1e-5)


def test_all_but_one_are_found_too(index: LanceIndex, vectors: NDArray[np.float32]) -> None:
    rows, scores = index.search(clustered(3, 4), 999)
    assert all(len(set(row)) == 999 for row in rows.tolist())
    assert np.isfinite(scores).all()


def test_more_effort_is_made_for_recall_and_too_little_recall_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("argusvl"), "propagate", True)
    monkeypatch.setattr(lance_index, "_LEAST_EFFORT", 2)
    monkeypatch.setattr(lance_index, "_SAMPLE", 100)
    # Threads build the graph, never twice the same one: with few links, each of them needs some effort.
    monkeypatch.setattr(lance_index, "_LINKS", 12)
    monkeypatch.setattr(lance_index, "_EFFORT_OF_BUILDING", 24)
    rng = np.random.default_rng(3)
    scattered = rng.standard_normal((1500, 128)).astype(np.float32)  # no clusters: hard for a graph
    index = LanceIndex.build(scattered, tmp_path / "index")
    efforts = []
    for recall in (0.0, 0.99, 1.1):
        monkeypatch.setattr(lance_index, "RECALL", recall)
        effort, found = index._least_effort(scattered)
        efforts.append(effort)
        assert found >= min(recall, 0.99)
        assert ("110.0 were wanted" in caplog.text) is (recall > 1)
    assert efforts[0] == 4 < efforts[1] < efforts[2] == 1024


def test_an_index_may_be_moved(index: LanceIndex, vectors: NDArray[np.float32], tmp_path: Path) -> None:
    shutil.copytree(index.folder, tmp_path / "moved")
    moved = LanceIndex(tmp_path / "moved")
    for one, other in zip(moved.search(vectors[:20], 3), index.search(vectors[:20], 3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_index_of_a_store_notices_another_store(
    tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = []
    for name, count in (("one", 12), ("two", 13)):
        extract(
            write_photos(tmp_path / f"photos-{name}", count),
            tmp_path / name,
            tiny,
            batch_size=4,
            shard_rows=4,
        )
        stores.append(EmbeddingStore.open(tmp_path / name))
    assert isinstance(index_for(stores[0]), ExactIndex)
    monkeypatch.setattr(lance_index, "EXACT_LIMIT", 10)
    built = index_for(stores[0])
    assert isinstance(built, LanceIndex) and built.folder == tmp_path / "one.index"
    again = index_for(stores[0])
    _, vectors = stores[0].vectors()
    assert again.search(vectors, 1)[0].ravel().tolist() == list(range(12))
    with pytest.raises(DataError, match="built from another state"):
        index_for(stores[1], tmp_path / "one.index")


def test_what_is_no_index_or_cannot_be_indexed(index: LanceIndex, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not an index"):
        LanceIndex(tmp_path)
    facts = json.loads((index.folder / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(facts | {"format": 9}))
    with pytest.raises(DataError, match="is 9, this Argus reads 2"):
        LanceIndex(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps(facts))  # … and no table beside it
    with pytest.raises(DataError, match="not an index of vectors"):
        LanceIndex(tmp_path)
    wrong = np.ones((9, 4), np.float32)
    wrong[6] = 0
    with pytest.raises(DataError, match="row 6 has no direction"):
        LanceIndex.build(wrong, tmp_path / "new")
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".new*"))
    with pytest.raises(DataError, match="two vectors at least"):
        LanceIndex.build(wrong[:1], tmp_path / "new")
    with pytest.raises(DataError, match="no direction"):
        index.search(np.zeros((1, 16), np.float32), 1)
    with pytest.raises(DataError, match="expected queries"):
        index.search(np.ones((1, 3), np.float32), 1)


def test_a_missing_lancedb_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(ArgusError, match=r"pip install 'argusvl\[lancedb\]'"):
        LanceIndex.build(np.ones((5, 4), np.float32), tmp_path / "index")
