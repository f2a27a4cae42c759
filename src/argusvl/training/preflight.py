"""What can be known of a run before it starts, by some twenty steps in a folder that is thrown away.

Each check is a function of the :class:`DryRun` and a line in :data:`CHECKS`; it says in words what it saw, and with
findings where something is wrong. Weights on disk are never changed.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from argus_doctor.findings import Finding, finding, finding_of
from argus_doctor.record.tensors import is_finite
from argusvl.config.schema import RunConfig
from argusvl.core.batch import Batch
from argusvl.core.errors import ArgusError
from argusvl.training.protocol import KnowsChance, KnowsMemory, Task
from argusvl.training.sampling import end_workers, set_epoch
from argusvl.training.step import StepRecord
from argusvl.training.stepping import batch_loss, fetch, forward_backward, optimize
from argusvl.training.trainer import ArgusTrainer
from argusvl.training.watching import PIXELS, never_trains

STEPS = 16
"""Of learning one batch by heart."""
RAISED = 2.0
"""Times the configured rates, for so few steps."""
_FALLS = 0.98
"""To it a loss falls in so few steps where a batch can be learned. A detector's falls to 0.94: most of it is boxes."""
_LEARNED = 0.9
"""Where the loss has fallen to it, answers can depend on the pictures."""
_SAME = 1e-5
_FAR_OFF = 3.0
"""Times what a constant answer would cost."""
_GIB = 2**30

Anomaly = Literal["off", "batch", "all"]


@dataclass(slots=True)
class CheckResult:
    """What a check came to."""

    name: str
    told: str
    findings: list[Finding] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "told": self.told,
            "ok": not self.findings,
            "findings": [one.to_json() for one in self.findings],
        }


class DryRun:
    """An engine that is ready to train, in a folder of its own, with its first batch."""

    def __init__(self, task: Task, trainer: ArgusTrainer, anomaly: Anomaly) -> None:
        self.task, self.trainer, self._anomaly = task, trainer, anomaly
        self.state = trainer.run
        self.state.wrapped = self.state.accelerator.prepare_model(self.state.network)
        self._steps = 0

    @cached_property
    def batch(self) -> tuple[list[Batch], dict[str, int]]:
        """The first step's first micro-batch, and its counts."""
        loader = self.trainer.get_train_dataloader()
        set_epoch(0, loader, self.state.train_dataset)
        try:
            batches, counts, _ = fetch(self.state, iter(loader), 1)
        finally:
            end_workers(loader)
        return batches, counts

    @cached_property
    def first(self) -> StepRecord:
        """The first step, which the optimizer does not take."""
        return self.compute()

    def compute(self) -> StepRecord:
        """Forward and backward pass of the batch."""
        batches, counts = self.batch
        self.state.wrapped.zero_grad()
        self._steps += 1
        on = self._anomaly == "all" or (self._anomaly == "batch" and self._steps == 1)
        with torch.autograd.set_detect_anomaly(True) if on else contextlib.nullcontext():
            return forward_backward(self.state, batches, counts, 1)

    def loss(self, change: Callable[[Tensor], Tensor] | None = None) -> float:
        """The batch's loss in evaluation mode, with its pictures changed."""
        batches, counts = self.batch
        inputs, network = dict(batches[0].inputs), self.state.network
        for name in self.pixels:
            if change is not None:
                inputs[name] = change(inputs[name])
        network.eval()
        try:
            with torch.no_grad():
                return float(batch_loss(self.state, network, Batch(inputs), counts)[0])
        finally:
            network.train()

    @property
    def pixels(self) -> list[str]:
        """The batch's inputs that are numbers."""
        inputs = self.batch[0][0].inputs
        return [name for name in PIXELS if isinstance(inputs.get(name), Tensor)]

    @cached_property
    def learned(self) -> list[float]:
        """Losses of the same batch, learned by heart."""
        state, losses = self.state, []
        state.optimizer = self.trainer.create_optimizer()
        for entry in state.optimizer.param_groups:
            entry["lr"] *= RAISED
        for _ in range(STEPS):
            record = self.compute()
            losses.append(record.loss)
            if not record.finite:
                break
            optimize(state, record)
        state.wrapped.zero_grad()
        return losses


