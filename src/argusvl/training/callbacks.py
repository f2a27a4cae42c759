"""What the engine hangs into Trainer's events: TensorBoard, under the names that we promise, and the beginning."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerState
from transformers.integrations import TensorBoardCallback

from argusvl.core.logging import get_logger
from argusvl.training.listeners import Listener
from argusvl.training.protocol import DrawsPictures, Task

logger = get_logger(__name__)

TENSORBOARD_FOLDER = "tensorboard"


class PlainNamesTensorBoard(TensorBoardCallback, Listener):
    """TensorBoard with our names as they are; Trainer's own callback would put ``train/`` before them.

    Figures of evaluations stand under ``eval/``, with the pictures of a task that draws any. A resumed run goes on in
    the same file set; what a killed run had written after its last checkpoint is purged, and so is what a roll-back has
    given up.
    """

    def __init__(self, folder: Path, task: Task) -> None:
        super().__init__()
        self._task = task
        self.logging_dir = str(folder / TENSORBOARD_FOLDER)

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Opens the writer."""
        if state.is_world_process_zero and self.tb_writer is None:
            purge = state.global_step + 1 if state.global_step else None
            self.tb_writer = self._SummaryWriter(log_dir=self.logging_dir, purge_step=purge)
        super().on_train_begin(args, state, control, **kwargs)

    def on_event(self, event: Mapping[str, Any]) -> None:
        """After a roll-back what was written of later steps is no longer shown."""
        if self.tb_writer is None or event["event"] != "rolled_back":
            return
        with self._not_in_the_way():
            self.tb_writer.close()
            self.tb_writer = self._SummaryWriter(log_dir=self.logging_dir, purge_step=event["to"] + 1)

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **_: Any) -> None:
        """Writes the figures."""
        if self.tb_writer is None or logs is None:
            return
        with self._not_in_the_way():
            for name, value in logs.items():
                if isinstance(value, int | float):
                    shown = f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else name
                    self.tb_writer.add_scalar(shown, value, state.global_step)
            self.tb_writer.flush()

    @contextlib.contextmanager
    def _not_in_the_way(self) -> Iterator[None]:
        """Curves that cannot be written (a full disk, a folder that was removed) are no reason to lose a training."""
        try:
            yield
        except OSError as error:
            logger.warning("TensorBoard is not written any more: %s", error)
            self.tb_writer = None

    def on_evaluate(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Writes the pictures of the evaluation that just ended."""
        if self.tb_writer is None or not isinstance(self._task, DrawsPictures):
            return
        with self._not_in_the_way():
            for title, picture in self._task.pictures().items():
                pixels = np.asarray(picture.convert("RGB"))
                self.tb_writer.add_image(f"eval/{title}", pixels, state.global_step, dataformats="HWC")
            self.tb_writer.flush()


class Resuming(TrainerCallback):
    """Calls the engine when Trainer has prepared everything, for which it has an event but no method."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Begins."""
        self._begin()
