"""The parts of an optimizer step: fetching its batches, forward and backward passes, the optimizer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_

from argusvl.core.batch import Batch
from argusvl.core.errors import ArgusError
from argusvl.training.attention_entropy import observed_attention
from argusvl.training.gradient_shares import GradientShares, gradient_shares
from argusvl.training.losses import Counts
from argusvl.training.norms import gradient_norms, update_ratios
from argusvl.training.randomness import mixed_seed, preserved_randomness, seed_all
from argusvl.training.sharding import local
from argusvl.training.state import TrainState
from argusvl.training.step import StepRecord


def fetch(
    state: TrainState, iterator: Iterator[Batch | ArgusError], number: int
) -> tuple[list[Batch], Counts, float]:
    """A step's micro-batches, their counts over micro-batches and ranks, and the seconds that it took."""
    started = time.perf_counter()
    fetched = [next(iterator) for _ in range(number)]
    error = next((one for one in fetched if isinstance(one, ArgusError)), None)
    batches = [one for one in fetched if isinstance(one, Batch)]
    seconds = time.perf_counter() - started
    if state.parallel.world_size == 1:
        if error is not None:
            raise error
        return batches, state.losses.counts_of(batches), seconds
    own = dict.fromkeys(state.losses.count_names, 0) if error is not None else state.losses.counts_of(batches)
    *counts, failed = state.parallel.add(torch.tensor([*own.values(), int(error is not None)])).tolist()
    if failed:
        state.parallel.raise_together(error)
    return batches, dict(zip(own, counts, strict=True)), seconds


def forward_backward(
    state: TrainState,
    batches: Sequence[Batch],
    counts: Counts,
    step: int | None = None,
    wants: frozenset[str] = frozenset(),
    rank: int | None = None,
) -> StepRecord:
    """Forward and backward passes of a step's micro-batches; gradients are added to those that are there.

    Has no side effect on logs, windows, counters and random generators: what a step draws follows from the seed
    and its number. The same batches and step give the same record again.

    Args:
        state: The run.
        batches: The micro-batches, as collated.
        counts: The step's global counts.
        step: Its number; the next one where not given.
        wants: ``"outputs"`` to keep what the model returns; ``"gradient_shares"`` and ``"attention"`` to measure
            them, in the first micro-batch.
        rank: Whose draws; this process's where not given.
    """
    step = state.step + 1 if step is None else step
    model, sums, losses, outputs = state.wrapped, [], [], []
    shares: GradientShares | None = None
    attention: dict[str, Tensor] = {}
    seconds = {"forward": 0.0, "backward": 0.0}
    model.train()
    with preserved_randomness():
        rank = state.parallel.rank if rank is None else rank
        seed_all(mixed_seed(state.config.training.seed, step, rank, 2))
        for number, batch in enumerate(batches):
            last = number == len(batches) - 1
            state.accelerator.gradient_state._set_sync_gradients(last)
            # Gradients are added over ranks once, in the last backward pass.
            with contextlib.nullcontext() if last else state.accelerator.no_sync(model=model):
                begun = time.perf_counter()
                observed = number == 0 and "attention" in wants
                with observed_attention(state.network, attention) if observed else contextlib.nullcontext():
                    loss, term_sums, output = batch_loss(state, model, batch, counts)
                forwarded = time.perf_counter()
                seconds["forward"] += forwarded - begun
                if number == 0 and "gradient_shares" in wants:
                    shares = gradient_shares(state, output.loss_terms, counts)
                    measured = time.perf_counter()
                    seconds["measuring"] = measured - forwarded
                    forwarded = measured
                state.accelerator.backward(loss)
            seconds["backward"] += time.perf_counter() - forwarded
            losses.append(loss.detach())
            sums.append(term_sums)
            outputs.append(output if "outputs" in wants else None)
            del loss, output
    return StepRecord(
        step=step,
        epoch=state.progress.epoch or 0.0,
        batches=batches,
        counts=counts,
        terms=state.losses.names,
        sums=torch.stack(sums),
        losses=torch.stack(losses),
        gradients=gradient_norms(state.trainable),
        seconds=seconds,
        outputs=outputs if "outputs" in wants else None,
        gradient_shares=shares,
        attention=attention,
    )


def batch_loss(
    state: TrainState, model: nn.Module, batch: Batch, counts: Counts
) -> tuple[Tensor, Tensor, Any]:
    """A micro-batch's share of the step's loss, the sums of its terms, and what the model returned."""
    outputs = model(**batch.to(state.arguments.device, non_blocking=True).inputs)
    # DDP and FSDP average gradients over ranks; the counts are global already.
    loss, sums = state.losses.combine(
        outputs.loss_terms, counts, float(state.parallel.world_size), state.plan.weights
    )
    if model.training and not loss.requires_grad:
        # Everything that this batch reaches is frozen: the step must go on, and on all ranks.
        loss = loss + sum(local(p).sum() * 0.0 for p in state.trainable.values() if p.requires_grad)
    return loss, sums, outputs


def optimize(state: TrainState, record: StepRecord) -> None:
    """Clips the gradients and lets the optimizer step with the rates that the plan says; the average follows."""
    assert state.optimizer is not None
    entries = state.optimizer.param_groups
    limit = state.arguments.max_grad_norm * state.plan.clip
    clip_grads_with_norm_(state.trainable.values(), limit, record.gradients.total)
    begun = time.perf_counter()
    scheduled = [entry["lr"] for entry in entries]
    for entry in entries:
        entry["lr"] *= state.plan.rate(entry["group"])
    record.rates |= {entry["group"]: float(entry["lr"]) for entry in entries}
    wanted = "update_ratios" in state.listeners.wants
    with update_ratios(state.groups, record.update_ratios) if wanted else contextlib.nullcontext():
        state.optimizer.step()
    for entry, rate in zip(entries, scheduled, strict=True):
        entry["lr"] = rate  # the scheduler goes on from its own
    state.notify("on_optimizer_step")
    record.seconds["optimizer"] = time.perf_counter() - begun
    if state.ema is not None:
        state.ema.update()
