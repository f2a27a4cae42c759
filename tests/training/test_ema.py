from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy_task import ToyModel, ToyTask, logged, losses, toy_config, train

from argusvl.training.ema import ExponentialMovingAverage
from argusvl.training.trainer import ArgusTrainer


def test_the_average_follows_its_recurrence_with_warm_up() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    ema = ExponentialMovingAverage({"w": weight}, decay=0.5)
    expected = weight.detach().clone()
    for update in range(12):
        with torch.no_grad():
            weight.add_(1.0)
        ema.update()
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * weight.detach()
    torch.testing.assert_close(ema.state()["w"], expected)


def test_applied_weights_are_taken_back_bit_by_bit() -> None:
    weight = nn.Parameter(torch.full((3,), 1 / 3, dtype=torch.bfloat16))
    ema = ExponentialMovingAverage({"w": weight}, decay=0.9)
    with torch.no_grad():
        weight.fill_(2 / 3)
    ema.update()
    own = weight.detach().clone()
    with pytest.raises(RuntimeError, match="in the body"), ema.applied():
        assert not torch.equal(weight, own)
        raise RuntimeError("in the body")
    assert torch.equal(weight, own)


def test_a_bfloat16_weight_is_averaged_in_float32() -> None:
    weight = nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))
    ema = ExponentialMovingAverage({"w": weight}, decay=0.9999)
    ema.updates = 10**6
    with torch.no_grad():
        weight.fill_(1.0)
    for _ in range(1000):
        ema.update()
    assert ema.state()["w"].item() == pytest.approx(1 - math.pow(0.9999, 1000), rel=1e-3)


def test_evaluation_and_checkpoint_use_the_average_and_training_does_not(
    tmp_path: Path, trained: Callable[..., Path]
) -> None:
    seen: list[torch.Tensor] = []

    class Watching(ToyTask):
        def evaluate(self, model: Any, dataset: Any, parallel: Any) -> dict[str, float]:
            seen.append(model.body.weight.detach().clone())
            return {"score": 1.0}

    options: dict[str, Any] = {"max_steps": 4, "eval_steps": 4, "save_steps": 4}
    trainer = ArgusTrainer(Watching(), toy_config(tmp_path / "run", ema_decay=0.9, **options))
    trainer.train()
    trainer.save_state()
    raw = trainer.run.network.body.weight.detach()
    saved = ToyModel.from_pretrained(tmp_path / "run" / "checkpoint-4").body.weight
    assert trainer.run.ema is not None
    average = trainer.run.ema.state()["body.weight"]

    assert not torch.equal(raw, average)
    assert torch.equal(seen[0], average)
    assert torch.equal(saved, average)

    assert losses(logged(tmp_path / "run")) == losses(logged(trained(**options)))


def test_turning_the_average_off_or_on_when_resuming(tmp_path: Path) -> None:
    options: dict[str, Any] = {"save_steps": 3, "eval_steps": 100, "lr_scheduler_type": "constant"}
    plain = train(ToyTask(), tmp_path / "plain", max_steps=6, **options)
    train(ToyTask(), tmp_path / "on", max_steps=3, ema_decay=0.9, **options)
    options["allow_changes"] = True
    off = train(ToyTask(), tmp_path / "on", resume=True, max_steps=6, **options)
    assert losses(off) == losses(plain), "the raw weights go on"
    later = train(ToyTask(), tmp_path / "plain", resume=True, max_steps=8, ema_decay=0.9, **options)
    assert len(later) == 8 and losses(later[:6]) == losses(plain)
