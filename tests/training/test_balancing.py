"""Loss terms at the shares that their weights name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_phases import STEADY
from test_ranks import QUIET, both_ranks
from toy_task import ToyTask, logged, train

from argusvl.training.policies.balancing import MOST, TermSizes
from argusvl.training.protocol import LossTerm

UNEVEN = {"fit": 1.0, "rare": 0.5, "size": 2.0}


@pytest.mark.parametrize("seed", range(5))
def test_each_term_gets_its_share_and_the_loss_stays_as_large(seed: int) -> None:
    generator = np.random.default_rng(seed)
    names = ["a", "b", "c", "off", "absent"]
    weights = dict(zip(names, [*generator.uniform(0.1, 3, 3), 0.0, 1.0], strict=True))
    means = dict(zip(names[:4], 10 ** generator.uniform(-0.9, 0.9, 4), strict=True))
    counts = {name: int(generator.integers(1, 50)) for name in names} | {"absent": 0}
    sizes = TermSizes([LossTerm(name, name, weights[name], None) for name in names], 0.9)
    for _ in range(3):
        sizes.add({name: means.get(name, 0.0) * counts[name] for name in names}, counts)
    factors = sizes.factors()
    assert set(factors) == {"a", "b", "c"}
    parts = {name: weights[name] * factors[name] * means[name] for name in factors}
    before = sum(weights[name] * means[name] for name in factors)
    assert sum(parts.values()) == pytest.approx(before)
    for name, part in parts.items():
        assert part / before == pytest.approx(weights[name] / sum(weights[n] for n in factors))


def test_what_comes_to_nothing_or_is_not_finite_does_no_harm() -> None:
    sizes = TermSizes([LossTerm("a", "n", 1.0, None), LossTerm("b", "n", 1.0, None)], 0.5)
    sizes.add({"a": 1.0, "b": 1e-9}, {"n": 1})
    assert sizes.factors()["b"] == MOST
    known = dict(sizes.sizes)
    sizes.add({"a": float("nan"), "b": float("inf")}, {"n": 1})
    assert sizes.sizes == known
    empty = TermSizes([LossTerm("a", "n", 1.0, None)], 0.5)
    empty.add({"a": 0.0}, {"n": 1})
    assert empty.factors() == {}


def test_a_run_is_balanced_from_its_second_step_on(tmp_path: Path) -> None:
    task = ToyTask(weights=UNEVEN, **QUIET)
    plain = train(task, tmp_path / "plain", **STEADY)
    entries = train(task, tmp_path / "balanced", balance_decay=0.0, **STEADY)
    ours, theirs = ([e["loss"] for e in run] for run in (entries, plain))
    assert ours[0] == theirs[0] and ours[1] != pytest.approx(theirs[1], rel=1e-3)


def test_two_ranks_balance_as_one(tmp_path: Path) -> None:
    steady = {"lr_scheduler_type": "constant", "warmup_ratio": 0.0, "max_steps": 8, "balance_decay": 0.9}
    both_ranks(tmp_path / "two", **steady)
    one = train(ToyTask(**QUIET), tmp_path / "one", max_grad_norm=1e9, **STEADY | steady)
    two = logged(tmp_path / "two")
    assert [e["loss"] for e in two] == pytest.approx([e["loss"] for e in one], rel=1e-4)
