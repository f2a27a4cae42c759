"""What every run configuration shares: strict frozen sections, and the ones that no task owns alone.

A task derives its own ``RunConfig``: it extends the common sections where it must and adds its own. No
hyper-parameter has a default: what a run did is written in its file. Only what is plainly absent when it is not
named (a validation set, a folder of weights) may be left out.

Every key name belongs to exactly one section, so that a file may be written with sections or flat.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from argus_doctor.wording import did_you_mean
from argusvl.config import trainer_arguments
from argusvl.core.errors import ArgusError, ConfigError
from argusvl.core.files import user_path
from argusvl.core.logging import parse_levels


def _user_path(value: Any) -> Any:
    try:
        return user_path(value) if isinstance(value, str) else value
    except ArgusError as error:
        raise ValueError(f"{error.what}; {error.remedy}") from None


FilePath = Annotated[Path, Strict(False), BeforeValidator(_user_path)]
"""A path, written as text; relative ones are relative to the current folder. Existence is not checked here."""

Count = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0)]
"""A peak learning rate; 0 freezes what it is for."""


def _auto_or_switch(value: object) -> object:
    if value != "auto" and not isinstance(value, bool):
        raise ValueError("should be auto, true or false")
    return value


AutoOrSwitch = Annotated[Literal["auto"] | bool, BeforeValidator(_auto_or_switch)]
"""Decided by the machine, or by the user."""


@dataclass(frozen=True, slots=True)
class KeyProblem:
    """What is wrong with a key in view of others.

    Attributes:
        key: The key to change; its name is unique, so it needs no section.
    """

    key: str
    what: str
    remedy: str


class CrossFieldError(ValueError):
    """Keys contradict each other. The loader turns it into a ``ConfigError`` that names file and line."""

    def __init__(self, problems: list[KeyProblem]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{p.key}: {p.what}; {p.remedy}" for p in problems))


class Section(BaseModel):
    """A part of the configuration: strict (no conversion of types), frozen, and closed to unknown keys."""

    model_config = ConfigDict(
        allow_inf_nan=False,
        extra="forbid",
        frozen=True,
        protected_namespaces=(),  # `model_path` and its like are the field's own names
        strict=True,
        use_attribute_docstrings=True,
    )

    def cross_field_problems(self) -> Iterator[KeyProblem]:
        """Contradictions between keys; any is an error."""
        yield from ()

    def cross_field_warnings(self) -> Iterator[KeyProblem]:
        """Combinations that are possible and probably not meant."""
        yield from ()

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        problems = list(self.cross_field_problems())
        if problems:
            raise CrossFieldError(problems)
        return self


class DataSection(Section):
    """Which records are used."""

    train: FilePath
    """JSONL file of training records."""
    val: FilePath | None = None
    """JSONL file of records that evaluations use; without it there is no evaluation in training."""
    root: FilePath | None = None
    """Folder that image paths in the records are relative to; without it, the folder of each JSONL file."""
    max_examples: Count | None
    """Number of records used of each file, from its beginning; null for all."""


class PhaseSection(Section):
    """A part of training."""

    until: float = Field(gt=0, le=1)
    """Fraction of all steps at which the phase ends; that of the last one is 1."""
    train: list[str] | None = None
    """Names of the parameter groups that train in it; null for all."""
    rates: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Factor of a group's learning rate in it, by the group's name; 1 where it is not named."""
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Factor of a loss term's weight in it, by the term's name; 1 where it is not named."""


class RateScalingSection(Section):
    """How learning rates follow the number of samples of a step: those of all devices and forward passes together, in
    packed rows their mean.
    """

    rule: Literal["linear", "sqrt"]
    """Whether rates are multiplied by the ratio of samples to reference_samples, or by its square root."""
    reference_samples: Count
    """Number of samples of a step for which the configured rates are meant."""


class RecoverySection(Section):
    """What happens to steps whose loss or gradient is not finite."""

    max_consecutive_nan: Count
    """Number of such steps in a row that are passed over; with one more, training goes back to a snapshot."""
    max_nan_ratio: float = Field(gt=0, le=1)
    """Share of such steps, in a window, that are passed over; with more, training goes back to a snapshot."""
    nan_window: Count
    """Number of steps in that window."""
    max_zero_loss: Count
    """Number of steps in a row whose loss may be exactly 0; with one more, training ends."""
    snapshot_steps: Count
    """Number of optimizer steps between snapshots in memory."""
    rate_factor: float = Field(gt=0, le=1)
    """Factor of all learning rates after going back."""
    clip_factor: float = Field(gt=0, le=1)
    """Factor of max_grad_norm after going back."""
    recovery_steps: Count
    """Number of optimizer steps for which both hold."""
    max_roll_backs: int = Field(ge=0)
    """Number of times that training goes back; after that it ends with a diagnosis."""


class RemediesSection(Section):
    """What the engine may do about what the doctor finds, each proven before it is kept."""

    apply: list[str] = Field(min_length=1)
    """Findings that may be acted on, by the names that `argus doctor list` shows."""
    trial_steps: int = Field(ge=5)
    """Number of optimizer steps that are computed again with each remedy, then evaluated, beside those without it."""
    attempts: Count
    """Number of remedies tried in all; where none is left, an error ends the training with advice, a hint does not."""


class TrainingSection(Section):
    """How long, how fast, and what is kept."""

    output_dir: FilePath
    """Folder of checkpoints, logs and figures."""
    run_name: str = Field(min_length=1)
    """Name of the run in trackers and reports."""
    seed: int = Field(ge=0, lt=2**32)
    """Seed of weights, order, augmentation and teachers; one seed gives the same losses again."""
    num_train_epochs: float = Field(gt=0)
    """Passes over the training records; may be a fraction."""
    max_steps: int
    """Number of optimizer steps; -1 to go by num_train_epochs."""
    per_device_train_batch_size: Count
    """Number of samples in a forward pass, on each device."""
    per_device_eval_batch_size: Count
    """Number of samples in a forward pass of an evaluation, on each device."""
    gradient_accumulation_steps: Count
    """Number of forward passes for one optimizer step."""
    weight_decay: float = Field(ge=0)
    """Decoupled weight decay of AdamW, per step and unit of learning rate; norms and biases have none."""
    adam_beta2: float = Field(gt=0, lt=1)
    """Decay of AdamW's second moment, per step."""
    lr_scheduler_type: Literal[
        "linear", "cosine", "cosine_with_restarts", "cosine_with_min_lr", "polynomial", "constant",
        "constant_with_warmup", "inverse_sqrt", "warmup_stable_decay",
    ]  # fmt: skip
    """Shape of the learning rates over training, by transformers' name; more in lr_scheduler_kwargs."""
    warmup_ratio: float = Field(ge=0, lt=1)
    """Fraction of all steps over which the learning rates rise from 0 to their peaks."""
    phases: list[PhaseSection] | None = None
    """Parts of training in which other groups train, or at other rates; null for none."""
    rate_scaling: RateScalingSection | None = None
    """How learning rates follow the number of samples of a step; null: they are used as they are."""
    balance_decay: float | None = Field(default=None, ge=0, lt=1)
    """Decay per step of the averages by which each loss term is brought to the share of the loss that its weight has of
    all weights; null: weights are used as they are."""
    recovery: RecoverySection | None = None
    """What happens to steps whose loss or gradient is not finite; null: the first one ends training."""
    remedies: RemediesSection | None = None
    """What the engine may do about findings of the doctor; null: it tells them and goes on."""
    max_grad_norm: float = Field(gt=0)
    """Norm that the gradient of all parameters together is clipped to."""
    ema_decay: float | None = Field(ge=0, lt=1)
    """Decay per step of the moving average of weights that is evaluated and saved; null for none."""
    bf16: AutoOrSwitch
    """Whether forward and backward passes run in bfloat16 autocast; auto where that pays on the machine."""
    gradient_checkpointing: bool
    """Whether activations are computed again in the backward pass: less memory, about a third more time."""
    eval_steps: Count
    """Number of optimizer steps between evaluations."""
    save_steps: Count
    """Number of optimizer steps between checkpoints."""
    save_total_limit: Count
    """Number of checkpoints kept, the best one included."""
    logging_steps: Count
    """Number of optimizer steps between log entries."""
    gradient_shares_every: Count | None = None
    """Number of log entries from one to the next that says how strongly each objective pulls at what they share; it
    takes a backward pass for each. null: never."""
    attention_entropy_every: Count | None = None
    """Number of log entries from one to the next that says how widely each layer's attention looks; null: never."""
    metric_for_best_model: str
    """Figure of an evaluation that chooses the best checkpoint; the task says which way is better."""
    early_stopping_patience: Count | None = None
    """Evaluations without a better figure after which training ends before its last step; null: it goes to the end."""

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        if self.max_steps != -1 and self.max_steps < 1:
            yield KeyProblem(
                "max_steps", f"is {self.max_steps}", "write -1 to go by num_train_epochs, or 1 or more"
            )
        ends = [phase.until for phase in self.phases or ()]
        if ends and (ends[-1] != 1 or any(a >= b for a, b in itertools.pairwise(ends))):
            yield KeyProblem(
                "phases", f"they end at {ends}", "let each end later than the one before, the last at 1"
            )


