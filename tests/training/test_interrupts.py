from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_task import (
    ToyTask,
    another_process,
    events,
    logged,
    losses,
    toy_config,
    train,
    train_slowly,
    wait_until,
)
from transformers import TrainerCallback

from argusvl.run.checkpoints import list_checkpoints, verify_checkpoint
from argusvl.training.interrupts import Interrupts
from argusvl.training.run import run_training


def press(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


class PressAt(TrainerCallback):
    """Ctrl-C while the N-th step is at work."""

    def __init__(self, step: int, number: int = signal.SIGINT, times: int = 1) -> None:
        self.step = step
        self.number = number
        self.times = times

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step + 1 == self.step:
            for _i in range(self.times):
                press(self.number)


class Pressing(ToyTask):
    """Ctrl-C in an evaluation."""

    def evaluate(self, model: Any, dataset: Any, parallel: Any) -> dict[str, float]:
        press()
        raise AssertionError("the evaluation went on")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_ctrl_c_finishes_the_step_and_saves(
    tmp_path: Path, trained: Callable[..., Path], number: int
) -> None:
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    options: dict[str, Any] = {"eval_steps": 100, "save_steps": 100}
    result = run_training(
        ToyTask(), toy_config(tmp_path / "parts", **options), callbacks=[PressAt(7, number)]
    )

    assert result.interrupted and result.steps == 7
    assert [step for step, _ in list_checkpoints(tmp_path / "parts")] == [7]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers

    parts = train(ToyTask(), tmp_path / "parts", resume=True, **options)
    assert losses(parts) == losses(logged(trained(**options)))


def test_the_second_ctrl_c_stops_at_once_and_keeps_what_was_saved(tmp_path: Path) -> None:
    config = toy_config(tmp_path / "run", eval_steps=100, save_steps=3)
    with pytest.raises(KeyboardInterrupt):
        run_training(ToyTask(), config, callbacks=[PressAt(5, times=2)])
    assert [step for step, _ in list_checkpoints(tmp_path / "run")] == [3]
    assert not [p for p in (tmp_path / "run").iterdir() if p.name.startswith(".")]


def test_ctrl_c_in_an_evaluation_leaves_it_and_a_resumed_run_makes_up_for_it(
    tmp_path: Path, trained: Callable[..., Path]
) -> None:
    whole = trained(eval_steps=6, save_steps=100)
    config = toy_config(tmp_path, eval_steps=6, save_steps=100)
    for resume in (False, True):  # then in the one that is made up for, before another step
        result = run_training(Pressing(), config, resume)
        assert result.interrupted and result.steps == 6 and result.evaluation == {}
        assert [step for step, _ in list_checkpoints(tmp_path)] == [6]

    result = run_training(ToyTask(), config, resume=True)
    assert not result.interrupted and result.best_checkpoint is not None
    assert losses(logged(tmp_path)) == losses(logged(whole))
    for run in (whole, tmp_path):
        assert [step for step, _ in list_checkpoints(run)] == [6, 12]


def test_ctrl_c_in_a_due_evaluation_at_the_same_step_defers_it(tmp_path: Path) -> None:
    config = toy_config(tmp_path / "run", eval_steps=3, save_steps=100)
    result = run_training(ToyTask(), config, callbacks=[PressAt(3)])
    assert result.interrupted and result.evaluation == {}
    result = run_training(ToyTask(), config, resume=True)
    assert result.best_checkpoint is not None and result.steps == 12


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[Any] = []

    def work() -> None:
        with Interrupts().watched():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def _train_in_a_group_of_its_own(folder: Path, persistent: bool) -> None:
    os.setsid()
    options: dict[str, Any] = {"num_train_epochs": 50.0, "save_steps": 2, "eval_steps": 1000}
    workers = {"dataloader_persistent_workers": persistent}
    train_slowly(folder, dataloader_num_workers=2, trainer_arguments=workers, **options)


@pytest.mark.parametrize(("number", "persistent"), [(signal.SIGINT, False), (signal.SIGTERM, True)])
def test_a_signal_to_the_group_reaches_data_workers_too_and_harms_none(
    tmp_path: Path, number: int, persistent: bool
) -> None:
    with another_process(_train_in_a_group_of_its_own, tmp_path, persistent) as child:
        wait_until(child, lambda: list_checkpoints(tmp_path))
        os.killpg(child.pid or 0, number)
        child.join(60)
        assert child.exitcode == 0
    assert [one["why"] for one in events(tmp_path, "stopped")] == ["interrupted"]
    verify_checkpoint(list_checkpoints(tmp_path)[-1][1], for_resume=True)
