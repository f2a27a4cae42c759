"""Vectors are computed once for each content, and never taken for those of another content or another backbone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interruptions import interrupted_by
from samples import TinyNetwork, picture, write_classes

from argusvl.core.errors import DataError
from argusvl.recognition.backbones.views import with_views
from argusvl.recognition.few_shot.embeddings import (
    Embedded,
    Queries,
    default_cache,
    embed_pictures,
    query_vectors,
)
from argusvl.recognition.output_folder import StoreBusyError


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_classes(tmp_path, {"p": range(6)})["p"]


def embed(files: list[Path], network: Any, tmp_path: Path) -> Embedded:
    return embed_pictures(files, network, tmp_path / "cache", progress=False)


def test_a_second_time_nothing_is_computed(files: list[Path], tmp_path: Path) -> None:
    first, second = TinyNetwork(), TinyNetwork()
    one, other = embed(files, first, tmp_path), embed(files[::-1], second, tmp_path)
    assert (first.pictures, second.pictures) == (6, 0)
    assert np.array_equal(one.of(files), other.of(files))
    assert one.of(files).shape == (6, 24)


def test_only_new_contents_are_computed(files: list[Path], tmp_path: Path) -> None:
    before = embed(files, TinyNetwork(), tmp_path)
    moved = tmp_path / "elsewhere" / "x\ny.png"
    moved.parent.mkdir()
    files[0].rename(moved)
    files[1].write_bytes(picture("new", 1))
    network = TinyNetwork()
    after = embed([moved, *files[1:]], network, tmp_path)
    assert network.pictures == 1
    assert np.array_equal(after.of([moved]), before.of([files[0]]))
    assert not np.allclose(after.of([files[1]]), before.of([files[1]]))


def test_a_cache_changes_no_vector(files: list[Path], tmp_path: Path) -> None:
    viewed = with_views(TinyNetwork(side=14), "four")
    embed_pictures(files[:3], viewed, tmp_path / "cache", progress=False)
    grown = embed_pictures(files, viewed, tmp_path / "cache", progress=False)
    fresh = embed_pictures(files, viewed, tmp_path / "other", progress=False)
    assert np.array_equal(grown.of(files), fresh.of(files))
    (shelf,) = (tmp_path / "cache").iterdir()
    assert len(list(shelf.iterdir())) == 1  # what is superseded goes


def test_another_backbone_has_vectors_of_its_own(files: list[Path], tmp_path: Path) -> None:
    one = embed(files, TinyNetwork(), tmp_path)
    network = TinyNetwork(weights="b" * 64)
    other = embed(files, network, tmp_path)
    assert network.pictures == 6
    assert not np.allclose(one.of(files), other.of(files))
    assert np.array_equal(embed(files, TinyNetwork(), tmp_path).of(files), one.of(files))


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of 1 pictures can be read"):
        embed([tmp_path / "absent.png"], TinyNetwork(), tmp_path)


def test_a_damaged_cache_is_made_again(files: list[Path], tmp_path: Path) -> None:
    before = embed(files, TinyNetwork(), tmp_path)
    for damage in ("store.json", "ledger.jsonl", "shards", "shards/part-000000.parquet"):
        for wanted in (files, files[:5]):  # as it is, and as what others are taken from
            (store,) = (tmp_path / "cache").glob("*/*")
            target = store / damage
            shutil.rmtree(target) if target.is_dir() else target.write_bytes(b"{")
            found = embed(wanted, TinyNetwork(), tmp_path)
            # Made in batches of another size: a CPU may add in another order.
            np.testing.assert_allclose(found.of(wanted), before.of(wanted), rtol=1e-5, err_msg=damage)
        shutil.rmtree(tmp_path / "cache")
        embed(files, TinyNetwork(), tmp_path)


def ask(files: list[Path], network: Any, tmp_path: Path) -> Queries:
    return query_vectors(files, network, "exact", tmp_path / "cache", workers=1, progress=False)


@pytest.mark.parametrize("compute", [embed, ask])
def test_two_commands_at_a_time(
    files: list[Path], tmp_path: Path, compute: Callable[[list[Path], Any, Path], Embedded | Queries]
) -> None:
    refusals = []

    def second() -> None:
        with pytest.raises(StoreBusyError, match="another process is writing into this store") as error:
            compute(files, TinyNetwork(), tmp_path)
        refusals.append(error)

    found = compute(files, interrupted_by(second, TinyNetwork()), tmp_path)
    vectors = found.of(files) if isinstance(found, Embedded) else found.store.vectors()[1]
    expected = embed_pictures(files, TinyNetwork(), tmp_path / "other", progress=False).of(files)
    assert refusals and np.array_equal(vectors, expected)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("ARGUS_CACHE", raising=False)
    assert default_cache() == tmp_path / "xdg" / "argus" / "embeddings"
    monkeypatch.setenv("ARGUS_CACHE", str(tmp_path / "named"))
    assert default_cache() == tmp_path / "named"
