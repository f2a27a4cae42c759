"""Faults injected into data, a term, a gradient, the weights: a run that recovers ends where one without them does."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_ranks import QUIET, both_ranks, said
from toy_task import ToyModel, ToyTask, events, history, logged, losses, toy_config, train

from argusvl.config.schema import RecoverySection
from argusvl.core.batch import Batch
from argusvl.core.errors import CheckpointError, TrainingError
from argusvl.training.bad_step import BadStep
from argusvl.training.parallel import Parallel
from argusvl.training.policies import Action, Plan, Policy, Progress, Stop
from argusvl.training.policies.non_finite import Recover
from argusvl.training.replay import replay
from argusvl.training.step import StepRecord
from argusvl.training.trainer import ArgusTrainer

OPTIONS: dict[str, Any] = {"num_train_epochs": 8.0, "eval_steps": 1000, "save_steps": 1000}


def recovery(**changes: Any) -> RecoverySection:
    limits = {"max_consecutive_nan": 2, "max_nan_ratio": 0.5, "nan_window": 20, "max_zero_loss": 5}
    ways = {"rate_factor": 0.5, "clip_factor": 0.5, "recovery_steps": 4, "max_roll_backs": 3}
    chosen: dict[str, Any] = {**limits, **ways, "snapshot_steps": 5}
    return RecoverySection(**chosen | changes)


class FaultyModel(ToyModel):
    """Something in it is not finite at chosen forward passes, counted over all of training."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.passes = 0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = super().forward(*args, **kwargs)
        if self.training:
            self.passes += 1
            self.inject(output)
        return output

    def inject(self, output: Any) -> None:
        raise NotImplementedError


class BadTerm(FaultyModel):
    def inject(self, output: Any) -> None:
        if 10 <= self.passes < 12:
            output.loss_terms["rare"] = output.loss_terms["rare"] * float("inf")


class BadGradient(FaultyModel):
    def inject(self, output: Any) -> None:
        if self.passes == 10:
            zero = (self.head.bias * 0.0).abs().sum()
            output.loss_terms["size"] = output.loss_terms["size"] + zero.sqrt()


class BadWeights(ToyTask):
    """A weight is lost between two steps, once: no step after it is good, until training goes back."""

    lost_after = 12

    def model(self) -> ToyModel:
        self.kept = super().model()
        return self.kept


class LoseWeight(Policy):
    def __init__(self, task: BadWeights) -> None:
        self._task, self._done = task, False

    def plan(self, progress: Progress) -> Plan:
        if progress.step == self._task.lost_after and not self._done:
            self._done = True
            with torch.no_grad():
                self._task.kept.head.weight[0, 0] = float("nan")
        return super().plan(progress)


def run(task: ToyTask, folder: Path, **options: Any) -> list[dict[str, float]]:
    policies = [LoseWeight(task)] if isinstance(task, BadWeights) else []
    return train(task, folder, policies=policies, **OPTIONS | options)


BAD_DATA = partial(ToyTask, broken=9)
BAD_TERM, BAD_GRADIENT = partial(ToyTask, network=BadTerm), partial(ToyTask, network=BadGradient)
FAULTS: dict[str, tuple[Callable[[], ToyTask], str]] = {
    "data": (BAD_DATA, "skipped"),
    "term": (BAD_TERM, "skipped"),
    "gradient": (BAD_GRADIENT, "skipped"),
    "weights": (BadWeights, "rolled_back"),
}


def end_of(entries: list[dict[str, float]]) -> float:
    """The mean loss of the last epoch."""
    return fmean(entry["fit_loss"] for entry in entries if entry["step"] > 42)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_that_recovers_ends_within_the_noise_of_one_without_a_fault(
    tmp_path: Path, trained: Callable[..., Path], fault: str
) -> None:
    make, event = FAULTS[fault]
    seeds = (3, 4, 5)
    healthy = [end_of(logged(trained(seed=seed, **OPTIONS))) for seed in seeds]
    ends = []
    for seed in seeds:
        folder = tmp_path / f"{fault}-{seed}"
        ends.append(end_of(run(make(), folder, seed=seed, recovery=recovery())))
        assert events(folder, event)
    noise = max(healthy) - min(healthy)
    assert abs(fmean(ends) - fmean(healthy)) <= noise


