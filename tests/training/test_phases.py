"""What trains when, and how fast: read back from the optimizer."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from toy_task import GROUPS, PlannedData, ToyData, ToyTask, toy_config, train

from argusvl.config.schema import PhaseSection, RateScalingSection
from argusvl.core.errors import ConfigError
from argusvl.training.listeners import Listener
from argusvl.training.step import StepRecord
from argusvl.training.trainer import ArgusTrainer

STEADY: dict[str, Any] = {
    "lr_scheduler_type": "constant",
    "warmup_ratio": 0.0,
    "eval_steps": 100,
    "max_steps": 8,
}
PHASES = [
    PhaseSection(until=0.25, train=["body"]),
    PhaseSection(until=0.75, rates={"head": 2.0}),
    PhaseSection(until=1.0, train=["head"], rates={"head": 0.5}),
]


def test_phases_weigh_loss_terms(tmp_path: Path) -> None:
    phases = [
        PhaseSection(until=0.5, weights={"rare": 0.0, "size": 0.0}),
        PhaseSection(until=1.0, weights={"fit": 0.0, "size": 0.0}),
    ]
    entries = train(ToyTask(), tmp_path, phases=phases, **STEADY)
    # A term is not logged where a step has nothing to count it by.
    shown = [e["fit_loss"] if e["step"] <= 4 else 0.5 * e.get("rare_loss", 0.0) for e in entries]
    assert [e["loss"] for e in entries] == pytest.approx(shown)


WAITING = (replace(GROUPS[0], frozen_epochs=0.5), GROUPS[1])


@pytest.mark.parametrize(
    ("groups", "phases", "head", "body", "rates"),
    [
        (WAITING, None, [False] * 3 + [True] * 5, [True] * 8, [0.02] * 8),
        (
            GROUPS,
            PHASES,
            [False] * 2 + [True] * 6,
            [True] * 6 + [False] * 2,
            [0.02] * 2 + [0.04] * 4 + [0.01] * 2,
        ),
    ],
    ids=["waits for an epoch", "rests in a phase"],
)
def test_a_group_that_waits_or_rests_does_not_move_and_trains_as_fast_as_told(
    tmp_path: Path, groups: Any, phases: Any, head: list[bool], body: list[bool], rates: list[float]
) -> None:
    """An epoch has six steps."""
    weights: list[tuple[torch.Tensor, ...]] = []

    class Looking(Listener):
        def on_step(self, record: StepRecord) -> None:
            weights.append((network.head.weight.clone(), network.body.weight.clone()))

    config = toy_config(tmp_path, phases=phases, **STEADY)
    trainer = ArgusTrainer(ToyTask(groups=groups), config, listeners=[Looking()])
    network = trainer.run.network
    weights.append((network.head.weight.clone(), network.body.weight.clone()))
    trainer.train()
    for part, expected in enumerate((head, body)):
        moves = [not torch.equal(one[part], other[part]) for one, other in pairwise(weights)]
        assert moves == expected
    entries = [e for e in trainer.state.log_history if "loss" in e]
    assert ["gn/head" in e for e in entries] == head and ["gn/body" in e for e in entries] == body
    assert all("wn/head" in e for e in entries)
    assert [e["lr/head"] for e in entries] == pytest.approx(rates)
    assert [e["lr/body"] for e in entries] == pytest.approx([0.01] * 8)


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (PhaseSection(until=1.0, train=["haed"]), "there is no group 'haed'; did you mean 'head'"),
        (PhaseSection(until=1.0, rates={"tail": 0.5}), "there is no group 'tail'"),
        (PhaseSection(until=1.0, weights={"fat": 0.5}), "there is no loss term 'fat'; did you mean 'fit'"),
        (PhaseSection(until=1.0, train=[]), "nothing would train in it"),
        (PhaseSection(until=1.0, train=["head"], rates={"head": 0.0}), "nothing would train in it"),
    ],
)
def test_a_phase_that_cannot_be_is_refused(tmp_path: Path, phase: PhaseSection, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(ToyTask(), tmp_path, phases=[phase], **STEADY)


@pytest.mark.parametrize("ends", [[0.5], [0.5, 0.5, 1.0], [0.7, 0.2, 1.0]])
def test_phases_cover_training_in_order(tmp_path: Path, ends: list[float]) -> None:
    with pytest.raises(ValidationError):
        toy_config(tmp_path, phases=[PhaseSection(until=end) for end in ends])


@pytest.mark.parametrize(
    ("rule", "data", "factor"),
    [
        ("linear", ToyData, 4 * 2 / 16),
        ("sqrt", ToyData, (4 * 2 / 16) ** 0.5),
        # 22 samples in 6 batches, whatever per_device_train_batch_size says.
        ("linear", PlannedData, 22 / 6 * 2 / 16),
    ],
)
def test_rates_follow_the_samples_of_a_step(tmp_path: Path, rule: Any, data: Any, factor: float) -> None:
    scaling = RateScalingSection(rule=rule, reference_samples=16)
    options = {**STEADY, "gradient_accumulation_steps": 2, "max_steps": 2}
    entries = train(ToyTask(data=data), tmp_path, rate_scaling=scaling, **options)
    assert [e["lr/head"] for e in entries] == pytest.approx([0.02 * factor] * 2)
