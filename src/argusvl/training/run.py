"""A training run from its configuration to its result."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from transformers import TrainerCallback

from argusvl.config.loading import to_yaml
from argusvl.config.schema import RunConfig
from argusvl.core.allocator import keep_freed_memory
from argusvl.core.environment import environment
from argusvl.core.errors import ConfigError
from argusvl.core.files import write_text_atomically
from argusvl.core.logging import get_logger
from argusvl.training import checkpoints
from argusvl.training.protocol import FinishesRuns, Task
from argusvl.training.run_state import SavedRun
from argusvl.training.trainer import ArgusTrainer

logger = get_logger(__name__)

CONFIG_FILE = "config.yaml"
ENVIRONMENT_FILE = "environment.json"


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


def starting_point(output_dir: Path, resume: bool, *, quiet: bool = False) -> Path | None:
    """The checkpoint to continue from, or ``None`` for a new run.

    Args:
        output_dir: The run's folder.
        resume: Whether to continue.
        quiet: Whether damaged checkpoints that are passed over go unmentioned.

    Raises:
        ConfigError: The folder holds checkpoints and ``resume`` is not asked for.
        CheckpointError: ``resume`` is asked for and there is no complete checkpoint.
    """
    checkpoints.remove_leftovers(output_dir)
    if resume:
        return checkpoints.newest_complete(output_dir, quiet=quiet)
    existing = checkpoints.list_checkpoints(output_dir)
    if existing:
        raise ConfigError(
            f"the folder {output_dir} already holds {existing[-1][1].name}",
            where="output_dir",
            remedy="continue that run with --resume, or set another output_dir; nothing was changed",
        )
    return None


def run_training(
    task: Task, config: RunConfig, resume: bool = False, callbacks: Sequence[TrainerCallback] = ()
) -> TrainingResult:
    """Trains a task, or continues its training.

    Args:
        task: The task.
        config: Its configuration.
        resume: Continue from the newest complete checkpoint in ``output_dir``.
        callbacks: Further callbacks that watch the run.

    Raises:
        ArgusError: What the user can mend: configuration, data, checkpoint, a loss that is not finite.
    """
    keep_freed_memory()
    output_dir = config.training.output_dir
    checkpoint = starting_point(output_dir, resume)
    transformers.utils.logging.disable_progress_bar()  # its bars would break ours
    begun_in_bf16 = None if checkpoint is None else SavedRun(checkpoint).engine.bf16
    trainer = ArgusTrainer(task, config, callbacks, begun_in_bf16)
    if checkpoint is not None:
        trainer.check_resume(checkpoint)  # before anything in the folder changes
    if trainer.args.should_save:
        logger.info("computing in %s: %s", trainer.precision.name, trainer.precision.why)
        write_text_atomically(output_dir / CONFIG_FILE, to_yaml(config))
        found = json.dumps(environment() | trainer.precision.facts(), ensure_ascii=False, indent=2)
        write_text_atomically(output_dir / ENVIRONMENT_FILE, found + "\n")
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    result = _result(trainer)
    if trainer.args.should_save:
        trainer.save_state()
        checkpoint = result.best_checkpoint or result.last_checkpoint
        if checkpoint is not None and isinstance(task, FinishesRuns):
            task.finish(output_dir, checkpoint)
    return result


def _result(trainer: ArgusTrainer) -> TrainingResult:
    trainer.throughput.drain()
    speed, folder = trainer.throughput, trainer.output_dir
    seconds = max(speed.trained_seconds, 1e-9)
    best = checkpoints.read_best(folder)
    saved = checkpoints.list_checkpoints(folder)
    evaluations = [e for e in trainer.state.log_history if any(key.startswith("eval_") for key in e)]
    figures = evaluations[-1] if evaluations else {}
    return TrainingResult(
        output_dir=folder,
        steps=trainer.state.global_step,
        epochs=float(trainer.state.epoch or 0.0),
        interrupted=trainer.stop_requested,
        last_checkpoint=saved[-1][1] if saved else None,
        best_checkpoint=None if best is None else folder / best.checkpoint,
        best_metric=None if best is None else best.value,
        evaluation={k.removeprefix("eval_"): v for k, v in figures.items() if k.startswith("eval_")},
        train_seconds=speed.trained_seconds,
        samples_per_second=speed.trained_samples / seconds,
        images_per_second=speed.trained_images / seconds,
    )
