"""What the engine must know of a task, and nothing more.

The engine weights, adds and logs loss terms; it knows no term by name. A model's forward returns terms as *sums*; the
batch carries the *counts* that they are divided by, which the engine adds before the first forward
(:mod:`argusvl.training.losses`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from argus_doctor.findings import Finding
from argusvl.core.batch import Batch
from argusvl.core.figures import FigureSpec
from argusvl.training.parallel import Parallel


@dataclass(frozen=True, slots=True)
class LossTerm:
    """One loss term: its name in ``ModelOutput.loss_terms``, its divisor and its weight in the total.

    Attributes:
        name: Key of the model's ``loss_terms``.
        count: Key of the batch's ``counts``; the summed term is divided by the global sum of this count.
        weight: Factor in the total loss.
        log_as: Name in the logs, or several. Terms with the same name are added up there (``lm_loss`` may be
            the sum of two terms that are logged apart as well); ``None``: not logged. Logged without the weight.
        objective: What it serves, where others serve the same (a loss at several layers): their gradients are
            measured as one. By default its name.
    """

    name: str
    count: str
    weight: float
    log_as: str | tuple[str, ...] | None
    objective: str | None = None


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """A named set of parameters with a learning rate of its own.

    Attributes:
        name: As shown in ``lr/<name>``, ``wn/<name>``, ``gn/<name>``.
        pattern: Regular expression searched in the parameter's name. Groups are tried in order; the first wins.
        learning_rate: Peak rate; 0 freezes the group.
        optional: Whether the pattern may match nothing.
        frozen_epochs: Epochs from the start of training for which the group stays frozen.
        decay_embeddings: Whether weight decay reaches ``nn.Embedding`` weights (never 1-D parameters or norms).
    """

    name: str
    pattern: str
    learning_rate: float
    optional: bool = False
    frozen_epochs: float = 0.0
    decay_embeddings: bool = False


class Task(Protocol):
    """A task as the engine sees it. ``detection/task.py`` is one."""

    def check(self) -> Sequence[Finding]:
        """What is wrong with the run before it starts: data files, records, token budget; empty when all is well.

        Takes seconds and loads no weights. What a run cannot start with at all is raised as an ``ArgusError``.
        """
        ...

    def model(self) -> PreTrainedModel:
        """The model to train: loaded, or new with random weights (the caller has set the seed).

        Its class's ``from_pretrained`` loads what ``save_pretrained`` wrote: so the engine resumes, unless the model
        :class:`ReadsCheckpoints` itself.
        """
        ...

    def train_dataset(self) -> Dataset[Any]:
        """Samples by index. A ``set_epoch(int)`` method, where there is one, is called before each epoch.

        Random choices may use the global generators: the engine seeds them for each epoch and index. A
        ``sample_name(index) -> str`` method, where there is one, names samples in error messages. A
        ``fingerprint() -> str`` method, where there is one, tells a resumed run whether the data are the same: a digest
        of the training records, and ``, name digest`` for whatever else is learned from.

        Where a ``num_batches(ranks) -> int | None`` method gives a number, a multiple of ``ranks``, every epoch has so
        many batches, and ``batches(epoch, ranks) -> Iterable[Sequence[int]]`` says which samples they are, by nothing
        but the seed and the epoch; ``per_device_train_batch_size`` is the task's business then.

        Where a ``largest_batch(samples, ranks) -> Sequence[int]`` method says which samples make the largest batch of
        so many (or of those planned), a new run tries it before its first step, to see whether it fits into memory.
        """
        ...

    def eval_dataset(self) -> Dataset[Any] | None:
        """The held-out samples, or ``None``."""
        ...

    def collate(self, samples: Sequence[Any]) -> Batch:
        """Samples → batch: the model's forward arguments, what the loss terms are divided by, what it holds."""
        ...

    def loss_terms(self) -> Sequence[LossTerm]:
        """Every term that the model can return."""
        ...

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Patterns and rates; every trainable parameter must fall into exactly one."""
        ...

    def evaluate(self, model: PreTrainedModel, dataset: Dataset[Any], parallel: Parallel) -> dict[str, float]:
        """Figures on held-out samples, without any prefix.

        On several ranks each predicts ``parallel.share(len(dataset))`` and ``parallel.gather_results`` brings the parts
        together; the first rank's figures count.
        """
        ...

    def figures(self) -> Mapping[str, FigureSpec]:
        """What the figures of :meth:`evaluate` mean and which way is better, by name.

        ``AP50/screw`` needs no line beside that of ``AP50``. Only a figure that is declared may choose the best
        checkpoint.
        """
        ...

    def save_assets(self, folder: Path) -> None:
        """Writes what a checkpoint needs beside the weights: tokenizer, labels, pixel limits.

        An ``argus.json`` with a key ``task``, the task's name, lets the checkpoint be used outside of its run's folder,
        whose ``config.yaml`` says it as well.
        """
        ...


@runtime_checkable
class ReadsCheckpoints(Protocol):
    """A model whose checkpoints need not hold all of it, so that a second whole one to copy from would be a waste."""

    def checkpoint_weights(self, folder: Path) -> dict[str, Tensor]:
        """The weights in a checkpoint by their names in the model: those that train at least.

        Raises ``CheckpointError`` where the rest of the model is not what it was when the checkpoint was written.
        """
        ...


@runtime_checkable
class LearnsAssets(Protocol):
    """A task that learns more than weights: from its data before training (a tokenizer, labels), or while it trains.

    Both come from the checkpoint when a run is resumed, never again from files that may have changed.
    """

    def load_assets(self, checkpoint: Path) -> None:
        """Takes what :meth:`Task.save_assets` wrote, before anything else is asked of the task."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What was learned in training beside the weights: plain values that JSON can write."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what :meth:`state_dict` returned."""
        ...


@runtime_checkable
class SavesWhatItMeasured(Protocol):
    """A task whose checkpoints hold what its last evaluation has measured of the weights, such as a calibration."""

    def steps_since_evaluation(self, steps: int) -> None:
        """Called before :meth:`Task.save_assets`: how many optimizer steps the weights have moved on since."""
        ...


@runtime_checkable
class DrawsPictures(Protocol):
    """A task that can show what its last evaluation saw; trackers that take pictures get them."""

    def pictures(self) -> Mapping[str, Image.Image]:
        """Drawings of the last evaluation by title; empty where there is none."""
        ...


@runtime_checkable
class FinishesRuns(Protocol):
    """A task that leaves something in a run's folder beside the checkpoints."""

    def finish(self, output_dir: Path, checkpoint: Path) -> None:
        """Called when training has ended or was stopped, on one rank, with the best checkpoint or else the newest."""
        ...


@runtime_checkable
class KnowsChance(Protocol):
    """A task that can say what a constant answer would cost, of some of its loss terms."""

    def chance_losses(self) -> Mapping[str, float]:
        """Term → its mean for answers that do not depend on the inputs; ``ln V`` of V equally likely words."""
        ...


@runtime_checkable
class KnowsMemory(Protocol):
    """A task that can predict what a training step takes."""

    def memory_needed(self) -> int:
        """Bytes of the largest step that the configuration allows, at its peak."""
        ...
