"""What watches a run: the progress bar on the terminal, and TensorBoard under the names that we promise."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback

from argusvl.core.logging import get_logger
from argusvl.training.protocol import DrawsPictures, Task

logger = get_logger(__name__)

_SMOOTHING = 0.05
_SECONDS_BETWEEN_LINES = 10.0
TENSORBOARD_FOLDER = "tensorboard"


class ProgressCallback(TrainerCallback):
    """Step, loss, samples per second and time left: a bar on a terminal, else a plain line now and then (stderr).

    Args:
        samples_per_step: Samples of an optimizer step, all ranks together.
        console: Where to show; stderr when not given.
    """

    def __init__(self, samples_per_step: int, console: Console | None = None) -> None:
        self._samples_per_step = samples_per_step
        self._console = console or Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._seconds_per_step: float | None = None
        self._last_step_at = 0.0
        self._last_line_at = 0.0
        self._loss = "-"

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Shows the bar."""
        self._last_step_at = time.perf_counter()
        self._last_line_at = 0.0
        if state.is_world_process_zero and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(bar_width=None),
                TextColumn("loss {task.fields[loss]}"),
                TextColumn("{task.fields[speed]} samples/s"),
                TimeElapsedColumn(),
                TextColumn("left {task.fields[left]}"),
                console=self._console,
                refresh_per_second=2,
            )
            self._task = self._bar.add_task(
                "", total=state.max_steps, completed=state.global_step, loss=self._loss, speed="-", left="-"
            )
            self._bar.start()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Moves the bar."""
        now = time.perf_counter()
        seconds, self._last_step_at = now - self._last_step_at, now
        mean = self._seconds_per_step
        # A mean that forgets: a slow first step must not weigh on the forecast for long.
        self._seconds_per_step = seconds if mean is None else mean + _SMOOTHING * (seconds - mean)
        self._move_bar(state)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """An evaluation is no part of a step's time."""
        self._last_step_at = time.perf_counter()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Nor is saving."""
        self._last_step_at = time.perf_counter()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Takes the loss; prints a line where there is no bar."""
        if logs is None or not state.is_world_process_zero:
            return
        if "loss" in logs:
            self._loss = f"{logs['loss']:.4g}"
            self._move_bar(state)
        figures = {
            k.removeprefix("eval_"): v for k, v in logs.items() if k.startswith("eval_") and "/" not in k
        }
        if figures:
            text = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            self._print(f"evaluation at step {state.global_step}: {text}")
        elif "loss" in logs and self._bar is None:
            now = time.perf_counter()
            if now - self._last_line_at >= _SECONDS_BETWEEN_LINES or state.global_step >= state.max_steps:
                self._last_line_at = now
                fields = self._fields(state)
                self._print(
                    f"step {state.global_step}/{state.max_steps}, loss {fields['loss']}, "
                    f"{fields['speed']} samples/s, left {fields['left']}"
                )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Takes the bar away."""
        self.close()

    def close(self) -> None:
        """Takes the bar away, e.g. after an error, so that messages stand on lines of their own."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _move_bar(self, state: TrainerState) -> None:
        if self._bar is not None and self._task is not None:
            fields: dict[str, Any] = self._fields(state)
            self._bar.update(self._task, completed=state.global_step, **fields)

    def _fields(self, state: TrainerState) -> dict[str, str]:
        seconds = self._seconds_per_step
        if not seconds:
            return {"loss": self._loss, "speed": "-", "left": "-"}
        left = int(seconds * max(state.max_steps - state.global_step, 0))
        return {
            "loss": self._loss,
            "speed": f"{self._samples_per_step / seconds:.1f}",
            "left": f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}",
        }

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class PlainNamesTensorBoard(TensorBoardCallback):
    """TensorBoard with our names as they are; Trainer's own callback would put ``train/`` before them.

    Figures of evaluations stand under ``eval/``, with the pictures of a task that draws any. A resumed run goes on in
    the same file set, and what a killed run had written after its last checkpoint is purged.

    Args:
        folder: The run's folder.
        task: The task that is trained.
    """

    def __init__(self, folder: Path, task: Task) -> None:
        super().__init__()
        self._task = task
        self.logging_dir = str(folder / TENSORBOARD_FOLDER)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Opens the writer."""
        if state.is_world_process_zero and self.tb_writer is None:
            purge = state.global_step + 1 if state.global_step else None
            self.tb_writer = self._SummaryWriter(log_dir=self.logging_dir, purge_step=purge)
        super().on_train_begin(args, state, control, **kwargs)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Writes the figures."""
        if self.tb_writer is None or logs is None:
            return
        for name, value in logs.items():
            if isinstance(value, int | float):
                shown = f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else name
                self.tb_writer.add_scalar(shown, value, state.global_step)
        self.tb_writer.flush()

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Writes the pictures of the evaluation that just ended."""
        if self.tb_writer is None or not isinstance(self._task, DrawsPictures):
            return
        for title, picture in self._task.pictures().items():
            pixels = np.asarray(picture.convert("RGB"))
            self.tb_writer.add_image(f"eval/{title}", pixels, state.global_step, dataformats="HWC")
        self.tb_writer.flush()