def test_a_roll_back_goes_to_good_weights_and_trains_on_more_carefully_as_configured(tmp_path: Path) -> None:
    """The weight is lost just before a snapshot is due."""
    task = BadWeights()
    task.lost_after = 9
    entries = run(task, tmp_path, recovery=recovery(), lr_scheduler_type="constant", warmup_ratio=0.0)
    (back,) = events(tmp_path, "rolled_back")
    assert back["to"] == 5
    rates = {int(entry["step"]): entry["lr/head"] for entry in entries}
    assert [step for step, rate in rates.items() if rate == pytest.approx(0.01)] == [6, 7, 8, 9]
    (scaled,) = events(tmp_path, "scaled")
    assert (scaled["factor"], scaled["clip"], scaled["steps"]) == (0.5, 0.5, 4)


class Hopeless(FaultyModel):
    def inject(self, output: Any) -> None:
        if self.passes > 8:
            output.loss_terms["rare"] = output.loss_terms["rare"] * float("nan")


def test_what_does_not_help_ends_with_a_diagnosis(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        train(ToyTask(network=Hopeless), tmp_path, recovery=recovery(max_roll_backs=2), **OPTIONS)
    message = str(caught.value)
    assert "after 2 roll-backs" in message and "rare 9 times" in message
    assert "the weight of that term" in message
    assert len(list((tmp_path / "non_finite").iterdir())) <= 5


@pytest.mark.parametrize(
    ("steps", "blamed"),
    [
        ([("a", "b"), ("a", "c"), ("a", "d")], "look at a:"),
        ([("a", "b", "c")] * 3, "lower the learning rates"),  # one batch, again and again after roll-backs
        ([("a", "b"), ("c", "d"), ("a", "b")], "lower the learning rates"),
    ],
)
def test_a_sample_is_blamed_only_where_it_alone_was_there_each_time(
    steps: list[tuple[str, ...]], blamed: str
) -> None:
    seen = iter(BadStep(n, "rare", None, None, names, None) for n, names in enumerate(steps))
    policy = Recover(
        Parallel(),
        lambda record: next(seen),
        recovery(max_nan_ratio=0.01, max_roll_backs=2),
    )
    action: Any = None
    for _ in steps:
        action = policy.after_backward(SimpleNamespace(finite=False, loss=math.nan))  # type: ignore[arg-type]
    assert isinstance(action, Stop) and blamed in str(action)


def test_the_share_in_a_window_counts_too(tmp_path: Path) -> None:
    """Every second step is bad: never two in a row."""

    class Flicker(FaultyModel):
        def inject(self, output: Any) -> None:
            if self.passes > 4 and len(output.predictions) % 2:
                output.loss_terms["rare"] = output.loss_terms["rare"] * float("nan")

    with pytest.raises(TrainingError, match="roll-backs"):
        train(
            ToyTask(network=Flicker),
            tmp_path,
            recovery=recovery(max_nan_ratio=0.2, nan_window=10, max_roll_backs=1),
            **OPTIONS,
        )


def test_a_loss_of_nothing_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="exactly 0 for 6 steps"):
        weights = {"fit": 0.0, "rare": 0.0, "size": 0.0}
        train(ToyTask(weights=weights), tmp_path, recovery=recovery(), **OPTIONS)


def test_what_the_limits_count_outlives_a_resumption(tmp_path: Path) -> None:
    options = {**OPTIONS, "save_steps": 4, "num_train_epochs": 2.0}
    whole = train(BAD_DATA(), tmp_path / "whole", recovery=recovery(), **options)
    train(BAD_DATA(), tmp_path / "parts", recovery=recovery(), **options)
    for step in (8, 12):
        (tmp_path / "parts" / f"checkpoint-{step}").rename(tmp_path / "parts" / f"gone-{step}")
    parts = train(BAD_DATA(), tmp_path / "parts", resume=True, recovery=recovery(), **options)
    assert losses(parts) == losses(whole)
    assert events(tmp_path / "whole", "skipped") and len(whole) < 12
    means = [history(tmp_path / name)[-1]["train_loss"] for name in ("whole", "parts")]
    assert means[0] == pytest.approx(fmean(entry["loss"] for entry in whole)) == pytest.approx(means[1])


