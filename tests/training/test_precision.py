"""``bf16: auto``: decided when a run begins, by its first rank, and held to when it goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import ToyModel, ToyTask, losses, toy_config, train

from argusvl.core import precision
from argusvl.training.trainer import ArgusTrainer

SLOW, FAST = 0.1, 5.0
OPTIONS: dict[str, Any] = {"bf16": "auto", "save_steps": 4, "eval_steps": 100}


@dataclass
class Watched(ToyTask):
    """Notes what its model computes in."""

    seen: set[torch.dtype] = field(default_factory=set)

    def model(self) -> ToyModel:
        model = super().model()
        model.body.register_forward_hook(lambda module, given, found: self.seen.add(found.dtype))
        return model


def machine(monkeypatch: pytest.MonkeyPatch, speed: float) -> None:
    monkeypatch.setattr(precision, "cpu_speed", lambda: speed)


@pytest.mark.parametrize(("speed", "dtype"), [(SLOW, torch.float32), (FAST, torch.bfloat16)])
def test_the_machine_decides_and_the_run_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speed: float, dtype: torch.dtype
) -> None:
    machine(monkeypatch, speed)
    task = Watched()
    train(task, tmp_path / "run", max_steps=2, **OPTIONS)
    assert task.seen == {dtype}, "evaluations included"
    found = json.loads((tmp_path / "run" / "environment.json").read_text(encoding="utf-8"))
    assert found["precision"] == str(dtype).removeprefix("torch.")
    assert found["bfloat16_speed"] == speed
    assert f"{speed:.2g} times" in found["precision_because"]
    assert "bf16: auto" in (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")


def test_nobody_else_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")  # as `accelerate launch` sets it
    task = Watched()
    trainer = ArgusTrainer(task, toy_config(tmp_path, bf16=False, max_steps=1))
    trainer.train()
    assert task.seen == {torch.float32} and not trainer.run.precision.bf16


@pytest.mark.parametrize(("then", "now"), [(FAST, SLOW), (SLOW, FAST)])
def test_a_run_goes_on_in_what_it_began_in_whatever_is_measured_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: float, now: float
) -> None:
    machine(monkeypatch, then)
    whole = train(ToyTask(), tmp_path / "run", **OPTIONS)
    (tmp_path / "run" / "checkpoint-12").rename(tmp_path / "gone")
    machine(monkeypatch, now)
    parts = train(ToyTask(), tmp_path / "run", resume=True, **OPTIONS)
    assert losses(parts) == losses(whole)
    # The configuration may still say otherwise.
    (tmp_path / "run" / "checkpoint-12").rename(tmp_path / "gone too")
    changed = train(ToyTask(), tmp_path / "run", resume=True, **OPTIONS | {"bf16": then == SLOW})
    assert losses(changed)[12] != losses(whole)[12]
