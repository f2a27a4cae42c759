"""Loss terms at the shares of the loss that their weights name, whatever their sizes: by moving averages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from argusvl.training.policies import Action, Continue, Plan, Policy, Progress
from argusvl.training.protocol import LossTerm
from argusvl.training.step import StepRecord

MOST = 100.0
"""Largest factor of a weight, and of its inverse: a term that has come to nothing is not blown up to its share."""


class TermSizes:
    """Moving averages of the terms' means, without their weights.

    Args:
        terms: Those of the task; with weight 0 they are left out.
        decay: Of the averages, per step in which a term has something to be counted by.
    """

    def __init__(self, terms: Sequence[LossTerm], decay: float) -> None:
        self._terms, self._decay = [term for term in terms if term.weight > 0], decay
        self.sizes: dict[str, float] = {}

    def add(self, sums: Mapping[str, float], counts: Mapping[str, int]) -> None:
        """Takes a step's sums by term and the counts that they are divided by; what is not finite is passed over."""
        for term in self._terms:
            count = counts[term.count]
            size = abs(sums[term.name]) / count if count else math.nan
            if math.isfinite(size):
                known = self.sizes.get(term.name, size)
                self.sizes[term.name] = self._decay * known + (1 - self._decay) * size

    def factors(self) -> dict[str, float]:
        """Factors of the weights, after which each term's share of the loss is its weight's share of all weights.

        The loss as a whole stays as large as it is, but for factors that meet their bound, :data:`MOST`.
        """
        known = [term for term in self._terms if self.sizes.get(term.name, 0.0) > 0]
        loss = sum(term.weight * self.sizes[term.name] for term in known)
        weights = sum(term.weight for term in known)
        factors = {term.name: loss / weights / self.sizes[term.name] for term in known}
        return {name: min(max(factor, 1 / MOST), MOST) for name, factor in factors.items()}


class Balancing(Policy):
    """Balances in each step by the steps before it."""

    def __init__(
        self, terms: Sequence[LossTerm], decay: float, over_ranks: Callable[[Tensor], Tensor]
    ) -> None:
        self._sizes, self._over_ranks = TermSizes(terms, decay), over_ranks

    def plan(self, progress: Progress) -> Plan:
        """The factors; none before the first step."""
        return Plan(weights=self._sizes.factors())

    def after_backward(self, record: StepRecord) -> Action:
        """Takes the step's terms, over all ranks."""
        sums = self._over_ranks(record.sums.sum(0)).tolist()
        self._sizes.add(dict(zip(record.terms, sums, strict=True)), record.counts)
        return Continue()

    def state_dict(self) -> dict[str, Any]:
        """The moving averages."""
        return {"sizes": dict(self._sizes.sizes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what :meth:`state_dict` returned."""
        self._sizes.sizes = {str(name): float(size) for name, size in state["sizes"].items()}
