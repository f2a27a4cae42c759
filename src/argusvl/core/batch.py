"""A batch: what a collator makes of samples, and a step is computed on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SampleName:
    """Which sample: by its epoch and index, and by the name that the dataset gives it."""

    epoch: int
    index: int
    name: str


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """What a batch holds, as far as its collator says so.

    Attributes:
        vision_tokens: Positions that stand for images.
        tokens: All positions, padding included.
        real_tokens: Positions that are not padding.
    """

    images: int = 0
    vision_tokens: int = 0
    tokens: int = 0
    real_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples, collated.

    Attributes:
        inputs: The model's forward arguments.
        counts: What the loss terms are divided by.
        sizes: What it holds, for the figures of throughput.
        samples: The samples that it is made of; the engine writes them down.
    """

    inputs: Mapping[str, Any]
    counts: Mapping[str, int] = field(default_factory=dict)
    sizes: BatchSizes = BatchSizes()
    samples: tuple[SampleName, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the samples."""
        return [sample.name for sample in self.samples]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """With its tensors on a device; accelerate's and our loaders come here."""
        moved = {
            name: value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value
            for name, value in self.inputs.items()
        }
        return dataclasses.replace(self, inputs=moved)

    def pin_memory(self) -> Batch:
        """With its tensors in pinned memory; torch's loader comes here."""
        pinned = {n: v.pin_memory() if isinstance(v, Tensor) else v for n, v in self.inputs.items()}
        return dataclasses.replace(self, inputs=pinned)