def _known_levels(text: str) -> str:
    try:
        parse_levels(text)
    except ConfigError as error:
        raise ValueError(f"{error.what}; {error.remedy}") from None
    return text


class InfrastructureSection(Section):
    """Where a run computes and whom it tells."""

    device: Literal["auto", "cpu", "cuda"]
    """Device to compute on; auto takes CUDA where it is present."""
    report_to: list[Literal["tensorboard", "wandb", "mlflow", "trackio"]]
    """Trackers that get the figures; an empty list for none."""
    dataloader_num_workers: Annotated[int, Field(ge=0)] | Literal["auto"]
    """Number of processes that prepare batches; 0 to prepare them in the training process; auto: 0 on a CPU, which has
    no core to spare, and beside a GPU as many as it has cores to itself, up to 8."""
    log_level: Annotated[str, AfterValidator(_known_levels)]
    """Level of log lines (debug, info, warning, error), and of single modules: info,training=debug."""

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        if len(set(self.report_to)) != len(self.report_to):
            yield KeyProblem("report_to", f"names a tracker twice: {self.report_to}", "name each once")


class RunConfig(Section):
    """The sections that every task has; a task extends ``data`` and ``training`` and adds its own."""

    task: str
    """Name of the task; chooses the schema."""
    data: DataSection
    """Which records are used, and how they become batches."""
    training: TrainingSection
    """How long, how fast, and what is kept."""
    infrastructure: InfrastructureSection
    """Where a run computes and whom it tells."""
    trainer_arguments: dict[str, Any] = Field(default_factory=dict)
    """Further options of transformers' TrainingArguments, by their names there."""

    @property
    def precision(self) -> tuple[Literal["auto"] | bool, str]:
        """Whether to compute in bfloat16, and the key that says so."""
        return self.training.bf16, "bf16"

    def cross_field_problems(self) -> Iterator[KeyProblem]:  # noqa: D102
        for name, value in self.trainer_arguments.items():
            key = f"trainer_arguments.{name}"
            if (instead := trainer_arguments.owner_of(name)) is not None:
                yield KeyProblem(key, "is not passed through", instead)
            elif name not in (types := trainer_arguments.field_types()):
                close = did_you_mean(name, trainer_arguments.passable())
                yield KeyProblem(key, f"unknown to TrainingArguments{close}", "correct or remove it")
            elif (problem := trainer_arguments.value_problem(types[name], value)) is not None:
                yield KeyProblem(key, problem, "correct the value")
