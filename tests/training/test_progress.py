"""What a run shows: with a clock that the tests turn."""

from __future__ import annotations

import io
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from toy_task import ToyTask, logged, train
from transformers import TrainerControl, TrainerState, TrainingArguments

from argusvl.training import progress
from argusvl.training.progress import ProgressCallback


class Run:
    """Calls the callback as the trainer does, and each second as its thread does."""

    def __init__(self, folder: Path, max_steps: int = 100, terminal: bool = False, **state: Any) -> None:
        self.stream = io.StringIO()
        self.now = 1000.0
        self.args = TrainingArguments(
            output_dir=str(folder), use_cpu=True, report_to=[], eval_strategy="steps", eval_steps=50
        )
        self.state = TrainerState(
            **{"max_steps": max_steps, "is_world_process_zero": True, "eval_steps": 50, "save_steps": 50}
            | state
        )
        self.control = TrainerControl()
        self.shown = ProgressCallback(
            samples_per_step=8,
            evaluation_in_steps=10.0,
            console=Console(file=self.stream, force_terminal=terminal, width=120),
            clock=lambda: self.now,
        )

    def begin(self) -> Run:
        self.shown.on_train_begin(self.args, self.state, self.control)
        return self

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1.0
            self.shown.say_if_due()
        self.now += seconds - int(seconds)

    def step(
        self, data: float = 0.0, passes: float = 1.0, optimizer: float = 0.0, loss: float | None = None
    ) -> None:
        self.wait(data)
        self.shown.on_step_begin(self.args, self.state, self.control)
        self.wait(passes)
        self.shown.on_pre_optimizer_step(self.args, self.state, self.control)
        self.wait(optimizer)
        self.state.global_step += 1
        self.control.should_log = loss is not None
        self.shown.on_step_end(self.args, self.state, self.control)
        if loss is not None:
            self.shown.on_log(self.args, self.state, self.control, logs={"loss": loss, "fit_loss": 1.0})

    def evaluate(self, seconds: float) -> None:
        with self.shown.during("evaluating"):
            self.wait(seconds)
        self.shown.on_log(
            self.args, self.state, self.control, logs={"eval_AP50": 0.91, "eval_AP50/cell": 0.5}
        )

    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


def test_on_a_terminal_there_is_a_bar(tmp_path: Path) -> None:
    run = Run(tmp_path, max_steps=3, terminal=True)
    with run.shown.watched():
        run.begin()
        for step in range(1, 4):
            run.step(loss=0.5 / step)
        run.evaluate(20)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", run.stream.getvalue())
    assert "3/3" in text and "loss 0.1667" in text and "8.0 samples/s" in text and "left 0:00:00" in text
    assert "evaluation at step 3: AP50 0.91" in text
    assert "for 1" not in text, "the bar is enough"


def test_elsewhere_there_are_plain_lines_now_and_then(tmp_path: Path) -> None:
    run = Run(tmp_path, max_steps=103).begin()
    for step in range(1, 104):
        run.step(passes=0.25, loss=0.5 / step)
    run.evaluate(0.0)
    # 102 steps of 0.25 s, and three evaluations of which each of their samples is taken for a third of a trained one.
    assert run.lines()[0] == "step 1/103, loss 0.5, 32.0 samples/s, left 0:00:28"
    steps = [int(re.findall(r"^step (\d+)/103, ", line)[0]) for line in run.lines()[:-1]]
    assert steps == [1, 41, 81, 103], "the first step, every ten seconds, the last step"
    assert run.lines()[-1] == "evaluation at step 103: AP50 0.91"
    assert "\x1b" not in run.stream.getvalue() and "\r" not in run.stream.getvalue()


