"""How strongly each objective pulls at what it shares with others: a backward pass of its own for each.

The *trunk* is what the most objectives reach, of the parameters that train. Norms there say what an objective's part of
a step is; a loss term's value says nothing of it, for terms have units of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from argusvl.training.losses import Counts
from argusvl.training.norms import tensor_norms

if TYPE_CHECKING:
    from argusvl.training.state import TrainState


@dataclass(frozen=True, slots=True)
class GradientShares:
    """Of one micro-batch, with the weights that its step trains with.

    Attributes:
        norms: Objective → norm of its weighted gradient at the trunk.
        shares: Objective → its part of the sum of these norms.
        greatest: Objective → its greatest such part in any parameter group of the trunk. One group's gradients may be a
            hundred times another's: who pulls at either is not starved.
        values: Objective → its weighted loss.
    """

    norms: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    greatest: dict[str, float] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)

    def figures(self) -> dict[str, float]:
        """``gt/<objective>`` and ``gs/<objective>``, for the log."""
        named = {f"gt/{name}": norm for name, norm in self.norms.items()}
        return named | {f"gs/{name}": share for name, share in self.shares.items()}


def gradient_shares(state: TrainState, loss_terms: Mapping[str, Tensor], counts: Counts) -> GradientShares:
    """Passes back each objective of a micro-batch alone; gradients of parameters, graph and generators stay.

    One objective's gradients are there at a time. Nothing is communicated: they are this process's.

    Returns:
        Empty where fewer than two objectives meet, or a gradient is not finite (which the step itself will tell).
    """
    names = [name for name, parameter in state.trainable.items() if parameter.requires_grad]
    parameters = [state.trainable[name] for name in names]
    weighted = state.losses.objectives(loss_terms, counts, state.plan.weights)
    rows, known, values = [], [], []
    for objective, loss in weighted.items():
        if not parameters or not loss.requires_grad:
            continue
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        there = [number for number, gradient in enumerate(gradients) if gradient is not None]
        norms = tensor_norms([gradient for gradient in gradients if gradient is not None])
        row = torch.zeros(len(parameters), device=norms.device)
        row[there] = norms
        del gradients
        rows.append(row)
        known.append(objective)
        values.append(loss.detach())
    if len(rows) < 2:
        return GradientShares()
    group_of = {name: group.name for group in state.groups for name in group.parameters}
    found = shares_of(known, torch.stack(rows).double().cpu(), [group_of[name] for name in names])
    pairs = zip(known, torch.stack(values).tolist(), strict=True)
    return replace(found, values={name: value for name, value in pairs if name in found.shares})


def shares_of(objectives: Sequence[str], norms: Tensor, groups: Sequence[str]) -> GradientShares:
    """What each objective has of the trunk, by the norms of its gradients.

    Norms are ``[objectives, parameters]``, 0 where an objective does not reach a parameter; each parameter has a group.
    """
    reached = (norms > 0).sum(0)
    most = int(reached.max()) if reached.numel() else 0
    if most < 2 or not math.isfinite(float(norms.sum())):
        return GradientShares()
    trunk = reached == most
    squares = norms.square() * trunk
    whole = squares.sum(1).sqrt()
    shares, greatest = whole / whole.sum(), torch.zeros(len(objectives), dtype=norms.dtype)
    for group in dict.fromkeys(groups):
        members = torch.tensor([one == group for one in groups])
        own = squares[:, members].sum(1).sqrt()
        if own.sum() > 0:
            greatest = torch.maximum(greatest, own / own.sum())
    present = [number for number, norm in enumerate(whole.tolist()) if norm > 0]
    columns = (values.tolist() for values in (whole, shares, greatest))
    return GradientShares(*({objectives[n]: column[n] for n in present} for column in columns))
