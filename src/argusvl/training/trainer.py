"""The engine: ``transformers.Trainer`` with loss terms, parameter groups, exact resuming and atomic checkpoints.

One optimizer step, in the order in which Trainer calls the methods below:

    get_batch_samples      freezing policy; fetch the micro-batches; add their counts over micro-batches and ranks
    for each micro-batch:
        compute_loss       forward; Σ weight · sum / global count; keep the sums (detached) for the log
        backward           (Trainer; it divides by nothing, see loss_is_scaled_for_ga)
    _clip_grad_norm        norms of all gradients in one fused kernel; loss and norm checked; clip
    optimizer.step         (Trainer) reached only when everything is finite
    _get_learning_rate     note the groups' rates that this step used
    on_step_end            moving average of weights; Ctrl-C
    _maybe_log_save_evaluate → log, evaluate (in a sandbox), _save_checkpoint (atomic)
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback

from argusvl.config.schema import RunConfig
from argusvl.core.errors import CheckpointError, ConfigError
from argusvl.core.figures import spec_of
from argusvl.core.logging import get_logger
from argusvl.training import checkpoints
from argusvl.training.arguments import decide_together, training_arguments
from argusvl.training.callbacks import PlainNamesTensorBoard
from argusvl.training.ema import ExponentialMovingAverage
from argusvl.training.freezing import FreezeUntil
from argusvl.training.interrupts import InterruptedWork, Interrupts
from argusvl.training.losses import Counts, LossAggregation, LossWindow
from argusvl.training.norms import (
    GradientNorms,
    clip_gradients,
    gradient_norms,
    group_gradient_norms,
    group_weight_norms,
)
from argusvl.training.parameter_groups import (
    assign_parameters,
    freeze_untrained,
    optimizer_groups,
    verify_optimizer,
)
from argusvl.training.progress import ProgressCallback
from argusvl.training.protocol import Task
from argusvl.training.randomness import preserved_randomness, random_state, set_random_state
from argusvl.training.run_state import EngineState, SavedRun, write_run_state
from argusvl.training.sampling import BATCH_INFO, BatchInfo, EpochSampler, SeededCollator, SeededSamples
from argusvl.training.sandbox import evaluation_sandbox
from argusvl.training.stability import NonFinite, NonFinitePolicy
from argusvl.training.throughput import Throughput, memory_figures

logger = get_logger(__name__)


@dataclass
class _Step:
    """What the engine remembers of the current optimizer step."""

    batches: Sequence[dict[str, Any]] = ()
    counts: Counts = field(default_factory=dict)
    losses: list[Tensor] = field(default_factory=list)
    sums: list[Tensor] = field(default_factory=list)
    norms: GradientNorms | None = None
    rates: dict[str, float] = field(default_factory=dict)


class ArgusTrainer(Trainer):
    """Trains any task.

    Args:
        task: What to train and on what.
        config: The run's configuration; the common sections are read, the task's own are not.
        callbacks: Further callbacks that watch.
        begun_in_bf16: Precision of the run that goes on, where one does: ``bf16: auto`` holds to it.

    Raises:
        ConfigError: A setting, the parameter groups or the device do not fit.
    """

    # Trainer would divide by the number of micro-batches once more; the global counts have done it.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        task: Task,
        config: RunConfig,
        callbacks: Sequence[TrainerCallback] = (),
        begun_in_bf16: bool | None = None,
    ) -> None:
        self.task = task
        self.config = config
        self.output_dir = config.training.output_dir
        set_seed(config.training.seed)  # a new model's random weights
        model = task.model()
        self.groups = assign_parameters(model, task.parameter_groups())
        freeze_untrained(self.groups)
        self.losses = LossAggregation(task.loss_terms())
        train_dataset, eval_dataset = task.train_dataset(), task.eval_dataset()
        if len(train_dataset) == 0:  # type: ignore[arg-type]
            raise ConfigError("there is no training sample", where="train", remedy="give a file with records")
        self._sampler = EpochSampler(len(train_dataset), config.training.seed)  # type: ignore[arg-type]
        rate = max(group.spec.learning_rate for group in self.groups)
        arguments = training_arguments(config, rate, eval_dataset is not None, task.figures())
        self.precision = decide_together(arguments, config.training.bf16, begun_in_bf16)
        super().__init__(
            model=model,
            args=arguments,
            data_collator=SeededCollator(task.collate, config.training.seed),
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            callbacks=list(callbacks),
        )
        if str(self.accelerator.distributed_type.value) not in ("NO", "MULTI_CPU", "MULTI_GPU"):
            raise ConfigError(
                f"training distributed by {self.accelerator.distributed_type.value} is not supported",
                where="trainer_arguments",
                remedy="train on one device, or with torchrun and replicated weights (DDP)",
            )
        self._trainable = {
            name: p
            for name, p in self.network.named_parameters()
            if any(name in g.trainable for g in self.groups)
        }
        decay = config.training.ema_decay
        self.ema = None if decay is None else ExponentialMovingAverage(self._trainable, decay)
        self.non_finite = NonFinitePolicy(self.output_dir, self.args.process_index)
        self.freezing = FreezeUntil(self.groups)
        self.interrupts = Interrupts()
        self.throughput = Throughput(self.args.world_size)
        evaluated = 0 if eval_dataset is None else len(eval_dataset)  # type: ignore[arg-type]
        self.progress = ProgressCallback(
            self.get_total_train_batch_size(self.args),
            evaluated / (self._train_batch_size * self.args.gradient_accumulation_steps),
        )
        self._window = LossWindow(self.losses)
        self._step = _Step()
        self._evaluation_due = False
        self._ranks_stop = False
        self._epoch_iterator: Iterator[dict[str, Any]] | None = None
        self._resumed: SavedRun | None = None
        self._install_callbacks()

    @property
    def network(self) -> PreTrainedModel:
        """The model, not wrapped."""
        assert isinstance(self.model, PreTrainedModel)
        return self.model

    @property
    def _entries(self) -> list[dict[str, Any]]:
        assert self.optimizer is not None
        return self.optimizer.param_groups

    def _install_callbacks(self) -> None:
        self.remove_callback(PrinterCallback)
        if self.pop_callback(TensorBoardCallback) is not None:
            self.add_callback(PlainNamesTensorBoard(self.output_dir, self.task))
        self.add_callback(self.progress)  # before the hooks, which may evaluate when training begins
        self.add_callback(_EngineHooks(self))

    # ---- data: order and randomness by seed, epoch and index -------------------------------------------------

    def get_train_dataloader(self) -> DataLoader:
        """Batches of samples asked for by epoch and index."""
        assert self.train_dataset is not None
        return self._get_dataloader(
            dataset=SeededSamples(self.train_dataset, self.config.training.seed),
            description="Training",
            batch_size=self._train_batch_size,
            sampler_fn=lambda _: self._sampler,
            is_training=True,
        )

    def _init_training_state(self, max_steps: int, *args: Any, **kwargs: Any) -> tuple[int, int]:
        position: tuple[int, int] = super()._init_training_state(max_steps, *args, **kwargs)
        if self._resumed is not None and self._resumed.engine.max_steps not in (None, max_steps):
            logger.warning(
                "the run was planned for %d steps and is now for %d: the learning rates follow the new plan",
                self._resumed.engine.max_steps,
                max_steps,
            )
        # A resumed state brings the intervals of the run that wrote it; the configuration decides.
        self.state.compute_steps(self.args, max_steps)
        return position

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps or self.control.should_training_stop:
            # A run that is resumed at its end, or stopped before its first step: Trainer would train one more step
            # before it looks.
            self.control.should_training_stop = True
            return
        # Accelerate passes the epoch on only as far as it knows the nesting of samplers; not to one inside a
        # skipping sampler, so not when a run resumes in the middle of an epoch.
        self._sampler.set_epoch(kwargs["epoch"])
        set_epoch = getattr(self.train_dataset, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(kwargs["epoch"])
        super()._run_epoch(*args, **kwargs)

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Any]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], Any]:
        """Fetches a step's micro-batches and adds their counts, over ranks too, before the first forward."""
        self.freezing.before_step(self.state.epoch or 0.0)
        self._epoch_iterator = epoch_iterator
        started = time.perf_counter()
        self._step = _Step()  # lets go of the last step's batches first
        batches = []
        for _ in range(num_batches):
            batch = next(epoch_iterator, None)
            if batch is None:
                break
            if batch[BATCH_INFO].error is not None:
                raise batch[BATCH_INFO].error
            batches.append(batch)
        self.throughput.add([batch[BATCH_INFO] for batch in batches], time.perf_counter() - started)
        counts = self.losses.counts_of(batches)
        if self.args.world_size > 1:
            names = list(counts)
            counts = dict(
                zip(names, self._over_ranks(torch.tensor(list(counts.values()))).tolist(), strict=True)
            )
        self._window.add_counts(counts)
        self._step = _Step(batches, counts)
        return batches, counts

    def _over_ranks(self, tensor: Tensor) -> Tensor:
        if self.args.world_size == 1:
            return tensor
        return self.accelerator.reduce(tensor.to(self.args.device), reduction="sum")

    # ---- loss ------------------------------------------------------------------------------------------------

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """One micro-batch's share of the step's loss: a scalar.

        Args:
            model: The (wrapped) model.
            inputs: The batch.
            return_outputs: Whether to return the model's output as well.
            num_items_in_batch: The step's global counts; the batch's own where the caller has none.
        """
        counts = self.losses.counts_of([inputs]) if num_items_in_batch is None else num_items_in_batch
        forward = {name: value for name, value in inputs.items() if name not in ("counts", BATCH_INFO)}
        outputs = model(**forward)
        # DDP averages gradients over ranks; the counts are global already.
        loss, sums = self.losses.combine(outputs.loss_terms, counts, scale=float(self.args.world_size))
        if model.training:
            if not loss.requires_grad:
                # Everything that this batch reaches is frozen: the step must go on, and on all ranks.
                loss = loss + sum(p.sum() * 0.0 for p in self._trainable.values() if p.requires_grad)
            self._step.losses.append(loss.detach())
            self._step.sums.append(sums)
            self._window.add_sums(sums)
        return (loss, outputs) if return_outputs else loss

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """0: Trainer would walk through all parameters in every micro-batch for a rough estimate."""
        return 0

    # ---- gradients: found finite before the optimizer steps --------------------------------------------------

    def _clip_grad_norm(self, model: nn.Module) -> Tensor:
        total = self._checked_norm()
        clip_gradients(self._trainable, total, self.args.max_grad_norm)
        return total

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        return self._checked_norm() if grad_norm is None else grad_norm

    def _checked_norm(self) -> Tensor:
        self.accelerator.unscale_gradients()
        norms = gradient_norms(self._trainable)
        self._step.norms = norms
        # With float16 a gradient may overflow in health: its scaler skips the step and lowers the scale.
        scaled = getattr(self.accelerator, "scaler", None) is not None
        loss = torch.stack(self._step.losses).sum()
        checked = loss if scaled else loss + norms.total.to(loss.device)
        failed = not math.isfinite(checked.item())
        if self.args.world_size > 1:
            # All ranks stop, or none: a rank alone would wait for the others for ever.
            flags = torch.tensor([int(failed), int(self.interrupts.requested)])
            failed_ranks, stopped_ranks = self._over_ranks(flags).tolist()
            failed, self._ranks_stop = failed_ranks > 0, stopped_ranks > 0
        if failed:
            self.non_finite.handle(self._describe_non_finite(norms))
        return norms.total

    @property
    def stop_requested(self) -> bool:
        """Whether training ends after the current step because the user asked for it."""
        return self._ranks_stop if self.args.world_size > 1 else self.interrupts.requested

    def _describe_non_finite(self, norms: GradientNorms) -> NonFinite:
        sums = [dict(zip(self.losses.names, s.tolist(), strict=True)) for s in self._step.sums]
        term = suspect = None
        for name in self.losses.names:
            for index, values in enumerate(sums):
                if term is None and not math.isfinite(values[name]):
                    term, suspect = name, index
        infos: list[BatchInfo] = [batch[BATCH_INFO] for batch in self._step.batches]
        name_of = getattr(self.train_dataset, "sample_name", None)
        return NonFinite(
            step=self.state.global_step + 1,
            term=term,
            parameter=norms.first_non_finite(),
            term_sums=sums,
            batches=[{k: v for k, v in batch.items() if k != BATCH_INFO} for batch in self._step.batches],
            keys=[info.keys for info in infos],
            names=[[str(name_of(i)) if name_of else f"#{i}" for _, i in info.keys] for info in infos],
            suspect=suspect,
        )

    # ---- optimizer -------------------------------------------------------------------------------------------

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """An optimizer with the task's groups and rates."""
        if self.optimizer is None:
            optimizer_class, kwargs = self.get_optimizer_cls_and_kwargs(self.args, self.network)
            if {"params", "model", "optimizer_dict"} & set(kwargs):
                raise ConfigError(
                    f"the optimizer {self.args.optim} builds its own parameter groups",
                    where="optim",
                    remedy="use one that takes the task's groups, e.g. adamw_torch_fused",
                )
            entries = optimizer_groups(self.network, self.groups, self.args.weight_decay)
            self.optimizer = optimizer_class(entries, **kwargs)
        return self.optimizer

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: DataLoader, resume_from_checkpoint: str | None
    ) -> tuple[nn.Module, DataLoader]:
        try:
            prepared = super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)
        except ValueError as error:
            if resume_from_checkpoint is None or "parameter group" not in str(error):
                raise
            raise CheckpointError(
                f"its optimizer does not fit this run's parameter groups: {error}",
                where=resume_from_checkpoint,
                remedy="resume with the groups of the run that wrote it (which rates are 0 must not change)",
            ) from error
        if resume_from_checkpoint is not None:
            self._hold_configured_options()
        assert self.optimizer is not None
        verify_optimizer(self.optimizer, self.groups)
        return prepared

    def _hold_configured_options(self) -> None:
        """The optimizer's state brings the options of the run that wrote it; the configuration decides."""
        assert self.optimizer is not None
        base_rates = getattr(self.lr_scheduler, "base_lrs", None)
        declared = {group.name: group.spec.learning_rate for group in self.groups}
        common = {k: v for k, v in self.optimizer.defaults.items() if k not in ("lr", "weight_decay")}
        for index, entry in enumerate(self._entries):
            entry.update(common, weight_decay=self.args.weight_decay if entry["decays"] else 0.0)
            before, rate = entry.get("initial_lr", entry["lr"]), declared[entry["group"]]
            if before != rate:
                logger.warning(
                    "the peak rate of group %s changes from %g to %g", entry["group"], before, rate
                )
                entry["lr"] *= rate / before
                entry["initial_lr"] = rate
                if base_rates is not None:
                    base_rates[index] = rate

    def _get_learning_rate(self) -> float:
        # Trainer asks right after the optimizer's step and before the scheduler's.
        self._step.rates = {entry["group"]: float(entry["lr"]) for entry in self._entries}
        return float(super()._get_learning_rate())

    # ---- logging ---------------------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds our figures to the entries of training steps; everything logged is a plain float."""
        if "loss" in logs:
            logs.pop("learning_rate", None)
            logs.update(self._window.drain(self._over_ranks))
            logs.update(self._norm_figures())
            logs.update({f"lr/{group}": rate for group, rate in self._step.rates.items()})
            logs.update(self.throughput.drain())
            logs.update(memory_figures())
        logs.pop("total_flos", None)
        super().log(logs, start_time)

    def _norm_figures(self) -> dict[str, float]:
        norms = {f"wn/{name}": norm for name, norm in group_weight_norms(self.groups).items()}
        if self._step.norms is not None:
            gradients = group_gradient_norms(self._step.norms, self.groups)
            norms.update({f"gn/{name}": norm for name, norm in gradients.items()})
        # One copy to the host for all of them.
        values = torch.stack([norm.to(self.args.device) for norm in norms.values()]).tolist()
        return dict(zip(norms, values, strict=True))

    @contextlib.contextmanager
    def _between_steps(self, doing: Literal["evaluating", "saving"]) -> Iterator[None]:
        """What the body takes is no time of training."""
        with self.throughput.excluded(), self.progress.during(doing):
            yield

    # ---- evaluation ------------------------------------------------------------------------------------------

    def evaluate(
        self,
        eval_dataset: Dataset[Any] | None = None,  # type: ignore[override]
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """The task's own figures, with averaged weights where there are, leaving no trace in the training."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        assert isinstance(dataset, Dataset)
        started = time.perf_counter()
        with self._between_steps("evaluating"), evaluation_sandbox(self.network), self.averaged_weights():
            figures = self.task.evaluate(self.network, dataset)
        metrics = {f"{metric_key_prefix}_{name}": float(value) for name, value in figures.items()}
        metrics[f"{metric_key_prefix}_seconds"] = time.perf_counter() - started
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def averaged_weights(self) -> contextlib.AbstractContextManager[None]:
        """In its body the model has the averaged weights, where an average is kept."""
        return contextlib.nullcontext() if self.ema is None else self.ema.applied()

    def _evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """An evaluation in training. If it is interrupted or fails, what was trained is saved first."""
        self._evaluation_due = True
        try:
            if self.stop_requested:
                raise InterruptedWork
            # Ranks cannot leave an evaluation one by one.
            with self.interrupts.abandonable() if self.args.world_size == 1 else contextlib.nullcontext():
                metrics: dict[str, float] = super()._evaluate(*args, **kwargs)
        except InterruptedWork:
            self.control.should_evaluate = False
            self.control.should_save = self.control.should_training_stop = True
            return {}
        except Exception as error:
            self._save_before_raising(error)
            raise
        self._evaluation_due = False
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        if self._evaluation_due or metrics.keys() <= {"eval_seconds", "epoch"}:
            return False  # not evaluated, or by a task that has no figure in this configuration
        name = self.config.training.metric_for_best_model
        declared = {key for key in metrics if spec_of(key, self.task.figures())}
        if f"eval_{name.removeprefix('eval_')}" not in declared:
            known = ", ".join(sorted(key.removeprefix("eval_") for key in declared))
            error = ConfigError(
                f"the evaluation gives no figure {name!r}",
                where="metric_for_best_model",
                remedy=f"use one of {known}, and continue with --resume",
            )
            self._evaluation_due = True
            self._save_before_raising(error)
            raise error
        is_best: bool = super()._determine_best_metric(metrics, trial)
        # The best state is kept whatever save_steps says.
        self.control.should_save = self.control.should_save or is_best
        return is_best

    def _save_before_raising(self, error: Exception) -> None:
        if self.state.global_step == 0 or self.args.world_size > 1:  # other ranks may not have failed
            return
        try:
            self._save_checkpoint(self.model_wrapped, None)
        except Exception as second:  # noqa: BLE001 - the first error is what the user must see
            error.add_note(f"and the state could not be saved: {second}")

    # ---- checkpoints -----------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Writes ``checkpoint-<step>`` atomically, records the best, rotates."""
        with self._between_steps("saving"), preserved_randomness():
            folder = self.output_dir / f"checkpoint-{self.state.global_step}"
            states = self._rank_states()
            if self.args.should_save:
                if self.state.best_global_step is not None:
                    self.state.best_model_checkpoint = str(
                        self.output_dir / f"checkpoint-{self.state.best_global_step}"
                    )
                with checkpoints.writing_checkpoint(folder) as temporary:
                    self._write_checkpoint(temporary, states)
                self._record_best()
                best = self.state.best_model_checkpoint
                limit = self.config.training.save_total_limit
                checkpoints.rotate(self.output_dir, limit, folder, None if best is None else Path(best))

    def _rank_states(self) -> list[dict[str, Any]]:
        own = {"random": random_state(), "window": self._window.state(), "window_loss": self._tr_loss.item()}
        if self.args.world_size == 1:
            return [own]
        states: list[Any] = [None] * self.args.world_size
        torch.distributed.all_gather_object(states, own)
        return states

    def _write_checkpoint(self, folder: Path, states: list[dict[str, Any]]) -> None:
        with self.averaged_weights():
            self.network.save_pretrained(folder)
            self.task.save_assets(folder)
        self._save_optimizer_and_scheduler(str(folder))
        self._save_scaler(str(folder))
        engine = EngineState(
            position=self._position(),
            evaluation_due=self._evaluation_due,
            last_logged=self._globalstep_last_logged,
            ema_updates=None if self.ema is None else self.ema.updates,
            data=self._data_fingerprint,
            max_steps=self.state.max_steps,
            bf16=self.precision.bf16,
        )
        write_run_state(folder, engine, states, self._trainable, self.ema)
        self.state.save_to_json(str(folder / checkpoints.TRAINER_STATE))

    def _position(self) -> dict[str, int]:
        """What a position in the sampler's order depends on."""
        training = self.config.training
        return {
            "seed": training.seed,
            "training samples": len(self._sampler),
            "per_device_train_batch_size": training.per_device_train_batch_size,
            "gradient_accumulation_steps": training.gradient_accumulation_steps,
            "ranks": self.args.world_size,
        }

    def _record_best(self) -> None:
        step = self.state.best_global_step
        if step is not None and self.state.best_metric is not None:
            best = checkpoints.BestCheckpoint(
                checkpoint=f"checkpoint-{step}",
                step=step,
                metric=self.config.training.metric_for_best_model,
                value=float(self.state.best_metric),
            )
            known = checkpoints.read_best(self.output_dir)
            if best != known and (self.output_dir / best.checkpoint).is_dir():
                checkpoints.write_best(self.output_dir, best)

    # ---- resuming --------------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains; the first Ctrl-C saves and stops.

        Args:
            resume_from_checkpoint: Folder of a verified checkpoint to go on from.
            *args: As Trainer's.
            **kwargs: As Trainer's.
        """
        self._resumed = SavedRun(resume_from_checkpoint) if resume_from_checkpoint else None
        if self._resumed is not None:
            self._resumed.check_position(self._position())
            self._warn_of_other_data()
        if self.args.should_save:
            checkpoints.remove_leftovers(self.output_dir)
        try:
            with self.interrupts.watched(), self.progress.watched():
                return super().train(resume_from_checkpoint, *args, **kwargs)
        finally:
            # Left to the garbage collector after an error, data workers would keep it waiting for five seconds.
            if isinstance(self._epoch_iterator, Generator):
                self._epoch_iterator.close()
            self._epoch_iterator = None

    def check_resume(self, checkpoint: Path) -> None:
        """Whether training can go on from a checkpoint.

        Raises:
            CheckpointError: It would see its samples in another order.
        """
        SavedRun(checkpoint).check_position(self._position())

    def _warn_of_other_data(self) -> None:
        assert self._resumed is not None
        before, now = self._resumed.engine.data, self._data_fingerprint
        if before != now and before is not None:
            logger.warning(
                "the training records have changed since %s was written: losses will not be those of an "
                "uninterrupted run",
                self._resumed.checkpoint,
            )

    @functools.cached_property
    def _data_fingerprint(self) -> str | None:
        fingerprint = getattr(self.train_dataset, "fingerprint", None)
        return None if fingerprint is None else fingerprint()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        SavedRun(resume_from_checkpoint).restore_weights(self.network, self._trainable, self.ema)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            set_random_state(SavedRun(checkpoint).rank(self.args.process_index)["random"])

    def _continue_window(self) -> None:
        """Takes up the logging window and an evaluation that the checkpoint left open."""
        if self._resumed is None:
            return
        own = self._resumed.rank(self.args.process_index)
        self._window.restore(own["window"], self.args.device)
        self._tr_loss = torch.tensor(own["window_loss"], device=self.args.device)
        self._globalstep_last_logged = self._resumed.engine.last_logged
        if self._resumed.engine.evaluation_due and self.eval_dataset is not None:
            # What is saved again below must be what was there.
            set_random_state(own["random"])
            metrics = self._evaluate(None, None)
            if not self._evaluation_due:
                self._determine_best_metric(metrics, None)
                self._save_checkpoint(self.model_wrapped, None)
            self.control.should_save = False


class _EngineHooks(TrainerCallback):
    """Calls the engine at the two moments for which Trainer has an event but no method."""

    def __init__(self, trainer: ArgusTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._trainer._continue_window()
        self._trainer.throughput.start()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        if self._trainer.ema is not None:
            self._trainer.ema.update()
        if self._trainer.stop_requested:
            control.should_save = control.should_training_stop = True
        return control
