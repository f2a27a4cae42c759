"""`argus recognize search`: the most alike pictures of a store, and what is said of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from argusvl.recognition.extraction.store import EmbeddingStore
from argusvl.recognition.few_shot import lance_index


@pytest.fixture
def store(argus: Any, tmp_path: Path, few_shot: Any, tiny_backbone: list[Any]) -> Path:
    """Of six pictures of two kinds, and the pictures beside it."""
    for label in ("apple", "螺丝\n1"):
        for number in range(3):
            few_shot.write(tmp_path / f"photos/{label}/{number}.png", few_shot.picture(label, number))
    argus("recognize", "extract", tmp_path / "photos", "--backbone", "tiny", "--out", tmp_path / "s")
    return tmp_path / "s"


@pytest.fixture
def search(argus: Any) -> Any:
    """Calls `search`; what it has found."""
    return lambda *words, code=0: argus("recognize", "search", *words, "--backbone", "tiny", code=code).lines


def test_the_most_alike_pictures_come_first(search: Any, store: Path, few_shot: Any, tmp_path: Path) -> None:
    for name, label, number in (("new.png", "apple", 9), ("there.png", "螺丝\n1", 1)):
        few_shot.write(tmp_path / "queries" / name, few_shot.picture(label, number))
    new, there = search(store, tmp_path / "queries", "--count", "4")
    assert (new["image"], there["image"]) == ("new.png", "there.png")
    assert there["nearest"][0] == {"image": "螺丝\n1/1.png", "score": 1.0}
    assert len(new["nearest"]) == 4
    scores = [near["score"] for near in new["nearest"]]
    assert scores == sorted(scores, reverse=True)
    # The same by hand.
    paths, vectors = EmbeddingStore.open(store).vectors()
    backbone = few_shot.TinyNetwork(side=14)
    picture = few_shot.opened(few_shot.picture("apple", 9))
    query = backbone.embed(backbone.preprocess(picture)[None]).numpy()[0]
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    assert new["nearest"][0]["image"] == paths[int(cosines.argmax())]
    assert scores[0] == pytest.approx(float(cosines.max()), abs=1e-5)


def test_the_store_says_of_which_views_it_is(argus: Any, search: Any, store: Path, tmp_path: Path) -> None:
    viewed = tmp_path / "viewed"
    words = ["recognize", "extract", tmp_path / "photos", "--backbone", "tiny", "--views", "four"]
    argus(*words, "--out", viewed)
    lines = search(viewed, tmp_path / "photos", "--count", "1")
    assert [line["nearest"][0]["image"] for line in lines] == EmbeddingStore.open(viewed).paths()


def test_a_store_asks_another_and_more_than_there_are_is_all(search: Any, store: Path) -> None:
    lines = search(store, store, "--count", "100")
    assert [line["nearest"][0]["image"] for line in lines] == EmbeddingStore.open(store).paths()
    assert all(len(line["nearest"]) == 6 for line in lines)


def test_an_index_finds_the_same(
    search: Any, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lancedb")
    exact = search(store, store, "--count", "2")
    monkeypatch.setattr(lance_index, "EXACT_LIMIT", 5)
    place = tmp_path / "place of the index"
    indexed = search(store, store, "--count", "2", "--index", place)
    assert place.is_dir()
    for one, other in zip(exact, indexed, strict=True):
        assert [near["image"] for near in one["nearest"]] == [near["image"] for near in other["nearest"]]


def test_what_cannot_be_used_is_named_and_the_rest_is_found(
    search: Any, store: Path, few_shot: Any, tmp_path: Path
) -> None:
    few_shot.write(tmp_path / "queries/a.png", few_shot.picture("apple", 9))
    few_shot.write(tmp_path / "queries/broken.png", b"")
    out = tmp_path / "lines.jsonl"
    words = (store, tmp_path / "queries", "--out", out)
    assert search(*words, code=1) == []
    good, bad = (json.loads(line) for line in out.read_text(encoding="utf-8").splitlines())
    assert good["image"] == "a.png" and len(good["nearest"]) == 6
    assert bad == {"image": "broken.png", "error": "the file is empty (0 bytes)"}

    out.write_text("mine")  # what is there is not replaced unasked
    assert search(*words, code=2) == []
    assert out.read_text() == "mine"
    assert search(*words, "--overwrite", code=1) == []
    assert out.read_text() != "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "not a store of vectors"),
        (["STORE", "--backbone", "tiny:b"], "backbone.weights_sha256: the store has"),
        (["STORE", "--out", "STORE/lines.jsonl"], "which the command reads"),
        (["STORE", "--out", "photo.png"], "is the name of an image"),
        (["STORE", "--count", "0"], "--count"),
    ],
)
def test_mistakes_of_the_user(argus: Any, store: Path, words: list[str], message: str) -> None:
    place, *rest = [word.replace("STORE", str(store)) for word in words]
    backbone = [] if "--backbone" in rest else ["--backbone", "tiny"]
    assert message in argus("recognize", "search", place, store, *rest, *backbone, code=2).err
