"""The engine: ``transformers.Trainer``, of which optimizer, schedule, data loader and wrapped model are used.

The order of a step is ours, and stands in :mod:`argusvl.training.loop`; what a run is stands in
:class:`~argusvl.training.state.TrainState`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer, TrainerCallback, set_seed
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import IntervalStrategy

from argusvl.config.schema import RunConfig
from argusvl.core.batch import Batch
from argusvl.core.errors import ConfigError
from argusvl.training import loop, sampling, sharding
from argusvl.training.arguments import decide_together, started_with, training_arguments
from argusvl.training.callbacks import PlainNamesTensorBoard, Resuming
from argusvl.training.ema import ExponentialMovingAverage
from argusvl.training.evaluating import evaluate
from argusvl.training.interrupts import leave_signals
from argusvl.training.listeners import Listener, Listeners
from argusvl.training.losses import LossAggregation, LossWindow
from argusvl.training.parallel import Parallel, lost_process
from argusvl.training.parameter_groups import assign_parameters, freeze_untrained, make_optimizer
from argusvl.training.policies import Policies, Policy
from argusvl.training.progress import ProgressCallback
from argusvl.training.protocol import LearnsAssets, Task
from argusvl.training.saving import check_position
from argusvl.training.snapshot import SavedSnapshot
from argusvl.training.state import TrainState
from argusvl.training.steering import own_policies
from argusvl.training.stepping import batch_loss
from argusvl.training.throughput import Throughput
from argusvl.training.watching import RunWatch


class ArgusTrainer(Trainer):
    """Trains any task.

    Attributes:
        run: What is trained, with what, and where it stands.
        resumed: The checkpoint that it goes on from.

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
        specs = task.parameter_groups()
        arguments = training_arguments(config, specs, task.figures())
        parallel = Parallel(arguments.process_index, arguments.world_size, arguments.device)
        parallel.check_same(started_with(config))
        checkpoint = parallel.from_first(checkpoint)
        self.resumed = None if checkpoint is None else SavedSnapshot(checkpoint)
        begun_in_bf16 = None if self.resumed is None else self.resumed.engine.bf16
        precision = decide_together(arguments, config, begun_in_bf16)
        if checkpoint is not None and isinstance(task, LearnsAssets):
            task.load_assets(checkpoint)
        set_seed(config.training.seed)  # a new model's random weights
        model = task.model()
        groups, losses = assign_parameters(model, specs), LossAggregation(task.loss_terms())
        freeze_untrained(groups)
        train_dataset, eval_dataset = task.train_dataset(), task.eval_dataset()
        if len(train_dataset) == 0:  # type: ignore[arg-type]
            raise ConfigError("there is no training sample", where="train", remedy="give a file with records")
        if eval_dataset is None:
            arguments.eval_strategy, arguments.metric_for_best_model = IntervalStrategy.NO, None
        self._sampler = sampling.make_sampler(train_dataset, config.training.seed, parallel)
        self._loader: DataLoader[Any] | None = None
        collate = sampling.SeededCollator(task.collate, config.training.seed)
        super().__init__(
            model=model,
            args=arguments,
            data_collator=collate,  # type: ignore[arg-type]
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            callbacks=list(callbacks),
        )
        if arguments.fsdp_plugin_args is not None and self.resumed is not None:
            self.resumed.read_weights(model)
        if sharding.prepare(self.accelerator, arguments, model):
            self.is_fsdp_enabled = True
        names = frozenset[str]().union(*(group.trainable for group in groups))
        trainable = {n: p for n, p in model.named_parameters() if n in names}
        decay = config.training.ema_decay
        batch = getattr(self._sampler, "mean_samples", arguments.train_batch_size)
        samples = batch * arguments.gradient_accumulation_steps * parallel.world_size
        evaluated = 0 if eval_dataset is None else len(eval_dataset)  # type: ignore[arg-type]
        self.run = TrainState(
            task=task,
            config=config,
            arguments=arguments,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            collate=collate,
            parallel=parallel,
            precision=precision,
            accelerator=self.accelerator,
            network=model,
            wrapped=model,
            groups=groups,
            trainable=trainable,
            losses=losses,
            ema=None if decay is None else ExponentialMovingAverage(trainable, decay),
            progress=self.state,
            control=self.control,
            window=LossWindow(losses),
            throughput=Throughput(parallel.world_size),
            callbacks=self.callback_handler,
            display=ProgressCallback(samples, evaluated / samples),
        )
        self.watch = RunWatch(self.run)
        self.run.policies = Policies([*own_policies(self.run, self.watch, samples), *policies])
        self.remove_callback(PrinterCallback)
        curves = []
        if self.pop_callback(TensorBoardCallback) is not None:
            curves = [PlainNamesTensorBoard(config.training.output_dir, task)]
            self.add_callback(curves[0])
        self.run.listeners = Listeners([*listeners, self.watch, *curves])
        self.add_callback(self.run.display)  # before the hook, which may evaluate when training begins
        self.add_callback(Resuming(self._begin))
        if self.resumed is not None:
            check_position(self.run, self.resumed)

    def _begin(self) -> None:
        """Trainer has prepared everything."""
        assert isinstance(self.model, PreTrainedModel)
        run = self.run
        run.network, run.wrapped, run.accelerator = self.model, self.model_wrapped, self.accelerator
        run.optimizer, run.scheduler = self.optimizer, self.lr_scheduler
        run.progress, run.control, run.callbacks = self.state, self.control, self.callback_handler
        loop.begin(run, self.resumed)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Trains, from the checkpoint if one was given; the first Ctrl-C saves and stops."""
        run, checkpoint = self.run, None if self.resumed is None else str(self.resumed.checkpoint)
        try:
            with run.interrupts.watched(), run.display.watched():
                result = super().train(checkpoint, *args, **kwargs)
        except BaseException as error:
            lost = lost_process(error) if run.parallel.world_size > 1 else None
            run.event("stopped", why=str(lost or error) or type(error).__name__)
            if lost is not None:
                raise lost from error
            raise
        finally:
            sampling.end_workers(self._loader)
        run.event("stopped", why="interrupted" if run.stop_requested else "finished")
        return result

    def _run_epoch(  # type: ignore[override]
        self,
        model: nn.Module,
        epoch: int,
        train_dataloader: DataLoader,
        num_update_steps_per_epoch: int,
        steps_in_epoch: int,
        **_: Any,
    ) -> None:
        self.run.control = self.control
        loop.train_epoch(
            self.run, epoch, train_dataloader, self._sampler, num_update_steps_per_epoch, steps_in_epoch
        )
        self.control = self.run.control

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
        counts = self.run.losses.counts_of([inputs]) if num_items_in_batch is None else num_items_in_batch
        loss, _, outputs = batch_loss(self.run, model, inputs, counts)
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As Trainer's; the mean loss at the end is of the whole run, not of this process alone."""
        logs.pop("total_flos", None)
        if "train_loss" in logs:
            self.run.window.drain(self.run.parallel.add, self.run.parallel.world_size)
            logs["train_loss"] = self.run.window.mean()
        super().log(logs, start_time)

    def evaluate(self, ignore_keys: list[str] | None = None) -> dict[str, float]:  # type: ignore[override]
        """See :func:`argusvl.training.evaluating.evaluate`; Trainer asks for it with ``eval_on_start``."""
        return evaluate(self.run)

    # ---- what Trainer makes, by our data and groups ----------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader:
        """Batches of samples asked for by epoch and index."""
        assert self.train_dataset is not None
        samples = sampling.SeededSamples(self.train_dataset, self.run.config.training.seed)
        sampler = self._sampler
        if isinstance(sampler, sampling.PlannedBatches):
            loader = sampling.planned_loader(samples, sampler, self.data_collator, self.args)
        else:
            size = self._train_batch_size
            loader = self._get_dataloader(samples, "Training", size, sampler_fn=lambda _: sampler)
        self._loader = getattr(loader, "base_dataloader", loader)  # within accelerate's
        self._loader.worker_init_fn = leave_signals
        return loader

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """An optimizer with the task's groups and rates."""
        if self.optimizer is None:
            made_by = self.get_optimizer_cls_and_kwargs(self.args, self.run.network)
            self.optimizer = make_optimizer(
                *made_by, self.run.network, self.run.groups, self.args.weight_decay
            )
        return self.optimizer

    # The checkpoint is restored as a whole, in _begin.
    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None: ...

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None: ...
