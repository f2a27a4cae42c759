"""What a run shows while it trains: a bar on a terminal, elsewhere plain lines; both on stderr."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from argusvl.training.time_left import BetweenSteps, TimeLeft

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_LOOKS = 1.0
_LONG_SECONDS = 10.0
"""From here on it is worth saying what takes so long."""

Doing = Literal["preparing data", "forward and backward", "optimizer", "evaluating", "saving"]
_STEP: tuple[Doing, ...] = ("preparing data", "forward and backward", "optimizer")


class ProgressCallback(TrainerCallback):
    """Step, loss, samples per second and time left.

    Where there is no terminal, a line comes every ten seconds by the clock, whatever a step takes: a thread looks
    each second whether one is due, and says what is being done where that takes long. A loss is shown once, in the
    first line after it was logged; a further line of the same step says what it waits for.

    Args:
        samples_per_step: Samples of an optimizer step, all ranks together, on average.
        evaluation_in_steps: Samples of an evaluation over those of a step.
    """

    def __init__(
        self,
        samples_per_step: float,
        evaluation_in_steps: float = 0.0,
        console: Console | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._samples_per_step = samples_per_step
        self._evaluation_in_steps = evaluation_in_steps
        self._console = console or Console(file=sys.stderr)
        self._clock = clock
        self._state: TrainerState | None = None  # of the run to show; other ranks show nothing
        self._time_left: TimeLeft | None = None
        self._loss: float | None = None
        self._new_loss = False  # not shown yet
        self._told_step: int | None = None
        self._doing: Doing = "preparing data"
        self._since = self._ended = clock()
        self._spent: defaultdict[Doing, float] = defaultdict(float)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._printing = threading.Lock()
        self._last_line_at = clock()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Shows how far training in the body is, and takes the bar away at its end, also after an error."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(_SECONDS_BETWEEN_LOOKS):
                self.say_if_due()

        looking = threading.Thread(target=look, name="progress", daemon=True)
        looking.start()
        try:
            yield
        finally:
            ended.set()
            looking.join()
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    @contextlib.contextmanager
    def during(self, doing: BetweenSteps) -> Iterator[None]:
        """The body is no part of a step."""
        before = self._doing
        self._turn_to(doing)
        try:
            yield
            if self._time_left is not None:
                self._time_left.ended(doing, self._clock() - self._since)
        finally:
            self._turn_to(before)
            self._ended = self._since
            self._move_bar()

    # ---- the course of a run -------------------------------------------------------------------------------------

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Begins to show."""
        self._time_left = TimeLeft(
            state.global_step,
            state.max_steps,
            evaluate_every=state.eval_steps if args.eval_strategy == "steps" else None,
            save_every=state.save_steps,
            evaluation_in_steps=self._evaluation_in_steps,
        )
        for entry in state.log_history:  # of a run that goes on
            if "eval_seconds" in entry:
                self._time_left.ended("evaluating", entry["eval_seconds"])
        self._spent.clear()
        self._since = self._ended = self._last_line_at = self._clock()
        if not state.is_world_process_zero:
            return
        self._state = state
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                MofNCompleteColumn(),
                BarColumn(bar_width=None),
                TextColumn("loss {task.fields[loss]}"),
                TextColumn("{task.fields[speed]} samples/s"),
                TimeElapsedColumn(),
                TextColumn("left {task.fields[left]}"),
                console=self._console,
                refresh_per_second=2,
            )
            self._task = self._bar.add_task("step", total=state.max_steps, loss="-", speed="-", left="-")
            self._move_bar()
            self._bar.start()

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """The step's batches are there."""
        self._turn_to("forward and backward")

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """The gradients are there."""
        self._turn_to("optimizer")

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """A step is made. What is logged of it comes next; then the line has the newest loss."""
        self._turn_to("preparing data")
        self._ended = self._since
        seconds = sum(self._spent[doing] for doing in _STEP)
        assert self._time_left is not None
        if self._time_left.seconds_per_step() is None and seconds >= _LONG_SECONDS:
            parts = ", ".join(f"{doing} {self._spent[doing]:.0f} s" for doing in _STEP)
            self._print(f"the first step took {seconds:.0f} s: {parts}")
        self._time_left.step_ended(state.global_step, seconds)
        self._spent.clear()
        self._move_bar()
        if not control.should_log:
            self.say_if_due()

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **_: Any) -> None:
        """Takes the loss, and prints the figures of an evaluation."""
        logs = logs or {}
        figures = [(k, v) for k, v in logs.items() if k.startswith("eval_") and "/" not in k]
        if figures:
            text = ", ".join(f"{name.removeprefix('eval_')} {value:.4g}" for name, value in figures)
            self._print(f"evaluation at step {state.global_step}: {text}")
        elif "loss" in logs:
            at_once = self._loss is None or state.global_step >= state.max_steps
            self._loss, self._new_loss = logs["loss"], True
            self._move_bar()
            self.say_if_due(at_once)

    # ---- showing -------------------------------------------------------------------------------------------------

    def say_if_due(self, at_once: bool = False) -> None:
        """Prints a line where the last one is ten seconds old, or at once; nothing where there is a bar."""
        if self._state is None or self._bar is not None:
            return
        with self._printing:
            if not at_once and self._clock() - self._last_line_at < _SECONDS_BETWEEN_LINES:
                return
            self._last_line_at = self._clock()
            step, new_loss = self._state.global_step, self._new_loss
            again = step == self._told_step and not new_loss
            self._told_step, self._new_loss = step, False
        fields = self._fields()
        parts = [f"step {step}/{self._state.max_steps}"]
        parts += [f"loss {fields['loss']}"] if new_loss else []
        known = fields["left"] != "-"
        parts += [f"{fields['speed']} samples/s"] if known and not again else []
        parts += [f"left {fields['left']}"] if known else []
        seconds = self._clock() - self._since
        waits = again or seconds >= _LONG_SECONDS or not known
        parts += [f"{self._doing} for {seconds:.0f} s"] if waits else []
        self._print(", ".join(parts))

    def _turn_to(self, doing: Doing) -> None:
        now = self._clock()
        self._spent[self._doing] += now - self._since
        self._doing, self._since = doing, now
        if self._bar is not None and self._task is not None:
            outside = doing in ("evaluating", "saving")
            self._bar.update(self._task, description=doing if outside else "step")

    def _fields(self) -> dict[str, str]:
        loss = "-" if self._loss is None else f"{self._loss:.4g}"
        assert self._time_left is not None
        step, left = self._time_left.seconds_per_step(), self._time_left.seconds()
        if not step or left is None:
            return {"loss": loss, "speed": "-", "left": "-"}
        speed = self._samples_per_step / step
        rest = int(max(left - (self._clock() - self._ended), 0))
        return {
            "loss": loss,
            "speed": f"{speed:.1f}" if speed >= 1 else f"{speed:.2g}",
            "left": f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}",
        }

    def _move_bar(self) -> None:
        if self._bar is not None and self._task is not None and self._state is not None:
            fields: dict[str, Any] = self._fields()
            self._bar.update(self._task, completed=self._state.global_step, **fields)

    def _print(self, text: str) -> None:
        if self._state is not None:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)
