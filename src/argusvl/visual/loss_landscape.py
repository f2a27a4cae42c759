"""The loss around a model's weights, along two random directions (Li et al., 2018: filter normalisation).

Visualizing the Loss Landscape of Neural Nets, https://arxiv.org/abs/1712.09913
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from argusvl.core.progress import track

POINTS = 15
"""On a side; odd, so that the weights themselves are one."""


@dataclass(frozen=True, slots=True)
class Landscape:
    """Losses on a square.

    Attributes:
        offsets: Along each direction, ascending; 0 is the model. At 1 a filter has moved by its own norm.
        losses: ``losses[row][column]``: second direction by row, first by column; may be not finite.
    """

    offsets: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]

    @property
    def centre(self) -> float:
        """The loss of the model itself."""
        middle = len(self.offsets) // 2
        return self.losses[middle][middle]


def loss_landscape(
    model: nn.Module, loss: Callable[[], float], *, points: int = POINTS, show_progress: bool = False
) -> Landscape:
    """The loss at ``points`` × ``points`` places around the weights, which are afterwards what they were, bit for bit.

    Parameters of two axes and more are moved, by offsets from -1 to 1; biases and norms stay, as in the paper. The
    loss is that of a fixed batch, without anything random in it.
    """
    weights = {n: p for n, p in model.named_parameters() if p.is_floating_point() and p.dim() > 1}
    first, second = (filter_normalised(weights, seed) for seed in range(2))
    offsets = tuple(2 * i / (points - 1) - 1 for i in range(points))
    places = [(y, x) for y in offsets for x in offsets]
    losses = []
    origin = {name: weight.detach().clone() for name, weight in weights.items()}
    with torch.no_grad():
        try:
            for y, x in track(places, len(places), "Loss landscape", unit="losses", enabled=show_progress):
                for name, weight in weights.items():
                    weight.copy_(origin[name] + x * first[name] + y * second[name])
                losses.append(float(loss()))
        finally:
            for name, weight in weights.items():
                weight.copy_(origin[name])
    rows = tuple(tuple(losses[i : i + points]) for i in range(0, len(losses), points))
    return Landscape(offsets, rows)


def filter_normalised(weights: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """A random direction in which each filter (row of the first axis) has the norm of that filter of the weights."""
    generator = torch.Generator().manual_seed(seed)
    direction = {}
    for name, weight in weights.items():
        drawn = torch.randn(weight.shape, generator=generator).to(weight)
        norms = [t.flatten(1).norm(dim=1).clamp_min(1e-12) for t in (weight.detach(), drawn)]
        direction[name] = drawn * (norms[0] / norms[1]).view(-1, *[1] * (weight.dim() - 1))
    return direction
