"""A run's snapshots: taken, put back, and written as checkpoints. Resuming and rolling back are one path."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from argusvl.core.errors import CheckpointError
from argusvl.core.logging import get_logger
from argusvl.core.strict_json import decode_json
from argusvl.run import checkpoints
from argusvl.run.lock import is_moved
from argusvl.training.parameter_groups import hold_configured_options
from argusvl.training.protocol import LearnsAssets, SavesWhatItMeasured
from argusvl.training.randomness import preserved_randomness, random_state, set_random_state
from argusvl.training.sharding import as_held, is_sharded, optimizer_state_as_held, save_shards, whole_state
from argusvl.training.snapshot import EngineState, SavedSnapshot, Snapshot
from argusvl.training.state import TrainState

logger = get_logger(__name__)

_PROGRESS = (
    *("global_step", "epoch", "log_history", "total_flos"),
    *("best_metric", "best_global_step", "best_model_checkpoint"),
)
"""What a snapshot restores of ``TrainerState``; the rest follows from the configuration."""

_SHARDS_FIRST = ".checkpoint-{step}.shards.part"
"""Where all processes write their parts before the first one makes a checkpoint of them; a leftover by this name."""

POSITION_KEYS = ("seed", "per_device_train_batch_size", "gradient_accumulation_steps")
"""Keys that the position in the data depends on; a run that goes on may not change them at all."""


def position_of(state: TrainState) -> dict[str, int]:
    """What a position in the sampler's order depends on."""
    return {name: getattr(state.config.training, name) for name in POSITION_KEYS} | {
        "training samples": len(state.train_dataset),  # type: ignore[arg-type]
        "ranks": state.parallel.world_size,
    }


def check_position(state: TrainState, saved: SavedSnapshot) -> None:
    """Refuses a checkpoint after which this run would see its samples in another order.

    Another number of processes sees the same, with as many batches a step.

    Raises:
        CheckpointError: Something that the position depends on has changed.
    """
    then, now = saved.engine.position, position_of(state)
    shared = "ranks", "gradient_accumulation_steps"
    planned = getattr(state.train_dataset, "num_batches", lambda ranks: None)
    if (
        then["ranks"] != now["ranks"]
        and math.prod(then[name] for name in shared) == math.prod(now[name] for name in shared)
        and planned(then["ranks"]) == planned(now["ranks"])
    ):
        logger.warning(
            "going on with %d processes instead of %d, and as many batches a step: each has the same samples (but "
            "for the last one of an epoch that they do not divide), and draws its own random numbers",
            now["ranks"],
            then["ranks"],
        )
        now |= {name: then[name] for name in shared}
    for name, value in now.items():
        if then[name] != value:
            hint = (
                "; twice the gradient_accumulation_steps stand in for half the ranks"
                if name == "ranks"
                else ""
            )
            raise CheckpointError(
                f"it was trained with {name} {then[name]}, now it is {value}: the position in the data would differ",
                where=saved.checkpoint,
                remedy=f"resume with {name} {then[name]}, or start a new run in another output_dir{hint}",
            )


def take_snapshot(state: TrainState) -> Snapshot:
    """The run as it is now. Tensors are those of the run: :meth:`Snapshot.kept` copies them."""
    assert state.optimizer is not None and state.scheduler is not None
    own = {"random": random_state(), "window": state.window.state()}
    return Snapshot(
        engine=EngineState(
            position=position_of(state),
            evaluation_due=state.evaluation_due,
            last_logged=state.last_logged,
            ema_updates=None if state.ema is None else state.ema.updates,
            data=state.fingerprint,
            max_steps=state.progress.max_steps,
            bf16=state.precision.bf16,
            total_loss=state.window.total,
            steps_taken=state.window.steps,
            policies=state.policies.state_dict(),
        ),
        trainer=json.dumps(asdict(state.progress), indent=2, sort_keys=True) + "\n",
        weights=dict(state.trainable) | dict(state.network.named_buffers()),
        optimizer=state.optimizer.state_dict(),
        scheduler=state.scheduler.state_dict(),
        ranks=state.parallel.gather(own),
        task=state.task.state_dict() if isinstance(state.task, LearnsAssets) else {},
        averages=None if state.ema is None else state.ema.state(),
        config=state.config.model_dump(mode="json"),
    )


