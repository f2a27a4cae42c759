"""One optimizer step as data: what went in, what came out, what it cost."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from argusvl.core.batch import Batch
from argusvl.training.gradient_shares import GradientShares
from argusvl.training.losses import Counts
from argusvl.training.norms import GradientNorms


@dataclass
class StepRecord:
    """A step after its backward passes. Tensors stay on the device: reading one is a copy to the host.

    Attributes:
        step: Its number; the first is 1.
        epoch: Epochs trained before it, with fraction.
        batches: This rank's micro-batches, as collated.
        counts: What the loss terms are divided by, over micro-batches and ranks.
        terms: Names of the loss terms.
        sums: Each term's sum by micro-batch of this rank, ``[micro-batches, terms]``.
        losses: Each micro-batch's share of the total loss, times the number of ranks, ``[micro-batches]``.
        gradients: Norms of the gradients before clipping.
        seconds: What this rank spent, by ``data``, ``forward``, ``backward`` and, after the step, ``optimizer``;
            by ``measuring`` where it measured more than it needs.
        rates: The learning rate that each group trained with; empty until the optimizer has stepped.
        update_ratios: Norm of each group's update over that of its weights; filled in where a listener wants it.
        outputs: What the model returned for each micro-batch; kept where a listener wants it.
        gradient_shares: How strongly each objective pulls, where the step was to measure it.
        attention: Entropy of attention by layer, where the step was to measure it; see
            :func:`~argusvl.training.attention_entropy.observed_attention`.
    """

    step: int
    epoch: float
    batches: Sequence[Batch]
    counts: Counts
    terms: tuple[str, ...]
    sums: Tensor
    losses: Tensor
    gradients: GradientNorms
    seconds: dict[str, float]
    rates: dict[str, float] = field(default_factory=dict)
    update_ratios: dict[str, Tensor] = field(default_factory=dict)
    outputs: Sequence[Any] | None = None
    gradient_shares: GradientShares | None = None
    attention: dict[str, Tensor] = field(default_factory=dict)

    @property
    def names(self) -> list[list[str]]:
        """Names of the samples of each micro-batch."""
        return [batch.names for batch in self.batches]

    @functools.cached_property
    def totals(self) -> tuple[float, float]:
        """Loss and gradient norm of this rank, in the one copy to the host that each step makes."""
        loss = self.losses.sum()
        loss, norm = torch.stack([loss, self.gradients.total.to(loss)]).tolist()
        return loss, norm

    @property
    def loss(self) -> float:
        """This rank's share of the step's loss, times the number of ranks."""
        return self.totals[0]

    @property
    def finite(self) -> bool:
        """Whether loss and gradients of this rank are finite."""
        return all(map(math.isfinite, self.totals))

    @functools.cached_property
    def attention_entropy(self) -> dict[str, float]:
        """:attr:`attention` on the host, of the layers whose queries see several keys."""
        if not self.attention:
            return {}
        device = next(iter(self.attention.values())).device
        values = torch.stack([one.to(device) for one in self.attention.values()]).tolist()
        pairs = zip(self.attention, values, strict=True)
        return {name: value for name, value in pairs if math.isfinite(value)}

    def term_means(self, counted_by: Mapping[str, str]) -> dict[str, float]:
        """Each term's sum over what it is counted by, of those that have something to be counted by."""
        sums = zip(self.terms, self.sums.sum(0).tolist(), strict=True)
        return {name: value / count for name, value in sums if (count := self.counts[counted_by[name]])}

    def first_non_finite_term(self) -> tuple[str, int] | None:
        """The first loss term that is not finite, in declared order, and the first micro-batch that shows it."""
        finite = torch.isfinite(self.sums).tolist()
        for number, name in enumerate(self.terms):
            for batch, row in enumerate(finite):
                if not row[number]:
                    return name, batch
        return None
