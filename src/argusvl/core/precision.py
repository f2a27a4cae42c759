"""float32 or bfloat16: decided here for training, evaluation and prediction, by what this machine measures.

A CPU with AMX computes products several times as fast in bfloat16 as in float32, most others 4 to 30 times as slowly.
No flag says which reliably, so the products are timed.

What must come out the same on every machine, such as the vectors of a store, has no such choice: it is computed in
:func:`full_precision`, in the type that it states.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from argusvl.core.logging import get_logger
from argusvl.core.threads import computing_threads

if TYPE_CHECKING:
    import torch
    from torch import nn

logger = get_logger(__name__)

PAYS_FROM = 1.3
"""bfloat16 is used on a CPU from so many times the speed of float32: below, its rounding buys too little."""

_ROUNDS, _SECONDS = 8, 0.06
"""Rounds of the measurement at most, and after how many seconds it ends."""
_ROWS, _WIDTH, _WIDER = 256, 128, 512
"""Tokens of an image, and the two sides of a layer, as in the small models that are trained on a CPU. Short enough
that a busy system leaves some rounds undisturbed."""


@dataclass(frozen=True, slots=True)
class Precision:
    """What a model computes in, and why.

    Attributes:
        bf16: Whether forward and backward passes run in bfloat16 autocast.
        why: The end of a sentence that begins with the type.
        speed: How many times as fast as float32 bfloat16 was measured to be; ``None`` where nothing was measured.
    """

    bf16: bool
    why: str
    speed: float | None = None

    @property
    def name(self) -> str:
        """The type's name."""
        return "bfloat16" if self.bf16 else "float32"

    def facts(self) -> dict[str, Any]:
        """For a run's ``environment.json``."""
        measured = {} if self.speed is None else {"bfloat16_speed": round(self.speed, 3)}
        return {"precision": self.name, "precision_because": self.why, **measured}


def decide(
    wanted: Literal["auto"] | bool,
    device: torch.device,
    *,
    asked_by: str = "bf16",
    begun_with: bool | None = None,
) -> Precision:
    """The precision to compute in. What is asked for is done, with a warning where it is slow.

    Args:
        wanted: Whether to use bfloat16; ``auto``: where it pays.
        device: Where the model computes.
        asked_by: The key of the configuration that ``wanted`` comes from.
        begun_with: What was decided when the run began that goes on; ``auto`` holds to it, or its losses would differ.
    """
    if wanted == "auto" and begun_with is None:
        return _where_it_pays(device)
    goes_on = wanted == "auto"
    bf16, why = (begun_with, "as the run began") if goes_on else (wanted, f"as {asked_by} says")
    if not bf16:
        return Precision(False, why)
    found = _where_it_pays(device)
    if not found.bf16 and (found.speed is None or found.speed < 1):
        other = "bf16=false would go on faster, with other losses"
        asked = {"bf16": "bf16=auto", "base_dtype": "base_dtype=float32, where the memory suffices,"}[
            asked_by
        ]
        remedy = other if goes_on else f"{asked} would be faster"
        logger.warning("computing in bfloat16, %s: %s; %s", why, found.why, remedy)
    return Precision(True, why, found.speed)


def _where_it_pays(device: torch.device) -> Precision:
    import torch

    if device.type == "cuda":
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        return Precision(native, f"the GPU {'computes' if native else 'does not compute'} in bfloat16 itself")
    if device.type != "cpu":
        return Precision(False, f"bfloat16 is not known to pay on {device.type}")
    speed = cpu_speed() if _taken_over is None else _taken_over
    return Precision(
        speed >= PAYS_FROM, f"bfloat16 has {speed:.2g} times the speed of float32 on this CPU", speed
    )


_taken_over: float | None = None


def take_over_cpu_speed(speed: float) -> None:
    """Lets this process decide as another one that works on the same: two measurements of one machine may differ."""
    global _taken_over
    _taken_over = speed


@functools.cache
def cpu_speed() -> float:
    """How many times as fast as in float32 this CPU computes in bfloat16; measured once, in a fraction of a second."""
    import torch

    # In one thread and its own time: what else runs on the machine takes no part in it.
    exact = time.get_clock_info("thread_time").resolution < 1e-5
    with computing_threads(1):
        return speed_of(
            _products(torch.bfloat16),
            _products(torch.float32),
            clock=time.thread_time if exact else time.perf_counter,
        )


def speed_of(work: Callable[[], object], other: Callable[[], object], clock: Callable[[], float]) -> float:
    """How many times as fast as ``other`` the ``work`` is: the best of several turns of each.

    A disturbance can only make a turn slower, so the best is the least disturbed.
    """

    def seconds(call: Callable[[], object]) -> float:
        begun = clock()
        call()
        return clock() - begun

    work(), other()  # the first call of a library sets it up
    turns: list[tuple[float, float]] = []
    while len(turns) < 2 or (len(turns) < _ROUNDS and sum(map(sum, turns)) < _SECONDS):
        turns.append((seconds(work), seconds(other)))
    return min(second for _, second in turns) / min(first for first, _ in turns)


def _products(dtype: torch.dtype) -> Callable[[], object]:
    """A layer's product and the two of its backward pass, from float32 values as autocast casts them."""
    import torch

    values, weight = torch.ones(_ROWS, _WIDTH), torch.ones(_WIDER, _WIDTH)
    gradient = torch.ones(_ROWS, _WIDER)

    def compute() -> None:
        x, w, g = values.to(dtype), weight.to(dtype), gradient.to(dtype)
        for product in (x @ w.T, g @ w, g.T @ x):
            product.float()

    return compute


def compute_in(precision: Precision, model: nn.Module) -> None:
    """Lets a model's forward pass run in a precision, as Accelerate does in training: float32 comes out of it."""
    if not precision.bf16:
        return
    import torch
    from accelerate.utils import convert_outputs_to_fp32

    device = next(model.parameters()).device.type
    model.forward = convert_outputs_to_fp32(torch.autocast(device, torch.bfloat16)(model.forward))


_lock = threading.Lock()
_inside = 0
_before = (False, False, False, False)


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """GPUs compute in float32 and the same way each time; by default their convolutions round to 10 bits (TF32).

    These are settings of the whole process, which several threads may want at once: the first sets, the last restores.
    """
    global _inside, _before
    from torch.backends import cuda, cudnn

    matmul = cuda.matmul
    with _lock:
        if _inside == 0:
            _before = cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32
            cudnn.allow_tf32 = cudnn.benchmark = matmul.allow_tf32 = False
            cudnn.deterministic = True
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32 = _before
