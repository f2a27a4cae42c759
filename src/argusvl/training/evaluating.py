"""Evaluations in training: of averaged weights, without a trace, and what follows from their figures."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch.utils.data import Dataset

from argusvl.core.errors import ConfigError
from argusvl.core.figures import spec_of
from argusvl.training.interrupts import InterruptedWork
from argusvl.training.sandbox import evaluation_sandbox
from argusvl.training.sharding import unsharded

if TYPE_CHECKING:
    from argusvl.training.trainer import ArgusTrainer


class Evaluating:
    """Evaluates for the engine.

    Args:
        trainer: The engine.
    """

    def __init__(self, trainer: ArgusTrainer) -> None:
        self._trainer = trainer

    def evaluate(self, eval_dataset: Dataset[Any] | None, metric_key_prefix: str) -> dict[str, float]:
        """The task's own figures, with averaged weights where there are, leaving no trace in the training.

        Each rank does its share; the figures are those of the first.
        """
        trainer = self._trainer
        dataset = trainer.eval_dataset if eval_dataset is None else eval_dataset
        assert isinstance(dataset, Dataset)
        started = time.perf_counter()
        with (
            trainer.between_steps("evaluating"),
            evaluation_sandbox(trainer.network),
            trainer.averaged_weights(),
            unsharded(trainer.network),
        ):
            figures = trainer.parallel.from_first(
                trainer.task.evaluate(trainer.network, dataset, trainer.parallel)
            )
        metrics = {f"{metric_key_prefix}_{name}": float(value) for name, value in figures.items()}
        metrics[f"{metric_key_prefix}_seconds"] = time.perf_counter() - started
        trainer.log(metrics)
        trainer.control = trainer.callback_handler.on_evaluate(
            trainer.args, trainer.state, trainer.control, metrics
        )
        trainer.listeners.on_evaluation(trainer.state.global_step, figures)
        trainer.event(
            "evaluated", figures={name: float(value) for name, value in figures.items() if "/" not in name}
        )
        return metrics

    def due(self) -> bool:
        """An evaluation in training; whether it came to its end. If it fails, what was trained is saved first."""
        trainer = self._trainer
        trainer.evaluation_due = True
        try:
            if trainer.stop_requested:
                raise InterruptedWork
            # Ranks cannot leave an evaluation one by one.
            with (
                trainer.interrupts.abandonable()
                if trainer.parallel.world_size == 1
                else contextlib.nullcontext()
            ):
                metrics = trainer.evaluate()
            is_best = self._is_best(metrics)
        except InterruptedWork:
            trainer.control.should_save = trainer.control.should_training_stop = True
            return False
        except Exception as error:
            # Of several ranks, others may not have failed.
            if trainer.state.global_step > 0 and trainer.parallel.world_size == 1:
                try:
                    trainer.saving.save()
                except Exception as second:  # noqa: BLE001 - the first error is what the user must see
                    error.add_note(f"and the state could not be saved: {second}")
            raise
        trainer.evaluation_due = False
        # The best state is kept whatever save_steps says.
        trainer.control.should_save = trainer.control.should_save or is_best
        return True

    def _is_best(self, metrics: Mapping[str, float]) -> bool:
        if metrics.keys() <= {"eval_seconds", "epoch"}:
            return False  # by a task that has no figure in this configuration
        trainer = self._trainer
        name, figures = trainer.config.training.metric_for_best_model, trainer.task.figures()
        declared = {key.removeprefix("eval_"): v for key, v in metrics.items() if spec_of(key, figures)}
        value = declared.get(name.removeprefix("eval_"))
        if value is None:
            known = ", ".join(sorted(declared))
            raise ConfigError(
                f"the evaluation gives no figure {name!r}",
                where="metric_for_best_model",
                remedy=f"use one of {known}, and continue with --resume",
            )
        best = trainer.state.best_metric
        if math.isnan(value):
            return False
        if best is not None and not (value > best if trainer.args.greater_is_better else value < best):
            return False
        trainer.state.best_metric, trainer.state.best_global_step = value, trainer.state.global_step
        trainer.state.best_model_checkpoint = str(
            trainer.output_dir / f"checkpoint-{trainer.state.global_step}"
        )
        return True
