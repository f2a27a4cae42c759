"""The parts of an optimizer step: fetching its batches, forward and backward passes, the optimizer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from argusvl.core.batch import Batch
from argusvl.core.errors import ArgusError
from argusvl.training.largest_first import try_largest_batch
from argusvl.training.losses import Counts
from argusvl.training.norms import clip_gradients, gradient_norms, update_ratios
from argusvl.training.randomness import mixed_seed, preserved_randomness, seed_all
from argusvl.training.sharding import local
from argusvl.training.step import StepRecord

if TYPE_CHECKING:
    from argusvl.training.trainer import ArgusTrainer


class Stepping:
    """What a step consists of. The engine puts the parts in order.

    Args:
        trainer: The engine.
    """

    def __init__(self, trainer: ArgusTrainer) -> None:
        self._trainer = trainer

    def try_largest(self) -> None:
        """See :func:`~argusvl.training.largest_first.try_largest_batch`."""
        try_largest_batch(self._trainer)

    def fetch(self, iterator: Iterator[Batch | ArgusError], number: int) -> tuple[list[Batch], Counts, float]:
        """A step's micro-batches, their counts over micro-batches and ranks, and the seconds that it took."""
        trainer = self._trainer
        started = time.perf_counter()
        fetched = [next(iterator) for _ in range(number)]
        error = next((one for one in fetched if isinstance(one, ArgusError)), None)
        batches = [one for one in fetched if isinstance(one, Batch)]
        seconds = time.perf_counter() - started
        if trainer.parallel.world_size == 1:
            if error is not None:
                raise error
            return batches, trainer.losses.counts_of(batches), seconds
        own = (
            dict.fromkeys(trainer.losses.count_names, 0)
            if error is not None
            else trainer.losses.counts_of(batches)
        )
        *counts, failed = trainer.parallel.add(torch.tensor([*own.values(), int(error is not None)])).tolist()
        if failed:
            trainer.parallel.raise_together(error)
        return batches, dict(zip(own, counts, strict=True)), seconds

    def forward_backward(
        self,
        batches: Sequence[Batch],
        counts: Counts | None = None,
        step: int | None = None,
        wants: frozenset[str] = frozenset(),
        rank: int | None = None,
    ) -> StepRecord:
        """Forward and backward passes of a step's micro-batches; gradients are added to those that are there.

        Has no side effect on logs, windows, counters and random generators: what a step draws follows from the seed
        and its number. The same batches and step give the same record again.

        Args:
            batches: The micro-batches, as collated.
            counts: The step's global counts; added over the batches and ranks where not given.
            step: Its number; the next one where not given.
            wants: ``"outputs"`` to keep what the model returns.
            rank: Whose draws; this process's where not given.
        """
        trainer = self._trainer
        step = trainer.state.global_step + 1 if step is None else step
        if counts is None:
            counts = trainer.losses.counts_of(batches)
            totals = trainer.parallel.add(torch.tensor(list(counts.values()))).tolist()
            counts = dict(zip(counts, totals, strict=True))
        model, sums, losses, outputs = trainer.model_wrapped, [], [], []
        seconds = {"forward": 0.0, "backward": 0.0}
        model.train()
        with preserved_randomness():
            rank = trainer.parallel.rank if rank is None else rank
            seed_all(mixed_seed(trainer.config.training.seed, step, rank, 2))
            for number, batch in enumerate(batches):
                last = number == len(batches) - 1
                trainer.accelerator.gradient_state._set_sync_gradients(last)
                # Gradients are added over ranks once, in the last backward pass.
                with contextlib.nullcontext() if last else trainer.accelerator.no_sync(model=model):
                    begun = time.perf_counter()
                    loss, term_sums, output = self.loss(model, batch, counts)
                    forwarded = time.perf_counter()
                    trainer.accelerator.backward(loss)
                seconds["forward"] += forwarded - begun
                seconds["backward"] += time.perf_counter() - forwarded
                losses.append(loss.detach())
                sums.append(term_sums)
                outputs.append(output if "outputs" in wants else None)
                del loss, output
        trainer.accelerator.unscale_gradients()
        return StepRecord(
            step=step,
            epoch=trainer.state.epoch or 0.0,
            batches=batches,
            counts=counts,
            terms=trainer.losses.names,
            sums=torch.stack(sums),
            losses=torch.stack(losses),
            gradients=gradient_norms(trainer.trainable),
            seconds=seconds,
            loss_is_scaled=getattr(trainer.accelerator, "scaler", None) is not None,
            outputs=outputs if "outputs" in wants else None,
        )

    def loss(self, model: nn.Module, batch: Batch, counts: Counts) -> tuple[Tensor, Tensor, Any]:
        """A micro-batch's share of the step's loss, the sums of its terms, and what the model returned."""
        trainer = self._trainer
        with trainer.compute_loss_context_manager():
            outputs = model(**batch.to(trainer.args.device, non_blocking=True).inputs)
            # DDP and FSDP average gradients over ranks; the counts are global already.
            loss, sums = trainer.losses.combine(
                outputs.loss_terms, counts, float(trainer.parallel.world_size), trainer.steering.plan.weights
            )
        if model.training and not loss.requires_grad:
            # Everything that this batch reaches is frozen: the step must go on, and on all ranks.
            loss = loss + sum(local(p).sum() * 0.0 for p in trainer.trainable.values() if p.requires_grad)
        return loss, sums, outputs

    def optimize(self, record: StepRecord) -> None:
        """Clips the gradients and lets the optimizer step with the rates that the plan says."""
        trainer = self._trainer
        assert trainer.optimizer is not None
        entries = trainer.optimizer.param_groups
        limit = trainer.args.max_grad_norm * trainer.steering.plan.clip
        clip_gradients(trainer.trainable, record.gradients.total, limit)
        begun = time.perf_counter()
        scheduled = [entry["lr"] for entry in entries]
        for entry in entries:
            entry["lr"] *= trainer.steering.plan.rate(entry["group"])
        record.rates |= {entry["group"]: float(entry["lr"]) for entry in entries}
        wanted = "update_ratios" in trainer.listeners.wants
        with update_ratios(trainer.groups, record.update_ratios) if wanted else contextlib.nullcontext():
            trainer.optimizer.step()
        for entry, rate in zip(entries, scheduled, strict=True):
            entry["lr"] = rate  # the scheduler goes on from its own
        trainer.control = trainer.callback_handler.on_optimizer_step(
            trainer.args, trainer.state, trainer.control
        )
        record.seconds["optimizer"] = time.perf_counter() - begun
