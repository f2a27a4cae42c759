"""The doctor in the engine: a healthy run gives no finding, a fault is told while it trains, once, with what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import GROUPS, PlannedData, ToyModel, ToyTask, events, logged, losses, toy_config, train
from transformers import PreTrainedModel

from argusvl.config.schema import PhaseSection
from argusvl.core.errors import TrainingError
from argusvl.run.events import read_events
from argusvl.training.parallel import Parallel
from argusvl.training.trainer import ArgusTrainer

STEPS: dict[str, Any] = {"max_steps": 40, "eval_steps": 20, "save_steps": 60, "logging_steps": 10}
FAST = GROUPS[0], replace(GROUPS[1], learning_rate=30.0)


class CarefulTask(ToyTask):
    """Evaluates as one should."""

    def evaluate(self, model: PreTrainedModel, dataset: Any, parallel: Parallel) -> dict[str, float]:
        model.eval()
        batch = self.collate([dataset[i] for i in range(len(dataset))]).inputs
        with torch.no_grad():
            error = model(**batch).loss_terms["fit"].item()
        return {"score": -error, "error": error}


def found(folder: Path) -> list[dict[str, Any]]:
    """Findings with the steps at which they were told."""
    told = events(folder, "found")
    return [{**event["finding"], "step": event["step"]} for event in told]


HEALTHY: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "accumulation": ({}, {"gradient_accumulation_steps": 2}),
    "average": ({}, {"ema_decay": 0.9}),
    "packed": ({"data": PlannedData}, {}),
    "warm-up": ({}, {"warmup_ratio": 0.9, "lr_scheduler_type": "linear"}),
    "one batch": ({}, {"per_device_train_batch_size": 22}),
    "restarts": ({}, {"lr_scheduler_type": "cosine_with_restarts"}),
    "phases": (
        {},
        {"phases": [PhaseSection(until=0.5, train=["head"]), PhaseSection(until=1.0, train=["body"])]},
    ),
    "rate 0": ({"groups": (GROUPS[0], replace(GROUPS[1], learning_rate=0.0))}, {}),
    "waits for an epoch": ({"groups": (replace(GROUPS[0], frozen_epochs=3.0), GROUPS[1])}, {}),
}
"""Of the task, and of the run; what is declared to be frozen is meant."""


@pytest.mark.parametrize("case", HEALTHY)
def test_a_healthy_run_gives_no_finding(case: str, tmp_path: Path) -> None:
    task, options = HEALTHY[case]
    train(CarefulTask(**task), tmp_path, **STEPS | options)
    assert found(tmp_path) == []


def test_the_rate_of_one_group_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        train(CarefulTask(groups=FAST), tmp_path, **STEPS)
    (event,) = found(tmp_path)
    assert event["kind"] == "learning-rate-too-high" and event["group"] == "body" and event["step"] <= 30
    lines = [r.getMessage() for r in caplog.records if "learning-rate-too-high" in r.getMessage()]
    assert len(lines) == 1 and lines[0].startswith("N-408") and "What to do: " in lines[0]
    assert "warmup_ratio" not in lines[0]  # of the configuration, it is high enough


def test_a_group_that_never_trains_though_it_has_a_rate_is_found_at_once(tmp_path: Path) -> None:
    groups = replace(GROUPS[0], frozen_epochs=50.0), replace(GROUPS[1], learning_rate=0.001)
    train(CarefulTask(groups=groups), tmp_path, **STEPS)
    (event,) = found(tmp_path)
    assert (event["id"], event["where"], event["step"]) == ("D-003", "group head", 0)


class Cut(ToyModel):
    """Nothing comes back to the body: something before the head cuts the graph."""

    def forward(self, x: Any, kind: Any, y: Any, attention_mask: Any) -> Any:
        with torch.no_grad():
            hidden = self.norm(torch.tanh(self.body(x)) + self.kinds(kind))
        output = super().forward(x, kind, y, attention_mask)
        error = self.head(hidden)[:, 0] - y
        output.loss_terms = {"fit": error.square().sum()}
        return output


def test_a_module_that_no_gradient_reaches_is_named(tmp_path: Path) -> None:
    train(CarefulTask(network=Cut), tmp_path, **STEPS)
    (event,) = found(tmp_path)
    assert event["kind"] == "no-gradient" and "body" in event["where"] and event["step"] <= 20


def test_an_evaluation_with_dropout_at_work_is_found(tmp_path: Path) -> None:
    train(ToyTask(), tmp_path, **STEPS | {"eval_steps": 10})
    assert [event["kind"] for event in found(tmp_path)] == ["evaluation-in-training-mode"]


def test_a_loss_that_is_no_number_is_found_before_the_run_stops(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not finite"):
        train(CarefulTask(broken=9), tmp_path, **STEPS | {"per_device_train_batch_size": 1})
    events = [event["event"] for event in read_events(tmp_path)]
    assert events[-2:] == ["found", "stopped"]
    assert found(tmp_path)[0]["kind"] == "non-finite-loss"


def test_watching_changes_nothing_of_the_run(
    tmp_path: Path, trained: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = logged(trained(kind=CarefulTask, **STEPS))
    monkeypatch.setattr("argusvl.training.watching.RunWatch.on_event", lambda self, event: None)
    assert losses(train(CarefulTask(), tmp_path, **STEPS)) == losses(watched)


def test_a_batch_is_not_kept_beyond_its_step(tmp_path: Path) -> None:
    trainer = ArgusTrainer(CarefulTask(), toy_config(tmp_path, **STEPS | {"max_steps": 3}))
    trainer.train()
    assert trainer.watch.evidence is None and trainer.watch._steps == 3
