"""A training run from its configuration to its result."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from transformers import TrainerCallback

from argus_doctor.findings import Finding, finding_of
from argusvl.config.key_index import KeyIndex
from argusvl.config.loading import to_yaml
from argusvl.config.schema import RunConfig
from argusvl.core.allocator import keep_freed_memory
from argusvl.core.environment import environment
from argusvl.core.errors import ArgusError, CheckpointError, ConfigError
from argusvl.core.files import cannot_write, write_text_atomically
from argusvl.core.logging import get_logger
from argusvl.core.wording import flat
from argusvl.run import checkpoints
from argusvl.run.layout import CONFIG_FILE, ENVIRONMENT_FILE
from argusvl.run.lock import refuse_foreign, run_lock
from argusvl.training.arguments import training_arguments
from argusvl.training.launch import is_first_process
from argusvl.training.listeners import Listener
from argusvl.training.policies import Policy
from argusvl.training.protocol import FinishesRuns, LearnsAssets, Task
from argusvl.training.saving import POSITION_KEYS
from argusvl.training.snapshot import SavedSnapshot
from argusvl.training.state import TrainState, fingerprint_of
from argusvl.training.trainer import ArgusTrainer

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        output_dir: The run's folder.
        steps: Optimizer steps trained in all, earlier parts of a resumed run included.
        epochs: Passes over the data, with fraction.
        interrupted: Whether it was stopped by Ctrl-C; ``--resume`` goes on.
        last_checkpoint: The newest checkpoint.
        best_checkpoint: The best checkpoint by ``metric_for_best_model``; ``None`` without evaluation.
        best_metric: Its figure.
        evaluation: Figures of the last evaluation.
        train_seconds: Seconds of training in this call, without evaluations and saving.
        samples_per_second: Mean over this call.
        images_per_second: Mean over this call; 0 where batches hold no images.
    """

    output_dir: Path
    steps: int
    epochs: float
    interrupted: bool
    last_checkpoint: Path | None
    best_checkpoint: Path | None
    best_metric: float | None
    evaluation: dict[str, float]
    train_seconds: float
    samples_per_second: float
    images_per_second: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}


@contextlib.contextmanager
def opened_run(output_dir: Path, resume: bool) -> Iterator[Path | None]:
    """Owns a run's folder in the body, and gives the checkpoint to continue from; ``None`` for a new run.

    On several ranks only the first owns the folder, and what it finds counts. Calls may be nested.

    Raises:
        ConfigError: Another process trains there, the folder holds files of somebody else, or it holds checkpoints
            and ``resume`` is not asked for.
        CheckpointError: ``resume`` is asked for and there is no complete checkpoint.
    """
    if not is_first_process():
        yield checkpoints.newest_complete(output_dir, quiet=True) if resume else None
        return
    _refuse_place(output_dir, resume)
    with run_lock(output_dir):
        checkpoints.remove_leftovers(output_dir)
        if not resume:
            _refuse_checkpoints(output_dir)
        yield checkpoints.newest_complete(output_dir) if resume else None


def check_run(task: Task, config: RunConfig, resume: bool) -> list[Finding]:
    """What keeps a run from starting: its folder, its settings, its data. Loads no weights and changes nothing."""
    output_dir, findings = config.training.output_dir, list[Finding]()
    try:
        _refuse_place(output_dir, resume)
        if not resume:
            _refuse_checkpoints(output_dir)
        _refuse_unwritable(output_dir)
    except ArgusError as error:
        findings.append(finding_of(error))
    try:
        training_arguments(config, task.parameter_groups(), task.figures())
    except ArgusError as error:
        findings.append(finding_of(error))
    return [*findings, *task.check()]


def _refuse_place(output_dir: Path, resume: bool) -> None:
    inside = next(
        (p for p in (output_dir, *output_dir.parents) if (p / checkpoints.MANIFEST).is_file()), None
    )
    if inside is not None or (output_dir.exists() and not output_dir.is_dir()):
        raise ConfigError(
            f"{output_dir} is {'a file' if inside is None else 'inside a checkpoint'}",
            where="output_dir",
            remedy="set it to a folder of the run's own",
        )
    if resume and not output_dir.is_dir():
        checkpoints.newest_complete(output_dir)  # raises
    refuse_foreign(output_dir)


