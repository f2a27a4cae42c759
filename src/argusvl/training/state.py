"""A run while it trains: one object, of which all that the engine does is a function."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import Dataset
from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import CallbackHandler

from argusvl.config.schema import RunConfig
from argusvl.core.precision import Precision
from argusvl.run.events import append_event
from argusvl.training.ema import ExponentialMovingAverage
from argusvl.training.interrupts import Interrupts
from argusvl.training.listeners import Listeners
from argusvl.training.losses import LossAggregation, LossWindow
from argusvl.training.parallel import Parallel
from argusvl.training.parameter_groups import AssignedGroup
from argusvl.training.policies import Plan, Policies
from argusvl.training.progress import ProgressCallback
from argusvl.training.protocol import Task
from argusvl.training.snapshot import Snapshot
from argusvl.training.throughput import Throughput
from argusvl.training.time_left import BetweenSteps


@dataclass
class GoodSnapshot:
    """What a roll-back goes to, in memory.

    Attributes:
        snapshot: The last one whose weights were good in a step after it.
        step: Optimizer steps made by then.
        candidate: One whose weights are not known to be good yet, with its step.
        times: How often training went back to a step.
    """

    snapshot: Snapshot | None = None
    step: int = 0
    candidate: tuple[Snapshot, int] | None = None
    times: Counter[int] = field(default_factory=Counter)

    def keep(self, snapshot: Snapshot, step: int) -> None:
        """Lets a policy that keeps snapshots of its own say where the next roll-back goes."""
        self.snapshot, self.step, self.candidate = snapshot, step, None


@dataclass
class TrainState:
    """What is trained, with what, and where it stands.

    Attributes:
        arguments: What transformers makes of it.
        collate: The collator, seeded.
        network: The model, not wrapped.
        wrapped: The model as a step calls it.
        groups: Its parameters by group.
        trainable: Those that train, by name.
        control: What the callbacks ask for.
        plan: What holds for the present step.
        good: What a roll-back goes to.
        window: Losses since the last log entry.
        last_logged: The step of that.
        evaluation_due: Whether an evaluation was due and did not come to its end.
        display: What is shown meanwhile.
        interrupts: Whether the user wants it to stop.
        ranks_stop: Whether the user of some rank does.
    """

    task: Task
    config: RunConfig
    arguments: TrainingArguments
    train_dataset: Dataset[Any]
    eval_dataset: Dataset[Any] | None
    collate: Callable[[Any], Any]
    parallel: Parallel
    precision: Precision
    accelerator: Accelerator
    network: PreTrainedModel
    wrapped: nn.Module
    groups: list[AssignedGroup]
    trainable: dict[str, nn.Parameter]
    losses: LossAggregation
    ema: ExponentialMovingAverage | None
    progress: TrainerState
    control: TrainerControl
    window: LossWindow
    throughput: Throughput
    callbacks: CallbackHandler
    display: ProgressCallback
    interrupts: Interrupts = field(default_factory=Interrupts)
    listeners: Listeners = field(default_factory=lambda: Listeners(()))
    policies: Policies = field(default_factory=lambda: Policies(()))
    plan: Plan = field(default_factory=Plan)
    good: GoodSnapshot = field(default_factory=GoodSnapshot)
    optimizer: Optimizer | None = None
    scheduler: LRScheduler | None = None
    last_logged: int = 0
    evaluation_due: bool = False
    ranks_stop: bool = False

    @property
    def output_dir(self) -> Path:
        """The run's folder."""
        return self.config.training.output_dir

    @property
    def step(self) -> int:
        """Optimizer steps made."""
        return self.progress.global_step

    @property
    def stop_requested(self) -> bool:
        """Whether training ends after the current step because the user asked for it."""
        return self.ranks_stop if self.parallel.world_size > 1 else self.interrupts.requested

    @cached_property
    def fingerprint(self) -> str | None:
        """Of the training data, see :func:`fingerprint_of`."""
        return fingerprint_of(self.train_dataset)

    def notify(self, what: str, **details: Any) -> None:
        """Calls an event of transformers' callbacks."""
        call = getattr(self.callbacks, what)
        self.control = call(self.arguments, self.progress, self.control, **details)

    def event(self, event: str, **details: Any) -> None:
        """Writes down what happened, and tells the listeners."""
        if self.parallel.is_first:
            self.listeners.tell("on_event", append_event(self.output_dir, self.step, event, **details))

    def log(self, figures: dict[str, float]) -> None:
        """Writes figures into the run's log, and tells the callbacks."""
        if self.progress.epoch is not None:
            figures["epoch"] = self.progress.epoch
        self.progress.log_history.append({**figures, "step": self.step})
        self.notify("on_log", logs=figures)

    @contextlib.contextmanager
    def between_steps(self, doing: BetweenSteps) -> Iterator[None]:
        """What the body takes is no time of training."""
        with self.throughput.excluded(), self.display.during(doing):
            yield

    def averaged_weights(self) -> contextlib.AbstractContextManager[None]:
        """In its body the model has the averaged weights, where an average is kept."""
        return contextlib.nullcontext() if self.ema is None else self.ema.applied()


def fingerprint_of(data: Dataset[Any]) -> str | None:
    """Of training data, by which other ones are known; ``None`` where they cannot say."""
    fingerprint = getattr(data, "fingerprint", None)
    return None if fingerprint is None else fingerprint()
