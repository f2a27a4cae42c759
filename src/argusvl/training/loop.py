"""The order of a step, and of what comes between steps.

fetch the micro-batches; add their counts over micro-batches and ranks; an error of one rank reaches all
plan               policies: which groups train, factors of rates and of loss weights
forward_backward   for each micro-batch Σ weight · sum / global count, and its backward pass → StepRecord
after_backward     policies: continue, scale, skip, roll back or stop; the strongest action of all ranks
clip, optimizer.step, scheduler.step, moving average of the weights
listeners get the record, the doctor among them; log, evaluate (in a sandbox), save (atomically)
"""

from __future__ import annotations

import contextlib
from typing import Any

from accelerate import skip_first_batches
from accelerate.utils.memory import clear_device_cache
from torch.utils.data import DataLoader

from argus_doctor.record.memory import memory_figures
from argusvl.core.batch import Batch
from argusvl.training import sharding
from argusvl.training.evaluating import evaluate_in_training
from argusvl.training.largest_first import try_largest_batch
from argusvl.training.losses import Counts
from argusvl.training.norms import norm_figures
from argusvl.training.sampling import end_workers, set_epoch
from argusvl.training.saving import resume, save
from argusvl.training.snapshot import SavedSnapshot
from argusvl.training.state import TrainState
from argusvl.training.steering import RolledBack, act, before_step
from argusvl.training.step import StepRecord
from argusvl.training.stepping import fetch, forward_backward, optimize


def begin(state: TrainState, resumed: SavedSnapshot | None) -> None:
    """Before the first step, with everything prepared: what the checkpoint holds is put in its place."""
    sharding.follow(state)
    state.last_logged = state.step
    planned = {"max_steps": state.progress.max_steps, "processes": state.parallel.world_size}
    if resumed is None:
        try_largest_batch(state)
        state.event("started", **planned)
    else:
        resume(state, resumed)
        state.event("resumed", checkpoint=resumed.checkpoint.name, **planned)
        if state.evaluation_due and state.eval_dataset is not None:
            if evaluate_in_training(state):
                save(state)
            state.control.should_save = False
    state.throughput.start()


def train_epoch(
    state: TrainState, epoch: int, loader: DataLoader[Any], sampler: Any, steps: int, batches_in_epoch: int
) -> None:
    """Trains to the end of an epoch from where the state stands: its beginning, resumed, or rolled back."""
    end = min((epoch + 1) * steps, state.progress.max_steps)
    while state.step < end and not state.control.should_training_stop:
        now, done = divmod(state.step, steps)
        accumulation = state.arguments.gradient_accumulation_steps
        rest = skip_first_batches(loader, done * accumulation) if done else loader
        # Accelerate passes its own count of epochs on, as far as it knows the nesting of samplers; ours is not reached
        # by it inside a skipping sampler.
        set_epoch(now, rest, sampler, state.train_dataset)
        batches = (batch for batch in rest)
        with contextlib.suppress(RolledBack), contextlib.ExitStack() as leaving:
            # Left to the garbage collector after an error, data workers would keep it waiting for seconds.
            leaving.enter_context(contextlib.closing(batches))
            if rest is not loader:
                leaving.callback(end_workers, rest)
            for position in range(done, steps):
                number = min(accumulation, batches_in_epoch - position * accumulation)
                trained = min((position + 1) * accumulation, batches_in_epoch) / batches_in_epoch
                record = train_step(state, *fetch(state, batches, number), epoch_after=now + trained)
                log_evaluate_save(state, record)
                del record  # its batches need not be there beside the next ones
                if state.control.should_training_stop or state.step >= end:
                    break
    if state.step >= state.progress.max_steps:
        state.control.should_training_stop = True
    state.notify("on_epoch_end")


def train_step(
    state: TrainState, batches: list[Batch], counts: Counts, waited: float, epoch_after: float
) -> StepRecord:
    """One optimizer step.

    Raises:
        TrainingError: A policy stops the run.
        RolledBack: A policy has it go on from an earlier step.
    """
    state.notify("on_step_begin")
    before_step(state)
    record = forward_backward(state, batches, counts, wants=state.listeners.wants | measurements_due(state))
    record.seconds["data"] = waited
    taken = act(state, record)
    if taken:
        state.notify("on_pre_optimizer_step")
        optimize(state, record)
    assert state.scheduler is not None
    state.scheduler.step()  # also where the step was skipped: the schedule is one of steps, not of updates
    state.wrapped.zero_grad()
    state.progress.global_step += 1
    state.progress.epoch = epoch_after
    if taken:
        state.window.add(record.sums, record.losses, counts)
    state.throughput.add(record.batches, record.seconds)
    if (every := state.arguments.torch_empty_cache_steps) is not None and state.step % every == 0:
        clear_device_cache()
    state.listeners.tell("on_step", record)
    state.notify("on_step_end")
    if state.stop_requested:
        state.control.should_save = state.control.should_training_stop = True
    return record


def measurements_due(state: TrainState) -> frozenset[str]:
    """What the step that comes is to measure beyond what it needs: on logging steps, by the first process alone."""
    training, step = state.config.training, state.step + 1
    if not state.parallel.is_first or step % training.logging_steps:
        return frozenset()
    entry = step // training.logging_steps
    every = {"gradient_shares": training.gradient_shares_every, "attention": training.attention_entropy_every}
    return frozenset(name for name, one in every.items() if one is not None and entry % one == 0)


def log_evaluate_save(state: TrainState, record: StepRecord) -> None:
    """What is due after a step."""
    if state.control.should_log and state.step > state.last_logged:
        state.last_logged = state.step
        state.log(
            state.window.drain(state.parallel.add, state.parallel.world_size)
            | {"grad_norm": record.gradients.total.item()}
            | norm_figures(state.groups, record.gradients, state.arguments.device)
            | {f"lr/{group}": rate for group, rate in record.rates.items()}
            | (record.gradient_shares.figures() if record.gradient_shares is not None else {})
            | {f"ae/{layer}": value for layer, value in record.attention_entropy.items()}
            | state.throughput.drain()
            | memory_figures()
        )
    if state.control.should_evaluate:
        evaluate_in_training(state)
    if state.control.should_save:
        save(state)
        state.notify("on_save")
