"""Feature statistics of every layer on one batch, and its dead units: by hooks, which are always removed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

DEAD_BELOW = 1e-6
"""A unit is dead whose mean absolute activation over the batch is below this."""

# What only passes on or zeroes what came in says nothing of its own.
_SKIPPED = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_CHANNELS_FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """What a layer gave for a batch.

    Attributes:
        units: Size of its last axis, or of the channels.
        dead: How many of them are dead.
        not_finite: How many values are not finite; mean, std, minimum and maximum are over the others.
    """

    name: str
    kind: str
    units: int
    dead: int
    mean: float
    std: float
    minimum: float
    maximum: float
    not_finite: int

    @property
    def dead_share(self) -> float:
        """Dead units of all, 0 to 1."""
        return self.dead / self.units


def layer_statistics(model: nn.Module, forward: Callable[[], Any]) -> list[LayerStatistics]:
    """Statistics of the modules that hold no others, in the order in which they first compute.

    Args:
        model: In the mode in which it is to be looked at; neither its weights nor its mode are changed.
        forward: Passes a batch through the model.
    """
    found: dict[str, _Sums] = {}

    def hook(name: str, axis: int) -> Callable[..., None]:
        def seen(module: nn.Module, _: Any, output: Any) -> None:
            told = isinstance(output, Tensor) and output.is_floating_point() and output.dim() > 1
            if told and output.numel():
                found.setdefault(name, _Sums(type(module).__name__)).add(output.detach(), axis)

        return seen

    handles = [
        module.register_forward_hook(hook(name, 1 if isinstance(module, _CHANNELS_FIRST) else -1))
        for name, module in model.named_modules()
        if name and not isinstance(module, _SKIPPED) and next(module.children(), None) is None
    ]
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return [sums.statistics(name) for name, sums in found.items()]


@dataclass(slots=True)
class _Sums:
    """Sums over the calls of one module; a module that is shared computes several times."""

    kind: str
    total: float = 0.0
    squares: float = 0.0
    count: int = 0
    not_finite: int = 0
    minimum: float = float("inf")
    maximum: float = float("-inf")
    sizes: list[Tensor] = field(default_factory=list)
    rows: int = 0

    def add(self, output: Tensor, axis: int) -> None:
        values = output.movedim(axis, -1).flatten(0, -2).double()  # [rows, units]
        if self.sizes and len(self.sizes[0]) != values.shape[1]:
            return  # another width in another call: units that cannot be compared
        finite = values.isfinite()
        kept = values[finite]
        self.not_finite += values.numel() - kept.numel()
        self.count += kept.numel()
        self.total += float(kept.sum())
        self.squares += float(kept.square().sum())
        if kept.numel():
            self.minimum = min(self.minimum, float(kept.min()))
            self.maximum = max(self.maximum, float(kept.max()))
        # A unit that is not finite anywhere is not dead.
        self.sizes.append(values.abs().nan_to_num(nan=torch.inf, posinf=torch.inf).sum(0))
        self.rows += len(values)

    def statistics(self, name: str) -> LayerStatistics:
        sizes = torch.stack(self.sizes).sum(0) / self.rows
        mean = self.total / self.count if self.count else float("nan")
        spread = self.squares / self.count - mean**2 if self.count else float("nan")
        std = max(spread, 0.0) ** 0.5 if spread == spread else spread
        units, extremes = (len(sizes), int((sizes < DEAD_BELOW).sum())), (self.minimum, self.maximum)
        return LayerStatistics(name, self.kind, *units, mean, std, *extremes, self.not_finite)