def gaps(run: Run, seconds: int, act: Any) -> int:
    """The longest time without a new line, while something is done that many seconds long in fake time."""
    longest = since = 0
    wait, before = run.wait, len(run.lines())

    def watched(duration: float) -> None:
        nonlocal longest, since, before
        for _ in range(int(duration)):
            wait(1)
            since = 0 if len(run.lines()) > before else since + 1
            before, longest = len(run.lines()), max(longest, since)

    run.wait = watched  # type: ignore[method-assign]
    begun = run.now
    while run.now - begun < seconds:
        act()
    run.wait = wait  # type: ignore[method-assign]
    return longest


@pytest.mark.parametrize("passes", [3.0, 40.0, 400.0])
def test_a_line_comes_every_fifteen_seconds(tmp_path: Path, passes: float) -> None:
    run = Run(tmp_path).begin()
    assert gaps(run, 900, lambda: run.step(passes=passes)) <= 15
    assert gaps(run, 100, lambda: run.evaluate(50)) <= 15


def test_a_slow_first_step_says_what_takes_so_long(tmp_path: Path) -> None:
    run = Run(tmp_path).begin()
    run.step(data=12, passes=25, optimizer=1)
    assert run.lines() == [
        "step 0/100, preparing data for 10 s",
        "step 0/100, forward and backward for 8 s",
        "step 0/100, forward and backward for 18 s",
        "the first step took 38 s: preparing data 12 s, forward and backward 25 s, optimizer 1 s",
    ]
    run.step(passes=2, loss=0.25)
    assert run.lines()[-1].startswith("step 2/100, loss 0.25, 4.0 samples/s, left ")


def test_a_step_and_a_loss_are_shown_once(tmp_path: Path) -> None:
    run = Run(tmp_path).begin()
    run.step(passes=12, loss=0.5)
    run.step(data=6, passes=19)
    run.step(passes=5, loss=0.25)
    run.step(passes=5)
    run.step(passes=5)
    assert [re.sub(r"left [\d:]+", "left", line) for line in run.lines()[2:]] == [
        "step 1/100, loss 0.5, 0.67 samples/s, left",
        "step 1/100, left, forward and backward for 4 s",
        "step 1/100, left, forward and backward for 14 s",
        "step 2/100, 0.32 samples/s, left",
        "step 4/100, loss 0.25, 1.6 samples/s, left",
    ]


def test_a_long_evaluation_is_named_and_is_no_part_of_a_step(tmp_path: Path) -> None:
    run = Run(tmp_path).begin()
    for _ in range(50):
        run.step(passes=1)
    run.evaluate(60)
    assert any(line.endswith("evaluating for 20 s") for line in run.lines())
    run.step(passes=1, loss=0.5)
    run.wait(10)
    # 49 steps less the ten seconds since the last one, and another evaluation.
    assert run.lines()[-1] == "step 51/100, left 0:01:39, preparing data for 10 s"


def test_what_the_run_has_measured_before_it_goes_on_counts(tmp_path: Path) -> None:
    history = [{"loss": 1.0, "step": 50}, {"eval_seconds": 500.0, "step": 50}]
    run = Run(tmp_path, global_step=50, log_history=history).begin()
    run.step(passes=1, loss=0.5)
    assert run.lines() == ["step 51/100, loss 0.5, 8.0 samples/s, left 0:09:09"]


def test_other_ranks_say_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path, is_world_process_zero=False).begin()
    run.step(passes=60, loss=0.5)
    run.evaluate(60)
    assert run.lines() == []


def test_the_thread_ends_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LOOKS", 0.001)
    run = Run(tmp_path)
    printed = threading.Event()
    monkeypatch.setattr(run.shown, "_print", lambda text: printed.set())
    with pytest.raises(RuntimeError, match="broken off"), run.shown.watched():
        run.begin()
        run.now += 60.0
        assert printed.wait(timeout=60), "a step that does not end is told of"
        raise RuntimeError("broken off")
    assert all(thread.name != "progress" for thread in threading.enumerate())


def test_a_run_writes_nothing_to_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(ToyTask(), tmp_path / "run")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "step 12/12" in captured.err and "it/s" not in captured.err
    assert logged(tmp_path / "run")
