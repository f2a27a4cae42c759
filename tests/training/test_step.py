"""One step as data: replayed without a trace, steered by policies, watched by listeners."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_task import ToyTask, events, history, logged, losses, toy_config, train
from transformers import TrainerCallback

from argusvl.core.errors import TrainingError
from argusvl.run.checkpoints import read_best, verify_checkpoint
from argusvl.run.events import append_event, read_events
from argusvl.training.listeners import Listener
from argusvl.training.policies import Action, Plan, Policy, Progress, RollBack, Scale, Skip, Stop
from argusvl.training.randomness import random_state
from argusvl.training.run import run_training
from argusvl.training.saving import take_snapshot
from argusvl.training.step import StepRecord
from argusvl.training.stepping import forward_backward
from argusvl.training.trainer import ArgusTrainer

Trained = Callable[..., Path]

QUICK: dict[str, Any] = {"eval_steps": 100, "save_steps": 100}


class Keeping(Listener):
    """Keeps every record, with all that one can have."""

    wants = frozenset({"outputs", "update_ratios"})

    def __init__(self) -> None:
        self.records: list[StepRecord] = []

    def on_step(self, record: StepRecord) -> None:
        self.records.append(record)


def test_forward_backward_has_no_side_effect_and_repeats_itself(tmp_path: Path, trained: Trained) -> None:
    """With dropout, two micro-batches and a log of every second step."""
    options: dict[str, Any] = {**QUICK, "gradient_accumulation_steps": 2, "logging_steps": 2}
    seen: list[tuple[StepRecord, StepRecord]] = []

    class Twice(Policy):
        def after_backward(self, record: StepRecord) -> Action:
            before, kept = random_state(), [p.grad.clone() for p in trainer.run.trainable.values()]
            trainer.run.wrapped.zero_grad()
            again = forward_backward(trainer.run, record.batches, record.counts, record.step)
            for old, parameter in zip(kept, trainer.run.trainable.values(), strict=True):
                assert torch.equal(old, parameter.grad)
            assert torch.equal(before["torch"], random_state()["torch"])
            seen.append((record, again))
            return super().after_backward(record)

    trainer = ArgusTrainer(ToyTask(), toy_config(tmp_path / "run", **options), policies=[Twice()])
    trainer.train()
    assert len(seen) == 6
    for record, again in seen:
        assert torch.equal(record.sums, again.sums) and torch.equal(record.losses, again.losses)
        assert torch.equal(record.gradients.norms, again.gradients.norms)
    plain = logged(trained(**options))
    assert losses([e for e in trainer.state.log_history if "loss" in e]) == losses(plain)


def test_a_forward_outside_of_a_step_leaves_no_trace_in_the_log(tmp_path: Path) -> None:
    plain = train(ToyTask(dropout=0.0), tmp_path / "plain", **QUICK, logging_steps=3)

    class Peeking(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
            task = ToyTask()
            data = task.train_dataset()
            model.train()
            trainer.compute_loss(model, task.collate([data[0], data[1]]))

    trainer = ArgusTrainer(
        ToyTask(dropout=0.0), toy_config(tmp_path / "run", **QUICK, logging_steps=3), [Peeking()]
    )
    trainer.train()
    entries = [e for e in trainer.state.log_history if "loss" in e]
    assert [e["fit_loss"] for e in entries] == [e["fit_loss"] for e in plain]


def test_a_record_says_what_the_step_was(tmp_path: Path) -> None:
    watching = Keeping()
    entries = train(ToyTask(), tmp_path, listeners=[watching], gradient_accumulation_steps=2, **QUICK)
    assert [r.step for r in watching.records] == [1, 2, 3, 4, 5, 6]
    for record, entry in zip(watching.records, entries, strict=True):
        assert record.terms == ("fit", "rare", "size") and record.sums.shape == (len(record.batches), 3)
        assert record.losses.sum().item() == pytest.approx(entry["loss"])
        assert record.gradients.total.item() == pytest.approx(entry["grad_norm"])
        assert record.counts["samples"] == sum(map(len, record.names))
        assert record.rates == {"head": entry["lr/head"], "body": entry["lr/body"]}
        assert {"data", "forward", "backward", "optimizer"} == set(record.seconds)
        assert record.outputs is not None and record.outputs[0].predictions is not None
        for group in ("head", "body"):
            assert (float(record.update_ratios[group]) > 0) == (record.rates[group] > 0)


class At(Policy):
    """One action at one step, as often as told; what is done stays done."""

    def __init__(self, step: int, action: Action, every: int = 2, times: int = 1) -> None:
        self.step, self.action, self.left = step, action, times
        self.snapshot_every = every
        self.progress: list[int] = []

    def plan(self, progress: Progress) -> Plan:
        self.progress.append(progress.step)
        return Plan()

    def after_backward(self, record: StepRecord) -> Action:
        if record.step != self.step or not self.left:
            return super().after_backward(record)
        self.left -= 1
        return self.action

    def state_dict(self) -> dict[str, Any]:
        return {"left": self.left}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.left = min(self.left, state["left"])


@pytest.mark.parametrize(("every", "to"), [(2, 6), (5, 5)], ids=["in the epoch", "over its end"])
def test_a_roll_back_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, trained: Trained, every: int, to: int
) -> None:
    """An epoch has six steps."""
    options: dict[str, Any] = {**QUICK, "ema_decay": 0.9}
    policy = At(8, RollBack("a test"), every)
    rolled = train(ToyTask(), tmp_path, policies=[policy], report_to=["tensorboard"], **options)
    assert policy.progress == [*range(8), *range(to, 12)]
    assert losses(rolled) == losses(logged(trained(**options)))
    (event,) = events(tmp_path, "rolled_back")
    assert (event["why"], event["step"], event["to"]) == ("a test", 7, to)
    curve = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    assert [point.step for point in curve] == list(range(1, 13)), "of what was given up nothing is shown"


def test_a_roll_back_with_a_change_trains_otherwise(tmp_path: Path) -> None:
    policy = At(5, RollBack("a test", change=Scale("lower", 0.5, steps=3)))
    options: dict[str, Any] = {**QUICK, "lr_scheduler_type": "constant", "max_steps": 9}
    rolled = train(ToyTask(), tmp_path / "run", policies=[policy], **options)
    # From step 5 on, for three steps: the snapshot is of step 4.
    assert [e["lr/body"] for e in rolled] == pytest.approx([0.01] * 4 + [0.005] * 3 + [0.01] * 2)


def test_scaled_rates_hold_over_a_resumption(tmp_path: Path) -> None:
    options: dict[str, Any] = {"lr_scheduler_type": "constant", "save_steps": 6, "eval_steps": 100}
    scale = Scale("a test", 0.1, steps=4)
    whole = train(ToyTask(), tmp_path / "whole", policies=[At(5, scale)], **options)
    assert [e["lr/head"] for e in whole] == pytest.approx([0.02] * 4 + [0.002] * 4 + [0.02] * 4)
    train(ToyTask(), tmp_path / "parts", policies=[At(5, scale)], max_steps=6, **options)
    parts = train(ToyTask(), tmp_path / "parts", resume=True, policies=[At(99, scale)], **options)
    assert losses(parts) == losses(whole)


def test_a_skipped_step_changes_no_weight_and_uses_up_its_samples(tmp_path: Path) -> None:
    watching = Keeping()
    options: dict[str, Any] = {**QUICK, "max_steps": 5}
    entries = train(ToyTask(), tmp_path, policies=[At(3, Skip("a test"))], listeners=[watching], **options)
    assert len(entries) == 4 and [not r.rates for r in watching.records].index(True) == 2
    weights = [e["wn/head"] for e in history(tmp_path) if "wn/head" in e]
    assert weights[2] == weights[1] != weights[3]
    (event,) = events(tmp_path, "skipped")
    assert len(event["samples"]) == 4


def test_the_strongest_action_wins(tmp_path: Path) -> None:
    policies = [At(2, Skip("weak")), At(2, Stop("strong", "rest", where="here")), At(2, RollBack("middle"))]
    with pytest.raises(TrainingError) as caught:
        train(ToyTask(), tmp_path, policies=policies, **QUICK)
    assert str(caught.value) == "here: strong\n  What to do: rest"
    assert [e["event"] for e in read_events(tmp_path)] == ["started", "stopped"]


def test_a_listener_that_fails_stops_nothing(
    tmp_path: Path, trained: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Listener):
        def on_step(self, record: StepRecord) -> None:
            raise ValueError("out of order")

    assert losses(train(ToyTask(), tmp_path, listeners=[Failing()])) == losses(logged(trained()))
    assert caplog.text.count("Failing.on_step failed") == 1 and "out of order" in caplog.text


def test_what_happened_is_told_and_written_as_it_happens(tmp_path: Path) -> None:
    heard: list[Any] = []

    class Hearing(Listener):
        def on_evaluation(self, step: int, figures: Mapping[str, float]) -> None:
            heard.append((step, sorted(figures)))

        def on_event(self, event: Mapping[str, Any]) -> None:
            heard.append(event["event"])

    train(ToyTask(), tmp_path, listeners=[Hearing()], max_steps=5)
    assert heard == ["started", (5, ["error", "score"]), "evaluated", "saved", "stopped"]
    train(ToyTask(), tmp_path, resume=True, max_steps=8)
    every = list(read_events(tmp_path))
    assert [(e["event"], e["step"]) for e in every] == [
        ("started", 0), ("evaluated", 5), ("saved", 5), ("stopped", 5),
        ("resumed", 5), ("evaluated", 8), ("saved", 8), ("stopped", 8),
    ]  # fmt: skip
    assert every[4]["checkpoint"] == "checkpoint-5" and every[-1]["why"] == "finished"
    with (tmp_path / "events.jsonl").open("ab") as stream:
        stream.write(b'{"time": "2026')  # a process was killed here
    append_event(tmp_path, 9, "found")
    assert [e["event"] for e in read_events(tmp_path)][-2:] == ["stopped", "found"]


def test_after_a_roll_back_only_the_best_of_the_way_that_was_given_up_remains(tmp_path: Path) -> None:
    """Saved and found best at step 4, rolled back to step 3 from step 5; killed later, it goes on from the new way.

    The best checkpoint stays, whatever the new way finds at its step.
    """

    back = RollBack("a test", change=Scale("lower", 0.1, steps=100))
    options: dict[str, Any] = {"save_steps": 2, "eval_steps": 2, "save_total_limit": 1}
    found = [1.0, 5.0, *[2.0] * 6]
    task = ToyTask(scores=list(found))
    whole = train(task, tmp_path / "whole", policies=[At(5, back, 3)], **options)
    run = tmp_path / "whole"
    best = json.loads((run / "best_checkpoint.json").read_text())
    assert (best["checkpoint"], best["step"], best["value"]) == ("best-4", 4, 5.0)
    verify_checkpoint(run / "best-4")
    assert (run / "best").resolve() == (run / "best-4").resolve()
    (event,) = events(run, "rolled_back")
    assert (event["step"], event["to"]) == (4, 3)

    config = toy_config(tmp_path / "parts", **options)
    with pytest.raises(KeyboardInterrupt):
        run_training(ToyTask(scores=list(found)), config, callbacks=[Dying(4)], policies=[At(5, back, 3)])
    assert [path.name for path in (tmp_path / "parts").glob("checkpoint-*")] == ["checkpoint-3"]
    parts = train(ToyTask(scores=[2.0] * 9), tmp_path / "parts", True, policies=[At(5, back, 3)], **options)
    assert losses(parts) == losses(whole)
    assert read_best(tmp_path / "parts") == read_best(run)


def test_a_best_checkpoint_of_a_way_that_was_given_up_goes_when_a_better_one_comes(tmp_path: Path) -> None:
    scores = [1.0, 5.0, 2.0, 2.0, 6.0, 3.0, 3.0]
    options: dict[str, Any] = {"save_steps": 2, "eval_steps": 2, "save_total_limit": 1}
    train(ToyTask(scores=scores), tmp_path, policies=[At(5, RollBack("a test"), 3)], **options)
    best = read_best(tmp_path)
    assert best is not None and (best.checkpoint, best.value) == ("checkpoint-8", 6.0)
    kept = sorted(path.name for path in tmp_path.iterdir() if path.is_dir() and not path.is_symlink())
    assert kept == ["checkpoint-12", "checkpoint-8"]


class Dying(TrainerCallback):
    """Ends the process, as it were, when a step is begun for the second time."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.times = 0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.times += state.global_step + 1 == self.step
        if self.times == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (type("Silent", (Policy,), {"after_backward": lambda self, record: None})(), "returned None"),
        (type("Odd", (Policy,), {"plan": lambda *_: Plan(frozenset({"none"}))})(), "plans for"),
        (type("Deaf", (Policy,), {"plan": lambda *_: Plan(frozenset({"head", "body"}))})(), "nothing would"),
        (type("Back", (At,), {"after_backward": lambda *_: RollBack("again")})(2, Skip("")), "10 times in"),
    ],
)
def test_a_policy_that_is_wrong_is_named(tmp_path: Path, policy: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(ToyTask(), tmp_path, policies=[policy], **QUICK)


@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf")])
def test_a_factor_is_a_number_of_at_least_0(factor: float) -> None:
    for made in (lambda: Scale("", factor, 1), lambda: Plan(rates={"head": factor})):
        with pytest.raises(ValueError, match="expected a number of at least 0"):
            made()


def test_a_snapshot_in_memory_is_not_used_up_by_a_roll_back(
    tmp_path: Path, trained: Trained, copied: Trained
) -> None:
    """A resumed run keeps its first snapshot where it begins; two roll-backs to it find it as it was."""

    options: dict[str, Any] = {**QUICK, "ema_decay": 0.9}
    run, policy = copied(**options | {"save_steps": 5}), At(9, RollBack("a test"), 100, times=2)
    for path in run.glob("checkpoint-1*"):
        path.rename(tmp_path / path.name)
    entries = train(ToyTask(), run, True, policies=[policy], **options)
    assert losses(entries) == losses(logged(trained(**options))) and policy.left == 0


class Window(Policy):
    """Remembers the steps that it has seen, as the windows of policies do."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def after_backward(self, record: StepRecord) -> Action:
        self.steps.append(record.step)
        return super().after_backward(record)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": list(self.steps)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = list(state["steps"])


def test_a_roll_back_of_one_policy_restores_the_windows_of_all(tmp_path: Path, trained: Trained) -> None:
    window = Window()
    policies = [window, At(5, RollBack("the first")), At(8, RollBack("the second"), 3)]
    entries = train(ToyTask(), tmp_path, policies=policies, **QUICK)
    assert losses(entries) == losses(logged(trained(**QUICK)))
    assert [e["to"] for e in events(tmp_path, "rolled_back")] == [4, 6]
    assert window.steps == list(range(1, 13))


def test_what_a_way_that_was_given_up_has_scaled_is_no_longer_scaled(tmp_path: Path) -> None:
    options: dict[str, Any] = {**QUICK, "lr_scheduler_type": "constant", "max_steps": 8}
    policies = [At(6, Scale("on the way", 0.1, steps=50), 4), At(7, RollBack("a test"), 4)]
    entries = train(ToyTask(), tmp_path, policies=policies, **options)
    assert [e["lr/body"] for e in entries] == pytest.approx([0.01] * 8)


def test_a_change_after_a_roll_back_outlives_a_roll_back_further_back(tmp_path: Path) -> None:
    class Back(Policy):
        """Back to step 4 from step 6; then, for another reason, to step 2."""

        snapshot_every = 2
        done = 0

        def after_backward(self, record: StepRecord) -> Action:
            if record.step == 6 and self.done == 0:
                self.done = 1
                return RollBack("first", change=Scale("lower", 0.5, steps=4))
            if record.step == 5 and self.done == 1:
                self.done = 2
                trainer.run.good.keep(early[0], 2)
                return RollBack("second")
            return super().after_backward(record)

    early: list[Any] = []

    class Early(Policy):
        def plan(self, progress: Progress) -> Plan:
            if progress.step == 2 and not early:
                early.append(take_snapshot(trainer.run).kept())
            return Plan()

    config = toy_config(tmp_path, **QUICK, lr_scheduler_type="constant")
    trainer = ArgusTrainer(ToyTask(), config, policies=[Back(), Early()])
    trainer.train()
    rates = [e["lr/body"] for e in trainer.state.log_history if "loss" in e]
    assert rates == pytest.approx([0.01] * 4 + [0.005] * 4 + [0.01] * 4)


def test_memory_is_given_back_as_often_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[int] = []
    monkeypatch.setattr("argusvl.training.loop.clear_device_cache", lambda: given_back.append(1))
    train(ToyTask(), tmp_path, max_steps=5, trainer_arguments={"torch_empty_cache_steps": 2}, **QUICK)
    assert len(given_back) == 2
