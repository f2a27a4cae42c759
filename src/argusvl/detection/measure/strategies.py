"""Ways to train that take more or less memory, and what each would take on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

from argusvl.detection.config import DetectionRunConfig
from argusvl.detection.measure.footprint import BatchShape, CountedStep, Precision, count_step
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.losses import LossSettings

GIB = 2**30
CARDS = (24, 40, 80)
"""Memory of a device, GiB."""

Sharding = Literal["none", "zero2", "zero3", "fsdp2"]

_4BIT = (4 + 8 / 64 + 32 / 64 / 256) / 8
"""Bytes of a value in NF4 or FP4 with double quantisation: 4 bits, a byte for 64 of them, 32 bits for 256 of those
(Dettmers et al., 2023)."""
_BYTES = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.0, "nf4": _4BIT, "fp4": _4BIT}
"""Of a value in a frozen linear layer, by what the base is held in; elsewhere in the base no less than two."""
_RESERVED, _FRAGMENTED = 1 * GIB, 0.05
"""What CUDA takes for itself, and the part of a device that its allocator cannot use."""
_BUCKET = 5e8
"""Values that DeepSpeed gathers before it sends gradients (its default ``reduce_bucket_size``)."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to train.

    Attributes:
        name: For people.
        precision: Of weights and computing.
        checkpointing: Whether the stock model's layers are computed again in the backward pass.
        lora_rank: Of matrices beside the frozen language model; ``None``: all weights train.
        base: What the frozen weights are held in beside adapters, as ``base_dtype`` has it.
        sharding: What is divided among the devices.
        devices: So many.
        offload: Whether the optimizer's state is in the host's memory.
        offered: Whether ``argus train`` can.
    """

    name: str
    precision: Precision = "mixed"
    checkpointing: bool = True
    lora_rank: int | None = None
    base: str = "bfloat16"
    sharding: Sharding = "none"
    devices: int = 1
    offload: bool = False
    offered: bool = False

    @classmethod
    def of(cls, run: DetectionRunConfig, *, on_gpu: bool) -> Strategy:
        """How a run trains. An adapter without a rank is counted as all weights."""
        training, peft = run.training, run.model.peft
        mixed = on_gpu if training.bf16 == "auto" else training.bf16
        return cls(
            "as configured",
            "mixed" if mixed else "float32",
            training.gradient_checkpointing,
            lora_rank=None if peft is None else peft.peft_options.get("r"),
            base="bfloat16" if peft is None else peft.base_dtype,
        )


@dataclass(frozen=True, slots=True)
class Need:
    """What a step takes on each device, in bytes.

    Attributes:
        start: Before the step: weights, optimizer, averaged weights.
        forward: Most at once in the forward pass.
        backward: Most at once in the backward pass.
        parts: By part, when most is in use.
        host: In the host's memory, of all devices.
    """

    start: int
    forward: int
    backward: int
    parts: dict[str, int]
    host: int = 0

    @property
    def peak(self) -> int:
        """Most at once."""
        return max(self.start, self.forward, self.backward)

    def fits(self, gib: float) -> bool:
        """Whether a device of that size has it, beside what CUDA and fragments take."""
        return self.peak <= gib * GIB * (1 - _FRAGMENTED) - _RESERVED


def need(strategy: Strategy, step: CountedStep, *, averaged: bool = False) -> Need:
    """What a strategy takes, given a step that was counted as it says.

    ``averaged``: whether a moving average of the weights is kept, in float32.
    """
    n, total, trainable = strategy.devices, step.total, step.trainable
    gathered = 0.0
    share = 1.0
    if strategy.lora_rank is not None:
        frozen = total - step.parameters["head"]
        added = step.parameters["head"]  # and the low-rank matrices, which `trainable` holds
        value = _BYTES[strategy.base]
        elsewhere = max(value, 2.0)
        weights = elsewhere * (frozen - step.linear) + value * step.linear + 4.0 * max(trainable, added)
        if value < 2:
            gathered = 2.0 * step.largest_linear  # dequantised for each product
        optimizer = 8.0 * trainable
    elif strategy.sharding == "none":
        weights, optimizer = 4.0 * total, 8.0 * trainable
    elif strategy.sharding == "fsdp2":
        # Weights in float32, gathered in bfloat16: the layer at work and the next one. Gradients are summed in float32.
        weights, optimizer, share = 4.0 * total / n, 8.0 * trainable / n, 2.0 / n
        gathered = 2 * 2.0 * step.largest_unit
    else:
        # Weights in bfloat16; the optimizer keeps them in float32 beside its two moments.
        optimizer, share = 12.0 * trainable / n, 1.0 / n
        bucket = 2.0 * min(_BUCKET, trainable)
        weights = 2.0 * total
        gathered = bucket
        if strategy.sharding == "zero3":
            weights /= n
            gathered += 2 * 2.0 * step.largest_unit
    host = optimizer * n if strategy.offload else 0.0
    parts = {
        "weights": round(weights),
        "optimizer": 0 if strategy.offload else round(optimizer),
        "averaged weights": round(4.0 * trainable) if averaged else 0,
        "gathered weights": round(gathered),
    }
    start = sum(parts.values())
    timeline = step.timeline
    return Need(
        start=start,
        forward=start + timeline.forward_peak(),
        backward=start + timeline.backward_peak(share),
        parts=parts | timeline.at_peak(share),
        host=round(host),
    )


def on_one_device() -> list[Strategy]:
    """From the one that computes fastest to the one that takes least."""
    return [
        Strategy("all weights, float32", "float32", checkpointing=False, offered=True),
        Strategy("all weights, bf16 mixed", checkpointing=False, offered=True),
        Strategy("all weights, bf16 mixed, checkpointing", offered=True),
        Strategy("all weights, checkpointing, optimizer on the host", offload=True),
        Strategy("LoRA 16, checkpointing", lora_rank=16, offered=True),
        Strategy("QLoRA 16 (nf4), checkpointing", lora_rank=16, base="nf4", offered=True),
    ]


def on_several_devices(counts: tuple[int, ...] = (2, 4, 8, 16, 32, 64)) -> list[Strategy]:
    """All weights train; fewer devices first."""
    kinds: dict[str, tuple[Sharding, bool]] = {
        "ZeRO-2": ("zero2", False),
        "ZeRO-3": ("zero3", False),
        "FSDP2": ("fsdp2", False),
        "ZeRO-3, optimizer on the host": ("zero3", True),
    }
    return [
        Strategy(
            f"all weights, {name}, checkpointing",
            "bfloat16",
            sharding=sharding,
            devices=devices,
            offload=offload,
        )
        for devices in counts
        for name, (sharding, offload) in kinds.items()
    ]


def first_that_fits(
    strategies: list[Strategy], gib: float, need_of: Callable[[Strategy], Need]
) -> tuple[Strategy, Need] | None:
    """The first strategy whose step a device of that size has room for."""
    found: Iterator[tuple[Strategy, Need]] = ((s, need_of(s)) for s in strategies)
    return next(((s, n) for s, n in found if n.fits(gib)), None)


def counting(
    config: ArgusDetectionConfig, batch: BatchShape, settings: LossSettings
) -> Callable[[Strategy], CountedStep]:
    """Counts a model's step as a strategy takes it, each kind of step once."""
    once = cache(partial(count_step, config, batch, settings))
    return lambda strategy: once(
        precision=strategy.precision, checkpointing=strategy.checkpointing, lora_rank=strategy.lora_rank
    )
