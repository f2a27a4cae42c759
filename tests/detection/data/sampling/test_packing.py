"""Planned rows: each sample once, as many rows in every epoch, equally full, the same whoever asks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from argusvl.core.errors import ConfigError
from argusvl.detection.data.sampling.packing import PackingSettings, RowPlan, fill_rows, rows_needed


def some_sizes(samples: int, epoch: int = 0) -> NDArray[np.int64]:
    """Tokens as long-tailed as those of conversations with and without teachers; patches that go with them loosely."""
    rng = np.random.default_rng([samples, epoch])
    tokens = rng.integers(200, 500, samples) + (rng.random(samples) < 0.7) * rng.integers(200, 900, samples)
    return np.stack([tokens, 4 * rng.integers(100, 400, samples)], axis=1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 9000)), min_size=1, max_size=200), st.data())
def test_each_sample_is_in_one_row(sizes: list[tuple[int, int]], data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, len(sizes)))
    filled = list(fill_rows(np.array(sizes), rows, np.random.default_rng(0)))
    assert len(filled) == rows and all(filled)
    assert sorted(i for row in filled for i in row) == list(range(len(sizes)))


@pytest.mark.parametrize("samples", [256, 4000])
def test_rows_are_equally_full_of_tokens_and_of_patches(samples: int) -> None:
    sizes = some_sizes(samples)
    filled = list(fill_rows(sizes, samples // 8, np.random.default_rng(0)))
    loads = np.array([sizes[row].sum(0) for row in filled])
    by_chance = np.random.default_rng(0).permutation(samples).reshape(-1, 8)
    random = np.array([sizes[row].sum(0) for row in by_chance])
    spread, usual = loads.std(0) / loads.mean(0), random.std(0) / random.mean(0)
    assert (spread < 0.05).all() and (spread < usual / 2).all()


def test_rows_meet_other_samples_in_other_epochs() -> None:
    sizes = some_sizes(128)
    first, again, other = (list(fill_rows(sizes, 16, np.random.default_rng(seed))) for seed in (0, 0, 1))
    assert first == again
    together = [
        {frozenset((a, b)) for row in rows for a in row for b in row if a < b} for rows in (first, other)
    ]
    assert len(together[0] & together[1]) < 0.2 * len(together[0])


@given(st.lists(st.integers(1, 100), min_size=1, max_size=300))
def test_the_rows_that_are_needed_are_near_the_least(lengths: list[int]) -> None:
    needed = rows_needed(np.array(lengths), 100)
    least = -(-sum(lengths) // 100)
    assert least <= needed <= min(len(lengths), 2 * least)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("tokens", [None, 6000])
def test_every_epoch_has_as_many_rows(tokens: int | None, ranks: int) -> None:
    plan = RowPlan(lambda epoch: some_sizes(240, epoch), 240, PackingSettings(tokens, 8), 0)
    epochs = [list(plan.rows(epoch, ranks)) for epoch in range(12)]
    assert {len(rows) for rows in epochs} == {plan.num_rows(ranks)} and plan.num_rows(ranks) % ranks == 0
    if tokens is None:
        assert len(epochs[0]) - 240 // 8 < ranks
    for epoch, rows in enumerate(epochs):
        if tokens is not None:
            loads = np.array([some_sizes(240, epoch)[row, 0].sum() for row in rows])
            assert loads.max() <= tokens
            assert loads.mean() > 0.8 * tokens


def test_fewer_samples_than_processes_are_refused() -> None:
    plan = RowPlan(lambda epoch: some_sizes(3), 3, PackingSettings(None, 8), 0)
    assert plan.num_rows(2) == 2
    with pytest.raises(ConfigError, match="3 samples cannot be shared by 4 processes"):
        plan.num_rows(4)
