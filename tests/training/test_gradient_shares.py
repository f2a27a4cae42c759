"""How strongly each objective pulls: right figures, and a training that goes as if nothing had been measured."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_ranks import both_ranks
from toy_task import PlannedData, ToyTask, logged, losses, toy_config, train

from argusvl.core.weight_files import load_safetensors
from argusvl.training.gradient_shares import shares_of
from argusvl.training.listeners import Listener
from argusvl.training.step import StepRecord
from argusvl.training.stepping import forward_backward
from argusvl.training.trainer import ArgusTrainer

STEPS: dict[str, Any] = {"max_steps": 6, "eval_steps": 6, "save_steps": 6, "logging_steps": 2}
MEASURED: dict[str, Any] = {"gradient_shares_every": 1, "attention_entropy_every": 1}


class Draws(Listener):
    """What the generators give after each step."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float, float]] = []

    def on_step(self, record: StepRecord) -> None:
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        self.seen.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (ToyTask(), {}),
        (ToyTask(), {"gradient_accumulation_steps": 2, "ema_decay": 0.9}),
        (ToyTask(data=PlannedData), {}),
        (ToyTask(), {"balance_decay": 0.5}),
    ],
    ids=["plain", "accumulation", "packed", "balanced"],
)
def test_measuring_changes_nothing(task: ToyTask, options: dict[str, Any], tmp_path: Path) -> None:
    drawn, results = [Draws(), Draws()], []
    for draws, measured in zip(drawn, ({}, MEASURED), strict=True):
        folder = tmp_path / str(len(measured))
        entries = train(task, folder, listeners=[draws], **STEPS | options | measured)
        assert any(key.startswith("gs/") for key in entries[0]) == bool(measured)
        results.append((losses(entries), load_safetensors(folder / "checkpoint-6" / "model.safetensors")))
    (before, weights), (after, weights_measured) = results
    assert before == after and drawn[0].seen == drawn[1].seen and len(drawn[0].seen) == 6
    assert all(torch.equal(weights[name], weights_measured[name]) for name in weights)


def test_norms_are_those_of_each_weighted_term_alone(tmp_path: Path) -> None:
    trainer = ArgusTrainer(ToyTask(dropout=0.0), toy_config(tmp_path))
    run = trainer.run
    batch = run.task.collate([run.train_dataset[index] for index in (0, 1, 5)])
    counts = run.losses.counts_of([batch])
    found = forward_backward(run, [batch], counts, wants=frozenset({"gradient_shares"})).gradient_shares
    assert found is not None
    model, expected = run.network, {}
    for term in run.task.loss_terms():
        model.zero_grad()
        (model(**batch.inputs).loss_terms[term.name] * term.weight / counts[term.count]).backward()
        # All three reach every parameter that they share; kinds without a row get zeros.
        squares = sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None)
        expected[term.name] = squares**0.5
    assert found.norms == pytest.approx(expected, rel=1e-5)
    total = sum(expected.values())
    assert found.shares == pytest.approx({name: norm / total for name, norm in expected.items()}, rel=1e-5)


def test_the_trunk_is_what_the_most_objectives_reach() -> None:
    norms = torch.tensor([[3.0, 4.0, 100.0], [0.3, 0.4, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    found = shares_of(["a", "b", "c"], norms, ["body", "body", "head"])
    assert found.norms == pytest.approx({"a": 3.0, "b": 0.3, "c": 1.0})
    assert found.greatest["b"] == pytest.approx(0.3 / 4.3)
    # The greatest share is that of the group where it is greatest.
    norms = torch.tensor([[1e4, 1e-3], [1.0, 1.0]], dtype=torch.float64)
    found = shares_of(["loud", "quiet"], norms, ["body", "head"])
    assert found.shares["quiet"] < 1e-3 and found.greatest["quiet"] > 0.9


@pytest.mark.parametrize("norms", [[[1.0], [0.0]], [[float("nan")], [1.0]]], ids=["alone", "not finite"])
def test_where_nothing_is_shared_or_finite_there_are_no_shares(norms: list[list[float]]) -> None:
    assert shares_of(["a", "b"], torch.tensor(norms), ["body"]).shares == {}


def test_they_are_measured_as_often_as_asked(tmp_path: Path) -> None:
    train(ToyTask(), tmp_path, **STEPS | {"gradient_shares_every": 3})
    with_shares = [entry["step"] for entry in logged(tmp_path) if "gs/fit" in entry]
    assert with_shares == [6]
    assert sum(v for k, v in logged(tmp_path)[-1].items() if k.startswith("gs/")) == pytest.approx(1)


def test_two_processes_train_as_if_nothing_was_measured(tmp_path: Path, two_ranks: Path) -> None:
    both_ranks(tmp_path, gradient_shares_every=1)
    entries = [logged(folder) for folder in (two_ranks, tmp_path)]
    assert losses(entries[0]) == losses(entries[1])
    assert "gs/fit" in entries[1][0] and "gs/fit" not in entries[0][0]