def _refuse_checkpoints(output_dir: Path) -> None:
    existing = checkpoints.list_checkpoints(output_dir)
    if existing:
        raise ConfigError(
            f"the folder {output_dir} already holds {existing[-1][1].name}",
            where="output_dir",
            remedy="continue that run with --resume, or set another output_dir; nothing was changed",
        )


def _refuse_unwritable(output_dir: Path) -> None:
    """Tries to write where the folder is or would be made; nothing is left there."""
    try:
        there = next(path for path in (output_dir, *output_dir.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise cannot_write(output_dir, error) from error


def run_training(
    task: Task,
    config: RunConfig,
    resume: bool = False,
    callbacks: Sequence[TrainerCallback] = (),
    *,
    allow_changes: bool = False,
    policies: Sequence[Policy] = (),
    listeners: Sequence[Listener] = (),
) -> TrainingResult:
    """Trains a task, or continues its training.

    Args:
        task: The task.
        config: Its configuration.
        resume: Continue from the newest complete checkpoint in ``output_dir``.
        callbacks: Callbacks of transformers that watch the run.
        allow_changes: Continue although data, loss or optimizer are not those of the run so far.
        policies: What may change training, beside the engine's own policies.
        listeners: What watches it.

    Raises:
        ArgusError: What the user can mend: configuration, data, checkpoint, a loss that is not finite.
    """
    keep_freed_memory()
    output_dir = config.training.output_dir
    with opened_run(output_dir, resume) as checkpoint:
        transformers.utils.logging.disable_progress_bar()  # its bars would break ours
        # That intervals are not those of the checkpoint: ours hold (saving.resume), and other changes are said below.
        transformers.utils.logging.get_logger("transformers.trainer_utils").setLevel(logging.ERROR)
        saved = None if checkpoint is None else SavedSnapshot(checkpoint)
        then = None if saved is None else saved.config
        changes = _changed_keys(then, config)
        if saved is not None and changes and not allow_changes:
            changes += _unread_data_changes(task, saved)
        _refuse_or_tell(changes, allow_changes)  # before a model is loaded
        moved = _moved_root(then, config)
        _refuse_or_tell(moved, allowed=True)
        changes += moved
        trainer = ArgusTrainer(task, config, callbacks, checkpoint, policies, listeners)
        run = trainer.run
        if trainer.resumed is not None:
            changed_data = _changed_data(trainer.resumed.engine.data, run.fingerprint)
            _refuse_or_tell(changed_data, allow_changes)  # before anything in the folder changes
            changes += changed_data
        run.parallel.check_same({"the content of the training records": run.fingerprint})
        if run.parallel.is_first:
            logger.info("computing in %s: %s", run.precision.name, run.precision.why)
            write_text_atomically(output_dir / CONFIG_FILE, to_yaml(config))
            found = json.dumps(environment() | run.precision.facts(), ensure_ascii=False, indent=2)
            write_text_atomically(output_dir / ENVIRONMENT_FILE, found + "\n")
            if changes:
                run.event("changed", changes=[str(change) for change in changes])
        trainer.train()
        result = _result(run)
        if run.parallel.is_first:
            if run.step and result.last_checkpoint is None:
                raise CheckpointError(
                    "no checkpoint of this run is left: its folder was removed or renamed while it trained",
                    where=output_dir,
                    remedy="leave the folder alone while a run trains, and train again",
                )
            trainer.save_state()
            checkpoint = result.best_checkpoint or result.last_checkpoint
            if checkpoint is not None and isinstance(task, FinishesRuns):
                task.finish(output_dir, checkpoint)
        return result


FREE_KEYS = frozenset(
    {
        *("output_dir", "run_name", "num_train_epochs", "max_steps", "per_device_eval_batch_size"),
        *("eval_steps", "save_steps", "save_total_limit", "logging_steps", "metric_for_best_model"),
        *("gradient_shares_every", "attention_entropy_every"),
        # What a step rounds, what it keeps.
        *("bf16", "gradient_checkpointing", "gradient_checkpointing_parts"),
        *("device", "report_to", "dataloader_num_workers", "log_level"),
        *("train", "root", "val"),  # of training, the records themselves are compared
    }
)
"""Keys that a resumed run may change: none changes what a step is to compute. Rates (``*_lr``) are said when they
change."""

_FREE_OPTIONS = tuple(f"trainer_arguments.{name}" for name in ("fsdp", "deepspeed", "ddp_"))
"""How processes share the work: on one, or on another number of them, there is nothing to share, or otherwise."""


def _changed_keys(saved: Mapping[str, Any] | None, config: RunConfig) -> list[str]:
    """What a resumed run would compute otherwise than the run so far, by its configuration."""
    if saved is None:
        return []
    changes, index = [], KeyIndex.of(type(config))
    now, then = dict(flat(config.model_dump(mode="json"))), dict(flat(saved))
    free = FREE_KEYS.union(POSITION_KEYS)  # of the latter, the snapshot's position speaks
    for key in sorted(now.keys() | then.keys()):
        name = key.rpartition(".")[2]
        if key.startswith(_FREE_OPTIONS) or name in free or name.endswith("_lr"):
            continue
        if key not in then:
            # A key that the schema did not have when the run began says nothing about it.
            if index.is_free(tuple(key.split("."))):
                changes.append(f"{name} is {now[key]!r} and was not there")
        elif key not in now:
            told = "is not there" if name in index.by_name else "has gone in this version"
            changes.append(f"{name} was {then[key]!r} and {told}")
        elif now[key] != then[key]:
            changes.append(f"{name} was {then[key]!r} and is {now[key]!r}")
    return changes


def _moved_root(saved: Mapping[str, Any] | None, config: RunConfig) -> list[str]:
    """What is no change of the records, and yet may be one of the pictures."""
    then, now = dict(flat(saved or {})).get("data.root"), config.model_dump(mode="json")["data"]["root"]
    same = saved is None or then == now
    return [] if same else [f"root was {then!r} and is {now!r}: the pictures there must be the same"]


def _changed_data(then: str | None, now: str | None) -> list[str]:
    """Which parts of the data are other ones; see :meth:`argusvl.training.protocol.Task.train_dataset`."""
    if then is None:
        return []
    known = _data_parts(then)  # of a part that it does not name, a checkpoint says nothing
    return [
        f"the {name} have changed"
        for name, digest in _data_parts(now or "").items()
        if known.get(name, digest) != digest
    ]


def _unread_data_changes(task: Task, saved: SavedSnapshot) -> list[str]:
    """The same, where no run begins that would read the data; nothing of data that cannot be read."""
    try:
        if isinstance(task, LearnsAssets):
            task.load_assets(saved.checkpoint)
        return _changed_data(saved.engine.data, fingerprint_of(task.train_dataset()))
    except ArgusError:
        return []


def _data_parts(fingerprint: str) -> dict[str, str]:
    parts = (part.rpartition(" ") for part in fingerprint.split(", "))
    return {name or "training records": digest for name, _, digest in parts}


def _refuse_or_tell(changes: Sequence[str], allowed: bool) -> None:
    if changes and not allowed:
        raise ConfigError(
            f"this would train otherwise than the run so far: {'; '.join(changes)}",
            where="--resume",
            remedy="take that back, start a new run in another output_dir, or add --allow-changes; "
            "nothing was changed",
        )
    for change in changes:
        logger.warning("going on with a change: %s", change)


def _result(run: TrainState) -> TrainingResult:
    run.throughput.drain()
    speed, folder = run.throughput, run.output_dir
    seconds = max(speed.trained_seconds, 1e-9)
    best = checkpoints.read_best(folder)
    saved = checkpoints.list_checkpoints(folder)
    evaluations = [e for e in run.progress.log_history if any(key.startswith("eval_") for key in e)]
    figures = evaluations[-1] if evaluations else {}
    return TrainingResult(
        output_dir=folder,
        steps=run.step,
        epochs=float(run.progress.epoch or 0.0),
        interrupted=run.stop_requested,
        last_checkpoint=saved[-1][1] if saved else None,
        best_checkpoint=None if best is None else folder / best.checkpoint,
        best_metric=None if best is None else best.value,
        evaluation={k.removeprefix("eval_"): v for k, v in figures.items() if k.startswith("eval_")},
        train_seconds=speed.trained_seconds,
        samples_per_second=speed.trained_samples / seconds,
        images_per_second=speed.trained_images / seconds,
    )
