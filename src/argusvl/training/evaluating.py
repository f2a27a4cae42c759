"""Evaluations in training: of averaged weights, without a trace, and what follows from their figures."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping

from argusvl.core.errors import ConfigError
from argusvl.core.figures import spec_of
from argusvl.core.logging import get_logger
from argusvl.training.interrupts import InterruptedWork
from argusvl.training.sandbox import evaluation_sandbox
from argusvl.training.saving import save
from argusvl.training.sharding import unsharded
from argusvl.training.state import TrainState

logger = get_logger(__name__)


def evaluate(state: TrainState) -> dict[str, float]:
    """The task's own figures, with averaged weights where there are, leaving no trace in the training.

    Each rank does its share; the figures are those of the first.
    """
    started = time.perf_counter()
    with state.between_steps("evaluating"):
        figures = measure(state)
    metrics = {f"eval_{name}": float(value) for name, value in figures.items()}
    metrics["eval_seconds"] = time.perf_counter() - started
    state.log(metrics)
    state.notify("on_evaluate", metrics=metrics)
    state.listeners.tell("on_evaluation", state.step, figures)
    state.event(
        "evaluated", figures={name: float(value) for name, value in figures.items() if "/" not in name}
    )
    return metrics


def measure(state: TrainState) -> dict[str, float]:
    """The task's own figures and nothing else: neither told nor logged."""
    dataset = state.eval_dataset
    assert dataset is not None
    with evaluation_sandbox(state.network), state.averaged_weights(), unsharded(state.network):
        return state.parallel.from_first(state.task.evaluate(state.network, dataset, state.parallel))


def evaluate_in_training(state: TrainState) -> bool:
    """An evaluation in training; whether it came to its end. If it fails, what was trained is saved first."""
    state.evaluation_due = True
    try:
        if state.stop_requested:
            raise InterruptedWork
        # Ranks cannot leave an evaluation one by one.
        with state.interrupts.abandonable() if state.parallel.world_size == 1 else contextlib.nullcontext():
            metrics = evaluate(state)
        is_best = _is_best(state, metrics)
    except InterruptedWork:
        state.control.should_save = state.control.should_training_stop = True
        return False
    except Exception as error:
        # Of several ranks, others may not have failed.
        if state.step > 0 and state.parallel.world_size == 1:
            try:
                save(state)
            except Exception as second:  # noqa: BLE001 - the first error is what the user must see
                error.add_note(f"and the state could not be saved: {second}")
        raise
    state.evaluation_due = False
    # The best state is kept whatever save_steps says.
    state.control.should_save = state.control.should_save or is_best
    if _no_longer_gains(state):
        state.control.should_save = state.control.should_training_stop = True
    return True


def _no_longer_gains(state: TrainState) -> bool:
    """Whether as many evaluations as ``early_stopping_patience`` have passed since the best one."""
    patience, best = state.config.training.early_stopping_patience, state.progress.best_global_step
    if patience is None or best is None or state.step >= state.progress.max_steps:
        return False
    # Of the history, which snapshots keep: a run that was killed or went back counts the same.
    since = {
        one["step"] for one in state.progress.log_history if "eval_seconds" in one and one["step"] > best
    }
    if len(since) < patience:
        return False
    name = state.config.training.metric_for_best_model
    logger.info("%s is no better %d evaluations after step %d: training ends here", name, len(since), best)
    return True


def _is_best(state: TrainState, metrics: Mapping[str, float]) -> bool:
    if metrics.keys() <= {"eval_seconds", "epoch"}:
        return False  # by a task that has no figure in this configuration
    name, figures = state.config.training.metric_for_best_model, state.task.figures()
    declared = {key.removeprefix("eval_"): v for key, v in metrics.items() if spec_of(key, figures)}
    value = declared.get(name.removeprefix("eval_"))
    if value is None:
        known = ", ".join(sorted(declared))
        raise ConfigError(
            f"the evaluation gives no figure {name!r}",
            where="metric_for_best_model",
            remedy=f"use one of {known}, and continue with --resume",
        )
    best = state.progress.best_metric
    if math.isnan(value):
        return False
    if best is not None and not (value > best if state.arguments.greater_is_better else value < best):
        return False
    state.progress.best_metric, state.progress.best_global_step = value, state.step
    state.progress.best_model_checkpoint = str(state.output_dir / f"checkpoint-{state.step}")
    return True