Check = Callable[[DryRun], CheckResult]


def parameters(dry: DryRun) -> CheckResult:
    """How many, how many train, and whether every group that has a rate will."""
    state = dry.state
    every = sum(p.numel() for p in state.network.parameters())
    training = sum(p.numel() for p in state.trainable.values())
    groups = ", ".join(
        f"{g.name} {sum(p.numel() for p in g.trainable_parameters()):,} at {g.spec.learning_rate:g}"
        if g.trainable
        else f"{g.name} frozen"
        for g in state.groups
        if g.parameters
    )
    bad = [n for n, p in state.network.named_parameters() if p.is_floating_point() and not is_finite(p)]
    found = never_trains(state.groups, state.config.training.phases or (), _epochs(dry))
    if bad:
        what = f"{len(bad)} parameters hold values that are not finite, the first is {bad[0]}"
        found.append(finding("weights-not-finite", bad[0], what))
    return CheckResult("parameters", f"{every:,}, of which {training:,} train: {groups}", found)


def batch(dry: DryRun) -> CheckResult:
    """Shapes and ranges of what the model is given."""
    found, told = [], []
    for name, value in dry.batch[0][0].inputs.items():
        if not isinstance(value, Tensor) or not value.numel():
            continue
        shape = f"{name} {list(value.shape)}"
        if value.is_floating_point():
            shape += f" from {float(value.min()):.3g} to {float(value.max()):.3g}"
            if not is_finite(value):
                found.append(finding("non-finite-input", name, f"{shape}: not all values are finite"))
            elif name in PIXELS and value.std() == 0:
                found.append(finding("inputs-constant", name, f"{shape}: all values are the same"))
        told.append(shape)
    return CheckResult("batch", "; ".join(told), found)


def forward(dry: DryRun) -> CheckResult:
    """Whether the first losses and gradients are finite, and near what they should be."""
    record = dry.first
    means = record.term_means(dry.state.losses.counted_by)
    told = f"loss {record.loss:.4g}: " + ", ".join(f"{name} {value:.4g}" for name, value in means.items())
    found = []
    if not record.finite:
        term, parameter = record.first_non_finite_term(), record.gradients.first_non_finite()
        where = f"loss term {term[0]}" if term else str(parameter)
        found.append(finding("non-finite-loss", where, f"the first step is not finite: {where}"))
    chance = dry.task.chance_losses() if isinstance(dry.task, KnowsChance) else {}
    for name, expected in chance.items():
        if name in means and math.isfinite(means[name]) and means[name] > _FAR_OFF * expected:
            what = f"{name} begins at {means[name]:.3g}; a constant answer would cost {expected:.3g}"
            found.append(finding("first-loss-off", name, what))
    return CheckResult("first loss", told, found)


def modes(dry: DryRun) -> CheckResult:
    """The loss in evaluation mode beside that in training mode."""
    training, evaluating = dry.first.loss, dry.loss()
    told = f"{training:.4g} in training mode, {evaluating:.4g} in evaluation mode"
    found = []
    if math.isfinite(training) and abs(evaluating - training) > 0.5 * abs(training) + 1e-3:
        found.append(finding("modes-differ", "loss", f"the same batch and weights give a loss of {told}"))
    return CheckResult("train and eval", told, found)


def overfit(dry: DryRun) -> CheckResult:
    """Whether one batch can be learned by heart."""
    losses = dry.learned
    told = (
        f"from {losses[0]:.4g} to {min(losses[-4:]):.4g} in {len(losses)} steps at {RAISED:g} times the rates"
    )
    what = f"trained on one batch, again and again, the loss goes {told}"
    return CheckResult(
        "one batch", told, [] if _falls(losses, _FALLS) else [finding("batch-not-learned", "", what)]
    )


