"""The plain training loop under a watch, a small classifier and batches for it: what tests of the watch begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus_doctor import Watch
from argus_doctor.findings import Finding

Batches = Iterable[tuple[Any, ...]]
Loss = Callable[[Any, Any], Tensor]


def points(size: int = 32, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of points around one centre for each of four classes, without end."""
    rng = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(4, 8, generator=rng)
    while True:
        labels = torch.randint(4, (size,), generator=rng)
        yield centres[labels] + torch.randn(size, 8, generator=rng), labels


def mlp(*between: nn.Module, outputs: int = 4) -> nn.Sequential:
    """Two layers, the same at every call, with what is to stand between them."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), *between, nn.Linear(32, outputs))


def trained(
    model: nn.Module,
    batches: Batches,
    loss_of: Loss = F.cross_entropy,
    *,
    lr: float = 0.05,
    optimizer: torch.optim.Optimizer | None = None,
    steps: int | None = 60,
    clear: bool = True,
    after: Callable[[int, Tensor], Any] = lambda step, loss: None,
    source: Any = False,
    **watching: Any,
) -> list[Finding]:
    """What is found in the plain loop.

    Args:
        model: What is trained.
        batches: What it is given (several inputs as a tuple), the targets and, where that is something else, the batch
            that the watch is told.
        loss_of: Of outputs and targets.
        lr: The learning rate of SGD with momentum.
        optimizer: What trains instead.
        steps: How many there are at most.
        clear: Whether old gradients are taken away.
        after: Is called with the number and the loss of each step; what it gives is a validation loss.
        source: What Watch takes, as ``watching``.
        watching: As above.
    """
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    with Watch(model, optimizer, source=source, **watching) as watch:
        for step, (inputs, targets, *told) in enumerate(islice(batches, steps), 1):
            if clear:
                optimizer.zero_grad()
            loss = loss_of(model(*inputs) if isinstance(inputs, tuple) else model(inputs), targets)
            loss.backward()
            optimizer.step()
            batch = told[0] if told else (inputs, targets)
            watch.step(loss=loss, batch=batch, val_loss=after(step, loss))
    return watch.report()


def said(found: list[Finding]) -> dict[str, str]:
    """Name of each finding → its severity."""
    return {one.slug: one.severity for one in found}


def proven(found: list[Finding]) -> set[str]:
    """Names of those that cannot be otherwise."""
    return {one.slug for one in found if one.severity != "hint"}
