"""Loss terms: sums from the model, counts from the batches → one scalar, and the figures for the log.

    total = Σ_term weight · (Σ_micro-batches,ranks sum) / (Σ_micro-batches,ranks count)

The counts are known before the first forward, so each micro-batch's backward already uses the global divisor, and
gradients simply add up. (Means of micro-batches would give each the same weight, however much it holds.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from argusvl.core.batch import Batch
from argusvl.core.errors import ModelError
from argusvl.training.protocol import LossTerm

Counts = dict[str, int]


class LossAggregation:
    """Adds a task's loss terms; knows none of them by name."""

    def __init__(self, terms: Sequence[LossTerm]) -> None:
        self.terms = tuple(terms)
        self.names = tuple(term.name for term in terms)
        if len(set(self.names)) != len(self.names):
            raise ModelError(
                f"two loss terms have one name: {list(self.names)}", where="the task's loss_terms()"
            )
        self.counted_by = {term.name: term.count for term in terms}
        self.count_names = tuple(sorted({term.count for term in terms}))
        self._factors: tuple[Counts, float, Mapping[str, float], Tensor] | None = None
        self._zero: Tensor | None = None

    def counts_of(self, batches: Sequence[Batch]) -> Counts:
        """Adds the batches' counts.

        Raises:
            ModelError: A count is missing that a term is divided by, or is negative.
        """
        totals: Counts = dict.fromkeys(self.count_names, 0)
        for batch in batches:
            for name in self.count_names:
                value = batch.counts.get(name)
                if not isinstance(value, int) or value < 0:
                    raise ModelError(
                        f"the batch's counts[{name!r}] is {value!r}, expected an integer of at least 0",
                        where="the task's collate()",
                        remedy="count in the collator what each loss term is divided by",
                    )
                totals[name] += value
        return totals

    def combine(
        self,
        loss_terms: Mapping[str, Tensor],
        counts: Counts,
        scale: float,
        weights: Mapping[str, float] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One micro-batch's share of the total loss.

        A term whose global count is 0 (no teacher in the whole step) gets weight 0: nothing is divided by 0, and
        its parameters stay in the graph, as DDP needs.

        Args:
            loss_terms: The model's sums by name; terms may be missing.
            counts: Global counts of the step.
            scale: Factor for all terms: the number of ranks where gradients are averaged over ranks.
            weights: Factors of single terms' weights, by name; 1 where a term is not named.

        Returns:
            The loss (a scalar with graph), and the detached sums ``[terms]`` in declared order.

        Raises:
            ModelError: A term is unknown, or is not a scalar.
        """
        unknown = set(loss_terms) - set(self.names)
        if unknown:
            raise ModelError(
                f"the model returned loss terms that the task does not declare: {sorted(unknown)}",
                where="loss_terms",
                remedy="add them to the task's loss_terms()",
            )
        if not loss_terms:
            raise ModelError(
                "the model returned no loss term for a training batch",
                where="loss_terms",
                remedy="check that the collator passes the targets",
            )
        device = next(iter(loss_terms.values())).device
        if self._zero is None or self._zero.device != device:
            self._zero = torch.zeros((), device=device)
        values = []
        for name in self.names:
            value = loss_terms.get(name, self._zero)
            if value.numel() != 1:
                raise ModelError(f"loss term {name!r} has shape {tuple(value.shape)}, expected a scalar sum")
            values.append(value.float().reshape(()))
        sums = torch.stack(values)
        return (sums * self._factor(counts, scale, weights or {}, device)).sum(), sums.detach()

    def objectives(
        self, loss_terms: Mapping[str, Tensor], counts: Counts, weights: Mapping[str, float]
    ) -> dict[str, Tensor]:
        """Each objective's share of the loss that :meth:`combine` gives, alone and with its graph.

        Returns:
            Scalars; without objectives that weigh nothing in this step.
        """
        found: dict[str, Tensor] = {}
        for term in self.terms:
            weight = term.weight * weights.get(term.name, 1.0)
            if term.name not in loss_terms or weight == 0 or counts[term.count] == 0:
                continue
            value = loss_terms[term.name].float().reshape(()) * (weight / counts[term.count])
            name = term.objective or term.name
            found[name] = found[name] + value if name in found else value
        return found

    def _factor(
        self, counts: Counts, scale: float, weights: Mapping[str, float], device: torch.device
    ) -> Tensor:
        cached = self._factors
        if (
            cached is None
            or cached[0] is not counts
            or cached[1:3] != (scale, weights)
            or cached[3].device != device
        ):
            factors = [
                scale * term.weight * weights.get(term.name, 1.0) / counts[term.count]
                if counts[term.count]
                else 0.0
                for term in self.terms
            ]
            cached = self._factors = (counts, scale, weights, torch.tensor(factors, device=device))
        return cached[3]

    def figures(self, sums: Sequence[float], counts: Counts) -> dict[str, float]:
        """The figures for the log: per-object (token, sample, …) means over a logging window, without weights.

        Returns:
            Means by log name. A term that had nothing to be counted by in the whole window is left out.
        """
        figures: dict[str, float] = {}
        for term, value in zip(self.terms, sums, strict=True):
            if counts[term.count] == 0 or term.log_as is None:
                continue
            for name in (term.log_as,) if isinstance(term.log_as, str) else term.log_as:
                figures[name] = figures.get(name, 0.0) + value / counts[term.count]
        return figures


class LossWindow:
    """Losses since the last logging step. Nothing is copied to the host until :meth:`drain`.

    Attributes:
        total: Sum of the losses of all steps that were drained.
        steps: Their number.
    """

    def __init__(self, aggregation: LossAggregation) -> None:
        self._aggregation = aggregation
        self.total, self.steps = 0.0, 0
        self._empty()

    def _empty(self) -> None:
        self._sums: Tensor | None = None
        self._loss: Tensor | None = None
        self._steps = 0
        self._counts: Counts = dict.fromkeys(self._aggregation.count_names, 0)

    def add(self, sums: Tensor, losses: Tensor, counts: Counts) -> None:
        """Adds a step that was taken.

        Args:
            sums: This rank's sums, ``[micro-batches, terms]``.
            losses: This rank's shares of the loss, times the number of ranks, ``[micro-batches]``.
            counts: The step's global counts.
        """
        # One micro-batch after the other, so that the sum does not depend on how many a step had.
        for row, loss in zip(sums, losses, strict=True):
            self._sums = row.clone() if self._sums is None else self._sums.add_(row)
            self._loss = loss.clone() if self._loss is None else self._loss.add_(loss)
        self._steps += 1
        for name, value in counts.items():
            self._counts[name] += value

    def drain(self, over_ranks: Callable[[Tensor], Tensor], ranks: int = 1) -> dict[str, float]:
        """The window's figures; starts a new window."""
        if self._sums is None or self._loss is None:
            return {}
        *sums, loss = over_ranks(torch.cat((self._sums, self._loss[None]))).tolist()
        self.total += loss / ranks
        self.steps += self._steps
        figures = {"loss": loss / ranks / self._steps, **self._aggregation.figures(sums, self._counts)}
        self._empty()
        return figures

    def mean(self) -> float:
        """Mean loss of the drained steps."""
        return self.total / max(self.steps, 1)

    def state(self) -> dict[str, object]:
        """For the snapshot: a resumed run logs the same figures as one that never stopped."""
        return {
            "sums": None if self._sums is None else self._sums.tolist(),
            "loss": None if self._loss is None else self._loss.item(),
            "steps": self._steps,
            "counts": dict(self._counts),
        }

    @staticmethod
    def of_rank(states: Sequence[Mapping[str, Any]], rank: int, ranks: int) -> Mapping[str, Any]:
        """The state that a rank restores: its own; of another number of ranks, their sum on the first one."""
        if len(states) == ranks or states[0]["sums"] is None:
            return states[min(rank, len(states) - 1)]
        share = float(rank == 0)
        sums = [share * sum(column) for column in zip(*(state["sums"] for state in states), strict=True)]
        # A loss is held times the number of ranks.
        loss = share * sum(state["loss"] for state in states) * ranks / len(states)
        return {**states[0], "sums": sums, "loss": loss}

    def restore(self, state: Mapping[str, Any], device: torch.device | None = None) -> None:
        """Takes what :meth:`state` returned."""
        self._empty()
        if state["sums"] is not None:
            self._sums = torch.tensor(state["sums"], device=device)
            self._loss = torch.tensor(state["loss"], device=device)
        self._steps = state["steps"]
        self._counts = {name: int(state["counts"].get(name, 0)) for name in self._aggregation.count_names}