def pictures(dry: DryRun) -> CheckResult:
    """Whether the answers depend on the pictures, once something is learned; and each on its own."""
    if not dry.pixels:
        return CheckResult("pictures", "the batch has none")
    if not _falls(dry.learned, _LEARNED):
        return CheckResult("pictures", "not asked: too little was learned of them")
    own, none = dry.loss(), dry.loss(torch.zeros_like)
    others = dry.loss(lambda value: value.roll(max(1, len(value) // 2), 0))
    told = f"loss {own:.4g} with its pictures, {none:.4g} without, {others:.4g} with each other's"
    found = []
    if abs(none - own) <= _SAME * abs(own):
        what = f"without the pictures the loss is the same: {told}"
        found.append(finding("input-ignored", dry.pixels[0], what))
    elif others <= own:
        what = f"targets fit other pictures as well as their own: {told}"
        found.append(finding("labels-unrelated", "targets", what))
    return CheckResult("pictures", told, found)


def memory(dry: DryRun) -> CheckResult:
    """What a step takes, against what is there."""
    if not isinstance(dry.task, KnowsMemory):
        return CheckResult("memory", "the task cannot say")
    needed, there = dry.task.memory_needed(), _memory_there()
    told = f"the largest step needs {needed / _GIB:.2f} GiB"
    if there is None:
        return CheckResult("memory", told)
    told += f", {there / _GIB:.2f} GiB are there"
    return CheckResult("memory", told, [] if needed <= there else [finding("out-of-memory", "memory", told)])


CHECKS: tuple[Check, ...] = (parameters, batch, forward, modes, overfit, pictures, memory)


def preflight(task: Task, config: RunConfig, anomaly: Anomaly = "off") -> Iterator[CheckResult]:
    """Checks all that can be checked before a run, one result as it comes; nothing is written to the run's folder."""
    yield CheckResult("configuration", f"task {config.task}")
    try:
        findings = list(task.check())
    except ArgusError as error:
        findings = [finding_of(error)]
    yield CheckResult("data", "every record was read" if not findings else "records are wrong", findings)
    if any(one.severity == "error" for one in findings):
        return
    with tempfile.TemporaryDirectory() as elsewhere:
        changes = {"output_dir": Path(elsewhere) / "run"}
        training = config.training.model_copy(update=changes)
        try:
            dry = DryRun(task, ArgusTrainer(task, config.model_copy(update={"training": training})), anomaly)
        except ArgusError as error:
            yield CheckResult("model", "it cannot be made", [finding_of(error)])
            return
        for check in CHECKS:
            yield _checked(check, dry)


def _checked(check: Check, dry: DryRun) -> CheckResult:
    try:
        return check(dry)
    except ArgusError as error:
        return CheckResult(check.__name__, error.what, [finding_of(error)])
    except Exception as error:  # noqa: BLE001 - anomaly detection, shapes, devices: what a run would die of
        what = f"{type(error).__name__}: {error}"
        return CheckResult(check.__name__, what, [finding("cannot-start", check.__name__, what)])


def _falls(losses: Sequence[float], share: float) -> bool:
    """To this share of the first, in the few steps of a batch that is learned by heart."""
    aim = share * losses[0] if losses[0] > 0 else losses[0]
    return math.isfinite(losses[-1]) and min(losses[-4:]) < aim


def _epochs(dry: DryRun) -> float:
    training = dry.state.config.training
    if training.max_steps < 0:
        return training.num_train_epochs
    batches: Any = dry.trainer.get_train_dataloader()
    return training.max_steps * training.gradient_accumulation_steps / max(len(batches), 1)


def _memory_there() -> float | None:
    """Bytes that are free on the device that would compute; ``None`` where the machine does not say."""
    if torch.cuda.is_available():
        return float(torch.cuda.mem_get_info()[0])
    with contextlib.suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        known: Mapping[str, Sequence[str]] = {line.split(":")[0]: line.split()[1:] for line in lines}
        return float(known["MemAvailable"][0]) * 1024
    return None
