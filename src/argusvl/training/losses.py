"""Loss terms: sums from the model, counts from the batches → one scalar, and the figures for the log.

    total = Σ_term weight · (Σ_micro-batches,ranks sum) / (Σ_micro-batches,ranks count)

The counts are known before the first forward, so each micro-batch's backward already uses the global divisor, and
gradients simply add up. (Means of micro-batches would give each the same weight, however much it holds.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from argusvl.core.errors import ModelError
from argusvl.training.protocol import LossTerm

Counts = dict[str, int]


class LossAggregation:
    """Adds a task's loss terms; knows none of them by name.

    Args:
        terms: Every term that the model can return.
    """

    def __init__(self, terms: Sequence[LossTerm]) -> None:
        self._terms = tuple(terms)
        self.names = tuple(term.name for term in terms)
        if len(set(self.names)) != len(self.names):
            raise ModelError(
                f"two loss terms have one name: {list(self.names)}", where="the task's loss_terms()"
            )
        self.count_names = tuple(sorted({term.count for term in terms}))
        self._factors: tuple[Counts, float, Tensor] | None = None
        self._zero: Tensor | None = None

    def counts_of(self, batches: Sequence[Mapping[str, object]]) -> Counts:
        """Adds the batches' counts.

        Raises:
            ModelError: A count is missing that a term is divided by, or is negative.
        """
        totals: Counts = dict.fromkeys(self.count_names, 0)
        for batch in batches:
            counts = batch.get("counts")
            for name in self.count_names:
                value = counts.get(name) if isinstance(counts, Mapping) else None
                if not isinstance(value, int) or value < 0:
                    raise ModelError(
                        f"the batch's counts[{name!r}] is {value!r}, expected an integer of at least 0",
                        where="the task's collate()",
                        remedy="count in the collator what each loss term is divided by",
                    )
                totals[name] += value
        return totals

    def combine(
        self, loss_terms: Mapping[str, Tensor], counts: Counts, scale: float
    ) -> tuple[Tensor, Tensor]:
        """One micro-batch's share of the total loss.

        A term whose global count is 0 (no teacher in the whole step) gets weight 0: nothing is divided by 0, and
        its parameters stay in the graph, as DDP needs.

        Args:
            loss_terms: The model's sums by name; terms may be missing.
            counts: Global counts of the step.
            scale: Factor for all terms: the number of ranks where gradients are averaged over ranks.

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
        return (sums * self._factor(counts, scale, device)).sum(), sums.detach()

    def _factor(self, counts: Counts, scale: float, device: torch.device) -> Tensor:
        cached = self._factors
        if cached is None or cached[0] is not counts or cached[1] != scale or cached[2].device != device:
            factors = [
                scale * term.weight / counts[term.count] if counts[term.count] else 0.0
                for term in self._terms
            ]
            cached = self._factors = (counts, scale, torch.tensor(factors, device=device))
        return cached[2]

    def figures(self, sums: Sequence[float], counts: Counts) -> dict[str, float]:
        """The figures for the log: per-object (token, sample, …) means over a logging window, without weights.

        Args:
            sums: Added sums of the window, in declared order.
            counts: Added global counts of the window.

        Returns:
            Means by log name. A term that had nothing to be counted by in the whole window is left out.
        """
        figures: dict[str, float] = {}
        for term, value in zip(self._terms, sums, strict=True):
            if counts[term.count] == 0 or term.log_as is None:
                continue
            for name in (term.log_as,) if isinstance(term.log_as, str) else term.log_as:
                figures[name] = figures.get(name, 0.0) + value / counts[term.count]
        return figures


class LossWindow:
    """Sums and counts since the last logging step. Nothing is copied to the host until :meth:`drain`.

    Args:
        aggregation: The terms.
    """

    def __init__(self, aggregation: LossAggregation) -> None:
        self._aggregation = aggregation
        self._sums: Tensor | None = None
        self._counts: Counts = dict.fromkeys(aggregation.count_names, 0)

    def add_sums(self, sums: Tensor) -> None:
        """Adds a micro-batch's detached sums ``[terms]``."""
        self._sums = sums.clone() if self._sums is None else self._sums.add_(sums)

    def add_counts(self, counts: Counts) -> None:
        """Adds a step's global counts."""
        for name, value in counts.items():
            self._counts[name] += value

    def drain(self, over_ranks: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """The window's figures; starts a new window.

        Args:
            over_ranks: Adds a tensor over ranks.
        """
        if self._sums is None:
            return {}
        figures = self._aggregation.figures(over_ranks(self._sums).tolist(), self._counts)
        self.restore(None)
        return figures

    def state(self) -> dict[str, object]:
        """For the checkpoint: a resumed run logs the same figures as one that never stopped."""
        return {"sums": None if self._sums is None else self._sums.tolist(), "counts": dict(self._counts)}

    def restore(self, state: Mapping[str, object] | None, device: torch.device | None = None) -> None:
        """Takes what :meth:`state` returned; ``None`` empties the window."""
        sums, counts = (state["sums"], state["counts"]) if state is not None else (None, {})
        self._sums = None if sums is None else torch.tensor(sums, device=device)
        assert isinstance(counts, Mapping)
        self._counts = {name: int(counts.get(name, 0)) for name in self._aggregation.count_names}