class BadOnOneRank(ToyTask):
    def collate(self, samples: Any) -> Batch:
        batch = super().collate(samples)
        if torch.distributed.get_rank() == 1 and any(len(s["x"]) == 4 for s in samples):
            batch = replace(batch, inputs={**batch.inputs, "y": batch.inputs["y"] * float("nan")})
        return batch


def test_ranks_agree_on_what_one_of_them_found(tmp_path: Path) -> None:
    settings = recovery(max_consecutive_nan=9, max_nan_ratio=1.0, nan_window=99)
    both_ranks(tmp_path, task=BadOnOneRank(**QUIET), recovery=settings)
    results = [json.loads((tmp_path / f"rank{number}.json").read_text()) for number in range(2)]
    assert [result["steps"] for result in results] == [9, 9]
    assert events(tmp_path, "skipped")
    kept = sorted(folder.name for folder in (tmp_path / "non_finite").iterdir())
    assert any(name.endswith("-rank1") for name in kept) and any("rank" not in name for name in kept)


def test_without_recovery_all_ranks_stop(tmp_path: Path) -> None:
    both_ranks(tmp_path, task=BadOnOneRank(**QUIET))
    first, second = said(tmp_path)
    assert "loss term 'fit' is not finite" in second and "the gradient of body.weight is not" in first


# Replay


@pytest.mark.parametrize("make", [BAD_DATA, BAD_TERM, BAD_GRADIENT], ids=["data", "term", "gradient"])
@pytest.mark.parametrize("bf16", [False, True])
def test_a_kept_step_is_reproduced_bit_for_bit(tmp_path: Path, make: Any, bf16: bool) -> None:
    with pytest.raises(TrainingError) as caught:
        train(make(), tmp_path, bf16=bf16, gradient_accumulation_steps=2, **OPTIONS)
    bundle = Path(str(caught.value.where))
    before = sorted(path.name for path in tmp_path.iterdir())
    task = make()
    if task.broken is None:  # the fault depends on how often the model was called
        model = task.model
        task.model = lambda: _called(model(), 8)  # type: ignore[method-assign]
    config = toy_config(tmp_path, bf16="auto", gradient_accumulation_steps=2, **OPTIONS)
    found = replay(task, config, bundle)
    report = json.loads((bundle / "report.json").read_text())
    assert found.term_sums == report["term_sums"]
    assert found.differences == [] and found.step == report["step"]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def _called(model: Any, times: int) -> Any:
    model.passes = times
    return model


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a run that has ended."""
    with pytest.raises(TrainingError) as caught:
        train(BAD_DATA(), tmp_path_factory.mktemp("ended"), **OPTIONS)
    return Path(str(caught.value.where))


@pytest.fixture
def bundle(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "bundle"))


def test_a_replay_with_other_weights_says_so(tmp_path: Path, bundle: Path) -> None:
    report = json.loads((bundle / "report.json").read_text())
    report["term_sums"][0]["size"] = "0.5"
    (bundle / "report.json").write_text(json.dumps(report))
    found = replay(BAD_DATA(), toy_config(tmp_path, **OPTIONS), bundle)
    assert len(found.differences) == 1 and found.differences[0].startswith("term_sums[0].size was 0.5")


@pytest.mark.parametrize("name", ["report.json", "batches.pt", "weights.safetensors"])
def test_a_damaged_bundle_is_named(tmp_path: Path, bundle: Path, name: str) -> None:
    (bundle / name).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be read|is truncated"):
        replay(BAD_DATA(), toy_config(tmp_path, **OPTIONS), bundle)


def test_the_module_is_the_first_in_the_order_of_computing(tmp_path: Path) -> None:
    class Inside(Policy):
        def after_backward(self, record: StepRecord) -> Action:
            if record.step == 3:
                with torch.no_grad():
                    trainer.run.network.norm.weight[2] = float("nan")
            return super().after_backward(record)

    trainer = ArgusTrainer(ToyTask(), toy_config(tmp_path, **OPTIONS), policies=[Inside()])
    with pytest.raises(TrainingError, match=r"first in norm \(its weight is not finite\) at step 4"):
        trainer.train()
    assert all(entry["loss"] == entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
