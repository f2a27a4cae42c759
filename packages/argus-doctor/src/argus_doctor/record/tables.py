"""Whether a column of a table of inputs tells its target: a few hundred rows of both are enough to see it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from argus_doctor.evidence import Evidence

_ROWS = 256
_COLUMNS = 64
"""Of the inputs; of wider tables some of the columns."""
_TARGETS = 16


class TargetTable:
    """Collects rows of inputs and targets until there are enough, and lets them go.

    Attributes:
        done: Whether no more are taken.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence, self._rows, self._parts = evidence, 0, list[tuple[Tensor, Tensor]]()
        self.done = False

    def take(self, inputs: Tensor | None, target: Tensor) -> None:
        """Rows of one batch; of a GPU's batches none, which would have to be waited for."""
        table = inputs is not None and inputs.ndim == 2 and inputs.is_floating_point()
        if inputs is None or not table or len(inputs) != len(target) or len(target) < 2:
            return
        if inputs.shape[1] > _COLUMNS or target[0].numel() > _TARGETS or inputs.device.type != "cpu":
            self.done = True
            return
        pair = inputs.detach().float(), target.detach().reshape(len(target), -1).cpu().float()
        self._parts.append((pair[0][:_ROWS].clone(), pair[1][:_ROWS].clone()))
        self._rows += len(inputs)
        if self._rows >= _ROWS:
            self._evidence.target_correlation = _strongest_correlation(self._parts)
            self._parts, self.done = [], True


def _strongest_correlation(tables: Sequence[tuple[Tensor, Tensor]]) -> tuple[float, int] | None:
    """The greatest absolute correlation of an input column with a target, and the column."""
    inputs, targets = (torch.cat(parts).double() for parts in zip(*tables, strict=True))
    if inputs.shape[0] < 32:
        return None
    inputs, targets = inputs - inputs.mean(0), targets - targets.mean(0)
    norms = inputs.norm(dim=0)[:, None] * targets.norm(dim=0)[None, :]
    matrix = (inputs.T @ targets).abs() / norms.clamp_min(1e-12)
    matrix[norms < 1e-9] = 0
    if targets.shape[1] > 1 and bool((matrix.amax(0) > 1 - 1e-9).all()):
        return None  # every target is an input: that is what is asked for, to give back what was given
    best = matrix.amax(1)
    column = int(best.argmax())
    return float(best[column]), column