def resume(state: TrainState, saved: SavedSnapshot) -> None:
    """Puts back what a checkpoint holds.

    Raises:
        CheckpointError: The model, its groups or which of its parameters train are not what the run had.
    """
    if saved.engine.max_steps != state.progress.max_steps:
        logger.warning(
            "the run was planned for %d steps and is now for %d: the learning rates follow the new plan",
            saved.engine.max_steps,
            state.progress.max_steps,
        )
    assert state.optimizer is not None
    snapshot = saved.load(state.network, state.optimizer, state.trainable)
    try:
        restore(state, snapshot, saved.checkpoint)
        _keep_best(state)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"its training state is damaged ({type(error).__name__}: {error})",
            where=saved.checkpoint,
            remedy="move the folder away to go on from the checkpoint before it, or copy it again",
        ) from error


def restore(state: TrainState, snapshot: Snapshot, where: str | Path = "the snapshot in memory") -> None:
    """Makes the run what it was.

    Raises:
        CheckpointError: The model, its groups or which of its parameters train are not what the run had.
    """
    engine, progress = snapshot.engine, decode_json(snapshot.trainer)
    assert state.optimizer is not None and state.scheduler is not None
    rank, ranks = state.parallel.rank, state.parallel.world_size
    window = state.window.of_rank([each["window"] for each in snapshot.ranks], rank, ranks)
    _restore_weights(state, snapshot, where)
    _restore_average(state, snapshot, where)
    try:
        state.optimizer.load_state_dict(optimizer_state_as_held(state.optimizer, snapshot.optimizer))
    except (ValueError, KeyError) as error:
        raise CheckpointError(
            f"its optimizer does not fit this run's parameter groups: {error}",
            where=where,
            remedy="resume with the groups of the run that wrote it (which rates are 0 must not change)",
        ) from error
    state.scheduler.load_state_dict(snapshot.scheduler)
    hold_configured_options(state.optimizer, state.scheduler, state.groups, state.arguments.weight_decay)
    for name in _PROGRESS:
        setattr(state.progress, name, progress[name])
    state.progress.compute_steps(state.arguments, state.progress.max_steps)
    state.policies.load_state_dict(engine.policies)
    state.window.restore(window, state.arguments.device)
    state.window.total, state.window.steps = engine.total_loss, engine.steps_taken
    state.last_logged, state.evaluation_due = engine.last_logged, engine.evaluation_due
    if isinstance(state.task, LearnsAssets):
        state.task.load_state_dict(snapshot.task)
    set_random_state(snapshot.ranks[rank % len(snapshot.ranks)]["random"])


def _restore_weights(state: TrainState, snapshot: Snapshot, where: str | Path) -> None:
    network = state.network
    own = dict(network.named_parameters()) | dict(network.named_buffers())
    wrong = [n for n, v in snapshot.weights.items() if n in own and own[n].shape != v.shape]
    wrong += sorted(state.trainable.keys() - snapshot.weights.keys())
    if wrong:
        raise CheckpointError(
            f"its weights do not fit the configured model: {len(wrong)} differ, the first is {wrong[0]}",
            where=where,
            remedy="resume with the model settings of the run that wrote it",
        )
    with torch.no_grad():
        for name in own.keys() & snapshot.weights.keys():
            own[name].copy_(as_held(snapshot.weights[name], own[name]))


def _restore_average(state: TrainState, snapshot: Snapshot, where: str | Path) -> None:
    ema = state.ema
    if snapshot.averages is not None and snapshot.averages.keys() != state.trainable.keys():
        changed = sorted(snapshot.averages.keys() ^ state.trainable.keys())
        raise CheckpointError(
            f"{len(changed)} parameters trained then and not now, or the other way round: {changed[0]}",
            where=where,
            remedy="resume with the groups of the run that wrote it (which rates are 0 must not change)",
        )
    if ema is None:
        return
    if snapshot.averages is None:
        logger.warning("%s has no moving average; it starts from the weights", where)
        ema.reset()
    else:
        ema.restore(snapshot.averages, snapshot.engine.ema_updates or 0)


