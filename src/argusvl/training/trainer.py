"""The engine: ``transformers.Trainer`` with loss terms, policies, exact resuming and atomic checkpoints.

Trainer makes the optimizer, the schedule, the data loader and the wrapped model; the order of a step is ours, and
stands in :meth:`ArgusTrainer._run_epoch` and :meth:`ArgusTrainer._train_step`:

    fetch the micro-batches; add their counts over micro-batches and ranks; an error of one rank reaches all
    plan               policies: which groups train, factors of rates and of loss weights
    forward_backward   for each micro-batch Σ weight · sum / global count, and its backward pass → StepRecord
    after_backward     policies: continue, scale, skip, roll back or stop; the strongest action of all ranks
    clip, optimizer.step, scheduler.step, moving average of the weights
    listeners get the record, the doctor among them; log, evaluate (in a sandbox), save (atomically)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import skip_first_batches
from accelerate.utils.memory import clear_device_cache
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel, Trainer, TrainerCallback, set_seed
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import IntervalStrategy

from argusvl.config.schema import RunConfig
from argusvl.core.batch import Batch
from argusvl.core.errors import ConfigError
from argusvl.core.logging import get_logger
from argusvl.core.memory_figures import memory_figures
from argusvl.run.events import append_event
from argusvl.training import sampling, sharding
from argusvl.training.arguments import decide_together, started_with, training_arguments
from argusvl.training.callbacks import PlainNamesTensorBoard, Resuming
from argusvl.training.ema import ExponentialMovingAverage
from argusvl.training.evaluating import Evaluating
from argusvl.training.interrupts import Interrupts, leave_signals
from argusvl.training.listeners import Listener, Listeners
from argusvl.training.losses import Counts, LossAggregation, LossWindow
from argusvl.training.norms import norm_figures
from argusvl.training.parallel import Parallel
from argusvl.training.parameter_groups import assign_parameters, freeze_untrained, make_optimizer
from argusvl.training.policies import Policy
from argusvl.training.progress import ProgressCallback
from argusvl.training.protocol import LearnsAssets, Task
from argusvl.training.saving import Saving
from argusvl.training.snapshot import SavedSnapshot
from argusvl.training.steering import RolledBack, Steering, own_policies
from argusvl.training.step import StepRecord
from argusvl.training.stepping import Stepping
from argusvl.training.throughput import Throughput
from argusvl.training.watching import RunWatch

logger = get_logger(__name__)


class ArgusTrainer(Trainer):
    """Trains any task.

    Args:
        task: What to train and on what.
        config: The run's configuration; the common sections are read, the task's own are not.
        callbacks: Further callbacks of transformers that watch.
        checkpoint: A verified checkpoint to go on from.
        policies: Further policies, asked after the engine's own.
        listeners: Who gets each step's record.

    Raises:
        ConfigError: A setting, the parameter groups or the device do not fit.
        CheckpointError: The checkpoint is of another run, or damaged.
    """

    def __init__(
        self,
        task: Task,
        config: RunConfig,
        callbacks: Sequence[TrainerCallback] = (),
        checkpoint: Path | None = None,
        policies: Sequence[Policy] = (),
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.task = task
        self.config = config
        self.output_dir = config.training.output_dir
        specs = task.parameter_groups()
        arguments = training_arguments(config, specs, task.figures())
        self.parallel = Parallel(arguments.process_index, arguments.world_size, arguments.device)
        self.parallel.check_same(started_with(config))
        checkpoint = self.parallel.from_first(checkpoint)
        self.resumed = None if checkpoint is None else SavedSnapshot(checkpoint)
        begun_in_bf16 = None if self.resumed is None else self.resumed.engine.bf16
        self.precision = decide_together(arguments, config.training.bf16, begun_in_bf16)
        if checkpoint is not None and isinstance(task, LearnsAssets):
            task.load_assets(checkpoint)
        set_seed(config.training.seed)  # a new model's random weights
        model = task.model()
        self.groups = assign_parameters(model, specs)
        freeze_untrained(self.groups)
        self.losses = LossAggregation(task.loss_terms())
        train_dataset, eval_dataset = task.train_dataset(), task.eval_dataset()
        if len(train_dataset) == 0:  # type: ignore[arg-type]
            raise ConfigError("there is no training sample", where="train", remedy="give a file with records")
        if eval_dataset is None:
            arguments.eval_strategy, arguments.metric_for_best_model = IntervalStrategy.NO, None
        self._sampler = sampling.make_sampler(train_dataset, config.training.seed, self.parallel)
        super().__init__(
            model=model,
            args=arguments,
            data_collator=sampling.SeededCollator(task.collate, config.training.seed),  # type: ignore[arg-type]
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            callbacks=list(callbacks),
        )
        sharding.prepare(self)
        trainable = frozenset[str]().union(*(group.trainable for group in self.groups))
        self.trainable = {n: p for n, p in self.network.named_parameters() if n in trainable}
        decay = config.training.ema_decay
        self.ema = None if decay is None else ExponentialMovingAverage(self.trainable, decay)
        self.stepping, self.evaluating, self.saving = Stepping(self), Evaluating(self), Saving(self)
        self.forward_backward = self.stepping.forward_backward
        batch = getattr(self._sampler, "mean_samples", self._train_batch_size)
        samples = batch * self.args.gradient_accumulation_steps * self.parallel.world_size
        self.steering = Steering(self, [*own_policies(self, samples), *policies])
        self.watch, self.interrupts = RunWatch(self), Interrupts()
        self.listeners = Listeners([*listeners, self.watch])
        self.throughput = Throughput(self.parallel.world_size)
        evaluated = 0 if eval_dataset is None else len(eval_dataset)  # type: ignore[arg-type]
        self.progress = ProgressCallback(samples, evaluated / samples)
        self.window = LossWindow(self.losses)
        self.evaluation_due, self.ranks_stop, self.last_logged = False, False, 0
        self._record: StepRecord | None = None
        self.remove_callback(PrinterCallback)
        shown = self.pop_callback(TensorBoardCallback) is not None
        self.curves = PlainNamesTensorBoard(self.output_dir, self.task) if shown else None
        if self.curves is not None:
            self.add_callback(self.curves)
        self.add_callback(self.progress)  # before the hook, which may evaluate when training begins
        self.add_callback(Resuming(self._begin))
        if self.resumed is not None:
            self.saving.check_position(self.resumed)

    @property
    def network(self) -> PreTrainedModel:
        """The model, not wrapped."""
        assert isinstance(self.model, PreTrainedModel)
        return self.model

    @property
    def stop_requested(self) -> bool:
        """Whether training ends after the current step because the user asked for it."""
        return self.ranks_stop if self.parallel.world_size > 1 else self.interrupts.requested

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Trains, from the checkpoint if one was given; the first Ctrl-C saves and stops."""
        checkpoint = None if self.resumed is None else str(self.resumed.checkpoint)
        try:
            with self.interrupts.watched(), self.progress.watched():
                result = super().train(checkpoint, *args, **kwargs)
        except BaseException as error:
            self.event("stopped", why=str(error) or type(error).__name__)
            raise
        self.event("stopped", why="interrupted" if self.stop_requested else "finished")
        return result

    def _begin(self) -> None:
        """Trainer has prepared everything: what the checkpoint holds is put in its place."""
        sharding.follow(self)
        self.last_logged = self.state.global_step
        planned = {"max_steps": self.state.max_steps, "processes": self.parallel.world_size}
        if self.resumed is None:
            self.stepping.try_largest()
            self.event("started", **planned)
        else:
            self.saving.resume(self.resumed)
            self.event("resumed", checkpoint=self.resumed.checkpoint.name, **planned)
            if self.evaluation_due and self.eval_dataset is not None:
                if self.evaluating.due():
                    self.saving.save()
                self.control.should_save = False
        self.throughput.start()

    def event(self, event: str, **details: Any) -> None:
        """Writes down what happened, and tells the listeners."""
        if self.parallel.is_first:
            entry = append_event(self.output_dir, self.state.global_step, event, **details)
            self.listeners.on_event(entry)

    # ---- one step ------------------------------------------------------------------------------------------------

    def _run_epoch(  # type: ignore[override]
        self,
        model: nn.Module,
        epoch: int,
        train_dataloader: DataLoader,
        num_update_steps_per_epoch: int,
        steps_in_epoch: int,
        **_: Any,
    ) -> None:
        """Trains to the end of an epoch from where the state stands: its beginning, resumed, or rolled back."""
        end = min((epoch + 1) * num_update_steps_per_epoch, self.state.max_steps)
        while self.state.global_step < end and not self.control.should_training_stop:
            now, done = divmod(self.state.global_step, num_update_steps_per_epoch)
            accumulation = self.args.gradient_accumulation_steps
            loader = skip_first_batches(train_dataloader, done * accumulation) if done else train_dataloader
            # Accelerate passes its own count of epochs on, as far as it knows the nesting of samplers; ours is not
            # reached by it inside a skipping sampler.
            ordered: tuple[Any, ...] = (loader, self._sampler, self.train_dataset)
            for each in ordered:
                if hasattr(each, "set_epoch"):
                    each.set_epoch(now)
            # Left to the garbage collector after an error, data workers would keep it waiting for seconds.
            batches = (batch for batch in loader)
            with contextlib.suppress(RolledBack), contextlib.closing(batches):
                for position in range(done, num_update_steps_per_epoch):
                    number = min(accumulation, steps_in_epoch - position * accumulation)
                    trained = min((position + 1) * accumulation, steps_in_epoch) / steps_in_epoch
                    self._train_step(*self.stepping.fetch(batches, number), epoch_after=now + trained)
                    self._log_evaluate_save()
                    self._record = None  # its batches need not be there beside the next ones
                    if self.control.should_training_stop or self.state.global_step >= end:
                        break
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        self.control = self.callback_handler.on_epoch_end(self.args, self.state, self.control)

    def _train_step(self, batches: list[Batch], counts: Counts, waited: float, epoch_after: float) -> None:
        state = self.state
        self.control = self.callback_handler.on_step_begin(self.args, state, self.control)
        self.steering.before_step()
        record = self.stepping.forward_backward(batches, counts, wants=self.listeners.wants)
        record.seconds["data"] = waited
        taken = self.steering.act(record)
        if taken:
            self.control = self.callback_handler.on_pre_optimizer_step(self.args, state, self.control)
            self.stepping.optimize(record)
        assert self.lr_scheduler is not None
        self.lr_scheduler.step()  # also where the step was skipped: the schedule is one of steps, not of updates
        self.model_wrapped.zero_grad()
        state.global_step += 1
        state.epoch = epoch_after
        if taken:
            self.window.add(record.sums, record.losses, counts)
            if self.ema is not None:
                self.ema.update()
        self.throughput.add(record.batches, record.seconds)
        self._record = record
        if (every := self.args.torch_empty_cache_steps) is not None and state.global_step % every == 0:
            clear_device_cache()
        self.listeners.on_step(record)
        self.control = self.callback_handler.on_step_end(self.args, state, self.control)
        if self.stop_requested:
            self.control.should_save = self.control.should_training_stop = True

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,  # type: ignore[override]
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """A batch's loss: a scalar. The engine's own step does not come here; whoever has a batch may.

        ``num_items_in_batch`` are the step's global counts; the batch's own where the caller has none.
        """
        counts = self.losses.counts_of([inputs]) if num_items_in_batch is None else num_items_in_batch
        loss, _, outputs = self.stepping.loss(model, inputs, counts)
        return (loss, outputs) if return_outputs else loss

    # ---- log, evaluate, save -------------------------------------------------------------------------------------

    def _log_evaluate_save(self) -> None:
        """What is due after a step."""
        record = self._record
        if record is not None and self.control.should_log and self.state.global_step > self.last_logged:
            self.last_logged = self.state.global_step
            self.log(
                self.window.drain(self.parallel.add, self.parallel.world_size)
                | {"grad_norm": record.gradients.total.item()}
                | norm_figures(self.groups, record.gradients, self.args.device)
                | {f"lr/{group}": rate for group, rate in record.rates.items()}
                | self.throughput.drain()
                | memory_figures()
            )
        if self.control.should_evaluate:
            self.evaluating.due()
        if self.control.should_save:
            self.saving.save()
            self.control = self.callback_handler.on_save(self.args, self.state, self.control)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As Trainer's; the mean loss at the end is of the whole run, not of this process alone."""
        logs.pop("total_flos", None)
        if "train_loss" in logs:
            self.window.drain(self.parallel.add, self.parallel.world_size)
            logs["train_loss"] = self.window.mean()
        super().log(logs, start_time)

    @contextlib.contextmanager
    def between_steps(self, doing: Literal["evaluating", "saving"]) -> Iterator[None]:
        """What the body takes is no time of training."""
        with self.throughput.excluded(), self.progress.during(doing):
            yield

    def evaluate(
        self,
        eval_dataset: Dataset[Any] | None = None,  # type: ignore[override]
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """See :meth:`Evaluating.evaluate`."""
        return self.evaluating.evaluate(eval_dataset, metric_key_prefix)

    def averaged_weights(self) -> contextlib.AbstractContextManager[None]:
        """In its body the model has the averaged weights, where an average is kept."""
        return contextlib.nullcontext() if self.ema is None else self.ema.applied()

    # ---- what Trainer makes, by our data and groups ----------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader:
        """Batches of samples asked for by epoch and index."""
        assert self.train_dataset is not None
        samples = sampling.SeededSamples(self.train_dataset, self.config.training.seed)
        if isinstance(self._sampler, sampling.PlannedBatches):
            return sampling.planned_loader(samples, self._sampler, self.data_collator, self.args)
        size, sampler = self._train_batch_size, self._sampler
        loader = self._get_dataloader(samples, "Training", size, sampler_fn=lambda _: sampler)
        getattr(loader, "base_dataloader", loader).worker_init_fn = leave_signals
        return loader

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """An optimizer with the task's groups and rates."""
        if self.optimizer is None:
            made_by = self.get_optimizer_cls_and_kwargs(self.args, self.network)
            self.optimizer = make_optimizer(*made_by, self.network, self.groups, self.args.weight_decay)
        return self.optimizer

    # The checkpoint is restored as a whole, in _begin.
    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None: ...

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None: ...

    def _load_scaler(self, checkpoint: str | None) -> None: ...
