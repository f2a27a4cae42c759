"""A run's snapshots: taken, put back, and written as checkpoints. Resuming and rolling back are one path."""

from __future__ import annotations

import functools
import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from argusvl.core.errors import CheckpointError
from argusvl.core.logging import get_logger
from argusvl.run import checkpoints
from argusvl.run.lock import is_moved
from argusvl.training.parameter_groups import hold_configured_options
from argusvl.training.protocol import LearnsAssets
from argusvl.training.randomness import preserved_randomness, random_state, set_random_state
from argusvl.training.sharding import as_held, is_sharded, optimizer_state_as_held, save_shards, whole_state
from argusvl.training.snapshot import EngineState, SavedSnapshot, Snapshot

if TYPE_CHECKING:
    from argusvl.training.trainer import ArgusTrainer

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


class Saving:
    """Snapshots of the engine.

    Args:
        trainer: The engine.
    """

    def __init__(self, trainer: ArgusTrainer) -> None:
        self._trainer = trainer

    def position(self) -> dict[str, int]:
        """What a position in the sampler's order depends on."""
        trainer = self._trainer
        return {name: getattr(trainer.config.training, name) for name in POSITION_KEYS} | {
            "training samples": len(trainer.train_dataset),  # type: ignore[arg-type]
            "ranks": trainer.parallel.world_size,
        }

    def check_position(self, saved: SavedSnapshot) -> None:
        """Refuses a checkpoint after which this run would see its samples in another order.

        Another number of processes sees the same, with as many batches a step.

        Raises:
            CheckpointError: Something that the position depends on has changed.
        """
        then, now = saved.engine.position, self.position()
        shared = "ranks", "gradient_accumulation_steps"
        planned = getattr(self._trainer.train_dataset, "num_batches", lambda ranks: None)
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
        saved.check_position(now)

    @functools.cached_property
    def data(self) -> str | None:
        """Fingerprint of the training data; ``None`` where they cannot say."""
        fingerprint = getattr(self._trainer.train_dataset, "fingerprint", None)
        return None if fingerprint is None else fingerprint()

    def snapshot(self) -> Snapshot:
        """The run as it is now. Tensors are those of the run: :meth:`Snapshot.kept` copies them."""
        trainer = self._trainer
        assert trainer.optimizer is not None and trainer.lr_scheduler is not None
        own = {"random": random_state(), "window": trainer.window.state()}
        scaler = getattr(trainer.accelerator, "scaler", None)
        return Snapshot(
            engine=EngineState(
                position=self.position(),
                evaluation_due=trainer.evaluation_due,
                last_logged=trainer.last_logged,
                ema_updates=None if trainer.ema is None else trainer.ema.updates,
                data=self.data,
                max_steps=trainer.state.max_steps,
                bf16=trainer.precision.bf16,
                total_loss=trainer.window.total,
                steps_taken=trainer.window.steps,
                policies=trainer.steering.policies.state_dict(),
            ),
            trainer=json.dumps(asdict(trainer.state), indent=2, sort_keys=True) + "\n",
            weights=dict(trainer.trainable) | dict(trainer.network.named_buffers()),
            optimizer=trainer.optimizer.state_dict(),
            scheduler=trainer.lr_scheduler.state_dict(),
            ranks=trainer.parallel.gather(own),
            task=trainer.task.state_dict() if isinstance(trainer.task, LearnsAssets) else {},
            averages=None if trainer.ema is None else trainer.ema.state(),
            scaler=None if scaler is None else scaler.state_dict(),
            config=trainer.config.model_dump(mode="json"),
        )

    def resume(self, saved: SavedSnapshot) -> None:
        """Puts back what a checkpoint holds.

        Raises:
            CheckpointError: The model, its groups or which of its parameters train are not what the run had.
        """
        trainer = self._trainer
        if saved.engine.max_steps not in (None, trainer.state.max_steps):
            logger.warning(
                "the run was planned for %d steps and is now for %d: the learning rates follow the new plan",
                saved.engine.max_steps,
                trainer.state.max_steps,
            )
        assert trainer.optimizer is not None
        snapshot = saved.load(trainer.network, trainer.optimizer, trainer.trainable)
        try:
            self.restore(snapshot, saved.checkpoint)
            self._keep_best()
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"its training state is damaged ({type(error).__name__}: {error})",
                where=saved.checkpoint,
                remedy="move the folder away to go on from the checkpoint before it, or copy it again",
            ) from error

    def restore(self, snapshot: Snapshot, where: str | Path = "the snapshot in memory") -> None:
        """Makes the run what it was.

        Args:
            snapshot: What it was.
            where: Where that comes from, for messages.

        Raises:
            CheckpointError: The model, its groups or which of its parameters train are not what the run had.
        """
        trainer, engine = self._trainer, snapshot.engine
        assert trainer.optimizer is not None and trainer.lr_scheduler is not None
        rank, ranks = trainer.parallel.rank, trainer.parallel.world_size
        window = trainer.window.of_rank([each["window"] for each in snapshot.ranks], rank, ranks)
        self._restore_weights(snapshot, where)
        self._restore_average(snapshot, where)
        try:
            trainer.optimizer.load_state_dict(optimizer_state_as_held(trainer.optimizer, snapshot.optimizer))
        except (ValueError, KeyError) as error:
            raise CheckpointError(
                f"its optimizer does not fit this run's parameter groups: {error}",
                where=where,
                remedy="resume with the groups of the run that wrote it (which rates are 0 must not change)",
            ) from error
        trainer.lr_scheduler.load_state_dict(snapshot.scheduler)
        hold_configured_options(
            trainer.optimizer, trainer.lr_scheduler, trainer.groups, trainer.args.weight_decay
        )
        if snapshot.scaler is not None:
            trainer.accelerator.scaler.load_state_dict(snapshot.scaler)
        state = json.loads(snapshot.trainer)
        for name in _PROGRESS:
            setattr(trainer.state, name, state[name])
        trainer.state.compute_steps(trainer.args, trainer.state.max_steps)
        trainer.steering.policies.load_state_dict(engine.policies)
        trainer.window.restore(window, trainer.args.device)
        trainer.window.total = engine.total_loss or 0.0
        trainer.window.steps = engine.last_logged if engine.steps_taken is None else engine.steps_taken
        trainer.last_logged, trainer.evaluation_due = engine.last_logged, engine.evaluation_due
        if isinstance(trainer.task, LearnsAssets):
            trainer.task.load_state_dict(snapshot.task)
        set_random_state(snapshot.ranks[rank % len(snapshot.ranks)]["random"])

    def _restore_weights(self, snapshot: Snapshot, where: str | Path) -> None:
        network = self._trainer.network
        own = dict(network.named_parameters()) | dict(network.named_buffers())
        wrong = [n for n, v in snapshot.weights.items() if n in own and own[n].shape != v.shape]
        wrong += sorted(self._trainer.trainable.keys() - snapshot.weights.keys())
        if wrong:
            raise CheckpointError(
                f"its weights do not fit the configured model: {len(wrong)} differ, the first is {wrong[0]}",
                where=where,
                remedy="resume with the model settings of the run that wrote it",
            )
        with torch.no_grad():
            for name in own.keys() & snapshot.weights.keys():
                own[name].copy_(as_held(snapshot.weights[name], own[name]))

    def _restore_average(self, snapshot: Snapshot, where: str | Path) -> None:
        ema = self._trainer.ema
        if snapshot.averages is not None and snapshot.averages.keys() != self._trainer.trainable.keys():
            changed = sorted(snapshot.averages.keys() ^ self._trainer.trainable.keys())
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

    def leave_branch(self) -> None:
        """After a roll-back: of what was saved on the way that is given up only the best stays; what is true now is
        saved.
        """
        trainer, state = self._trainer, self._trainer.state
        if trainer.curves is not None:
            trainer.curves.purge_after(state.global_step)
        self._keep_best()
        if trainer.parallel.is_first:
            checkpoints.delete_after(trainer.output_dir, state.global_step)
        best = trainer.output_dir / Path(state.best_model_checkpoint or "none").name
        if not trainer.parallel.from_first(best.is_dir()):
            state.best_metric = state.best_global_step = state.best_model_checkpoint = None
        self.save()

    def _keep_best(self) -> None:
        """A best checkpoint of a later step than the present one stays the best."""
        trainer, state = self._trainer, self._trainer.state
        kept = None
        if trainer.parallel.is_first:
            kept = checkpoints.keep_best_after(trainer.output_dir, state.global_step)
        if (best := trainer.parallel.from_first(kept)) is not None:
            state.best_metric, state.best_global_step = best.value, best.step
            state.best_model_checkpoint = str(trainer.output_dir / best.checkpoint)

    def save(self) -> None:
        """Writes ``checkpoint-<step>`` atomically, records the best, rotates: the first rank, for all.

        Raises:
            CheckpointError: It could not be written; what was there is unchanged.
        """
        trainer, failed = self._trainer, None
        with trainer.between_steps("saving"), preserved_randomness():
            snapshot = self.snapshot()
            weights, shards = self._parts_of_all(snapshot) if is_sharded(trainer.network) else (None, None)
            if trainer.parallel.is_first:
                try:
                    self._write(snapshot, weights, shards)
                except Exception as error:  # of any kind: the other ranks wait, and are told
                    if trainer.parallel.world_size == 1:
                        raise
                    failed = error
            trainer.parallel.raise_together(failed)

    def _parts_of_all(self, snapshot: Snapshot) -> tuple[dict[str, Tensor], Path]:
        """Of weights in parts: the whole ones for the first rank, and the folder with the parts, by all together."""
        trainer, run = self._trainer, self._trainer.output_dir
        with trainer.averaged_weights():
            weights = whole_state(trainer.network, keep=trainer.parallel.is_first)
        folder = run / _SHARDS_FIRST.format(step=trainer.state.global_step)
        if trainer.parallel.is_first:
            shutil.rmtree(folder, ignore_errors=True)
        trainer.parallel.from_first(None)  # the others write only now
        save_shards(snapshot.shards(trainer.trainable), folder)
        return weights, folder

    def _write(
        self, snapshot: Snapshot, weights: dict[str, Tensor] | None = None, shards: Path | None = None
    ) -> None:
        trainer, run = self._trainer, self._trainer.output_dir
        state, training = trainer.state, trainer.config.training
        if is_moved(run):
            raise CheckpointError(
                "the run's folder was renamed while it trained; nothing is written at its old place",
                where=run,
                remedy="go on from its newest checkpoint with --resume: bring the folder back, or set output_dir to "
                "where it is now",
            )
        folder, best = run / f"checkpoint-{state.global_step}", None
        with checkpoints.writing_checkpoint(folder) as temporary:
            with trainer.averaged_weights():
                trainer.network.save_pretrained(temporary, state_dict=weights)
                trainer.task.save_assets(temporary)
            snapshot.write(temporary, trainer.trainable, shards)
        if state.best_global_step is not None and state.best_metric is not None:
            name = Path(state.best_model_checkpoint or folder).name
            found = checkpoints.BestCheckpoint(
                name, state.best_global_step, training.metric_for_best_model, float(state.best_metric)
            )
            best = checkpoints.record_best(run, found)
        checkpoints.rotate(run, training.save_total_limit, folder, best)
        trainer.event("saved", checkpoint=folder.name)
