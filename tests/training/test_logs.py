from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_task import ToyTask, logged, toy_config, train

from argusvl.training.norms import gradient_norms, tensor_norms
from argusvl.training.policies import Action, Continue, Policies, Policy
from argusvl.training.step import StepRecord
from argusvl.training.trainer import ArgusTrainer

PROMISED = {
    "loss", "grad_norm", "epoch", "fit_loss", "rare_loss", "all_loss",
    "wn/head", "wn/body", "gn/head", "gn/body", "lr/head", "lr/body",
    "throughput/samples_per_second", "throughput/tokens_per_second", "throughput/padding_share",
    "throughput/data_wait_share", "memory/rss_mib",
    "seconds/data", "seconds/forward", "seconds/backward", "seconds/optimizer",
}  # fmt: skip


def test_tensorboard_has_exactly_the_promised_names(tmp_path: Path) -> None:
    train(ToyTask(), tmp_path / "run", report_to=["tensorboard"], logging_steps=6)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    names = set(events.Tags()["scalars"])
    at_the_end = {"train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss"}
    assert names == PROMISED | at_the_end | {"eval/score", "eval/error", "eval/seconds"}
    assert [e.step for e in events.Scalars("fit_loss")] == [6, 12]
    assert [e.step for e in events.Scalars("eval/score")] == [5, 10, 12]


def test_a_resumed_run_goes_on_in_the_same_curves(tmp_path: Path) -> None:
    options: dict[str, Any] = {"report_to": ["tensorboard"], "save_steps": 4, "eval_steps": 100}
    train(ToyTask(), tmp_path / "run", **options)
    (tmp_path / "run" / "checkpoint-12").rename(tmp_path / "gone")  # as if it had died after step 11
    time.sleep(1.1)  # TensorBoard orders its files by whole seconds
    train(ToyTask(), tmp_path / "run", resume=True, **options)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("loss")] == list(range(1, 13))


def test_everything_logged_is_a_plain_number(tmp_path: Path, trained: Callable[..., Path]) -> None:
    assert set(logged(trained())[-1]) | {"rare_loss"} >= PROMISED
    trainer = ArgusTrainer(ToyTask(), toy_config(tmp_path / "other", max_steps=3))
    seen: list[dict[str, Any]] = []
    trainer.callback_handler.on_log = lambda a, s, control, logs: seen.append(dict(logs)) or control  # type: ignore
    trainer.train()
    assert seen and all(type(value) in (int, float) for logs in seen for value in logs.values())


def test_norms_and_rates_are_those_of_the_step(tmp_path: Path) -> None:
    trainer = ArgusTrainer(ToyTask(), toy_config(tmp_path / "run", max_steps=2, max_grad_norm=0.5))
    before_clipping: list[float] = []

    class Looking(Policy):
        def after_backward(self, record: StepRecord) -> Action:
            gradients = [p.grad for p in trainer.run.network.head.parameters()]
            before_clipping.append(float(torch.cat([g.flatten() for g in gradients]).norm()))
            return Continue()

    trainer.run.policies = Policies([Looking()])
    trainer.train()
    entries = [e for e in trainer.state.log_history if "loss" in e]
    assert [e["gn/head"] for e in entries] == pytest.approx(before_clipping, rel=1e-5)
    assert entries[0]["grad_norm"] > 0.5, "shown before clipping"
    for entry in entries:
        assert entry["grad_norm"] ** 2 == pytest.approx(
            entry["gn/head"] ** 2 + entry["gn/body"] ** 2, rel=1e-5
        )
        assert entry["lr/head"] == pytest.approx(2 * entry["lr/body"])
    weights = torch.cat([p.detach().flatten() for p in trainer.run.network.head.parameters()])
    assert entries[-1]["wn/head"] == pytest.approx(float(weights.norm()), rel=1e-5)


def test_the_norm_by_which_gradients_are_clipped_is_torch_s_own() -> None:
    torch.manual_seed(0)
    named = {"a": torch.nn.Parameter(torch.randn(3, 4)), "b": torch.nn.Parameter(torch.randn(5).bfloat16())}
    for parameter in named.values():
        parameter.grad = torch.randn_like(parameter) * 9
    norms = gradient_norms(named)
    expected = torch.nn.utils.clip_grad_norm_(named.values(), 1.0)
    assert float(norms.total) == pytest.approx(float(expected), rel=1e-3)
    assert float(gradient_norms(named).total) == pytest.approx(1.0, rel=1e-2)
    assert tensor_norms([]).tolist() == []