def finish_roll_back(state: TrainState) -> None:
    """After a roll-back: of what was saved on the way that is given up only the best stays; what is true now is
    saved.
    """
    progress = state.progress
    _keep_best(state)
    if state.parallel.is_first:
        checkpoints.delete_after(state.output_dir, state.step)
    best = state.output_dir / Path(progress.best_model_checkpoint or "none").name
    if not state.parallel.from_first(best.is_dir()):
        progress.best_metric = progress.best_global_step = progress.best_model_checkpoint = None
    save(state)


def _keep_best(state: TrainState) -> None:
    """A best checkpoint of a later step than the present one stays the best."""
    kept = None
    if state.parallel.is_first:
        kept = checkpoints.keep_best_after(state.output_dir, state.step)
    if (best := state.parallel.from_first(kept)) is not None:
        state.progress.best_metric, state.progress.best_global_step = best.value, best.step
        state.progress.best_model_checkpoint = str(state.output_dir / best.checkpoint)


def save(state: TrainState) -> None:
    """Writes ``checkpoint-<step>`` atomically, records the best, rotates: the first rank, for all.

    Raises:
        CheckpointError: It could not be written; what was there is unchanged.
    """
    failed = None
    with state.between_steps("saving"), preserved_randomness():
        snapshot = take_snapshot(state)
        weights, shards = _parts_of_all(state, snapshot) if is_sharded(state.network) else (None, None)
        if state.parallel.is_first:
            try:
                _write(state, snapshot, weights, shards)
            except Exception as error:  # of any kind: the other ranks wait, and are told
                if state.parallel.world_size == 1:
                    raise
                failed = error
        state.parallel.raise_together(failed)


def _parts_of_all(state: TrainState, snapshot: Snapshot) -> tuple[dict[str, Tensor], Path]:
    """Of weights in parts: the whole ones for the first rank, and the folder with the parts, by all together."""
    run = state.output_dir
    with state.averaged_weights():
        weights = whole_state(state.network, keep=state.parallel.is_first)
    folder = run / _SHARDS_FIRST.format(step=state.step)
    if state.parallel.is_first:
        shutil.rmtree(folder, ignore_errors=True)
    state.parallel.from_first(None)  # the others write only now
    save_shards(snapshot.shards(state.trainable), folder)
    return weights, folder


def _write(
    state: TrainState, snapshot: Snapshot, weights: dict[str, Tensor] | None, shards: Path | None
) -> None:
    run, progress, training = state.output_dir, state.progress, state.config.training
    if is_moved(run):
        raise CheckpointError(
            "the run's folder was renamed while it trained; nothing is written at its old place",
            where=run,
            remedy="go on from its newest checkpoint with --resume: bring the folder back, or set output_dir to "
            "where it is now",
        )
    folder, best = run / f"checkpoint-{state.step}", None
    if isinstance(state.task, SavesWhatItMeasured):
        evaluated = [
            int(e["step"]) for e in progress.log_history if any(name.startswith("eval_") for name in e)
        ]
        state.task.steps_since_evaluation(state.step - max(evaluated, default=0))
    with checkpoints.writing_checkpoint(folder) as temporary:
        with state.averaged_weights():
            state.network.save_pretrained(temporary, state_dict=weights)
            state.task.save_assets(temporary)
        snapshot.write(temporary, state.trainable, shards)
    if progress.best_global_step is not None and progress.best_metric is not None:
        name = Path(progress.best_model_checkpoint or folder).name
        found = checkpoints.BestCheckpoint(
            name, progress.best_global_step, training.metric_for_best_model, float(progress.best_metric)
        )
        best = checkpoints.record_best(run, found)
    checkpoints.rotate(run, training.save_total_limit, folder, best)
    state.event("saved", checkpoint=folder.name)
