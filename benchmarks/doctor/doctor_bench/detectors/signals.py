"""What detectors that are not ours have in common: a batch taken apart, and what can be seen just before a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def optimizers_of(optimizer: Any) -> list[Any]:
    """The optimizers that a script handed over: one, or several."""
    return list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]


def before_each_step(optimizer: Any, call: Callable[[], None]) -> None:
    """Calls while the gradients of a step are there: many scripts clear them right after it."""
    optimizers_of(optimizer)[0].register_step_pre_hook(lambda *_: call())


def tensors_of(batch: Any) -> list[Any]:
    """The tensors of a batch, in its order."""
    import torch

    if isinstance(batch, torch.Tensor):
        return [batch]
    values: Iterable[Any] = batch.values() if isinstance(batch, Mapping) else batch
    return [one for one in values if isinstance(one, torch.Tensor)]


def split(batch: Any) -> tuple[list[Any], Any]:
    """Inputs and targets of a batch: the last tensor of several is the targets."""
    tensors = tensors_of(batch)
    return (tensors, None) if len(tensors) < 2 else (tensors[:-1], tensors[-1])


def slug_by_words(text: str, table: Sequence[tuple[str, str]]) -> str:
    """The slug beside the first words of a table that are in a message; empty where none are."""
    return next((slug for words, slug in table if words in text), "")
