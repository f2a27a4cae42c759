"""Does memory grow? Samples over a long run, the slope of the line through them, and how sure it is.

Memory that a run has used once stays with it for a while, so a sample is much like the one before: the usual bounds
of a fitted line, which take samples for independent, would be far too narrow. Here the number of samples is first
reduced to what independent ones would be worth, as it is done for trends of temperature, by Santer et al. 2000,
"Statistical significance of trends and trend differences in layer-average atmospheric temperature time series",
Journal of Geophysical Research 105 (D6), section 5.1.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from scipy import stats

from argusvl.core.errors import ArgusError

CONFIDENCE = 0.95
LIMIT_BYTES_PER_IMAGE = 1024.0
"""What a run may grow by for an image, in bytes: 1 GiB over a million images."""

Verdict = Literal["flat", "grows", "undecided"]


@dataclass(frozen=True, slots=True)
class Slope:
    """A fitted slope.

    Attributes:
        per_step: Its least-squares estimate, in units of the values per unit of the steps.
        low: The true slope is above this with :data:`CONFIDENCE`.
        high: The true slope is below this with it.
        samples: How many values it was fitted to.
        effective_samples: What they are worth, counted in independent ones.
    """

    per_step: float
    low: float
    high: float
    samples: int
    effective_samples: float

    def verdict(self, limit: float = LIMIT_BYTES_PER_IMAGE) -> Verdict:
        """``flat`` where even the upper bound keeps within the limit, ``grows`` where the lower bound is above it."""
        if self.high <= limit:
            return "flat"
        return "grows" if self.low > limit else "undecided"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; a bound that is not known is ``None``."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


def fit_slope(steps: Sequence[float], values: Sequence[float]) -> Slope:
    """Fits a line by least squares; both bounds hold with :data:`CONFIDENCE`, each by itself.

    With the lag-1 autocorrelation ``r`` of the residuals (taken as 0 where it is negative), ``n`` samples are worth
    ``n (1 - r) / (1 + r)`` independent ones; the slope's standard error and Student's t use that number. Where it is
    not above 2, the bounds are infinite: nothing can be said yet.

    Args:
        steps: Where the values were taken, e.g. images done; increasing, at least three, evenly spaced or nearly.
        values: E.g. bytes in use.

    Raises:
        ValueError: Fewer than three samples, unequal lengths, steps that do not increase, or a value not finite.
    """
    x, y = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"expected two lists of one length, got shapes {x.shape} and {y.shape}")
    if len(x) < 3:
        raise ValueError(f"a slope with bounds needs at least three samples, got {len(x)}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("steps and values must be finite")
    if not (np.diff(x) > 0).all():
        raise ValueError("steps must increase")
    from_middle = x - x.mean()
    spread = float(from_middle @ from_middle)
    slope = float(from_middle @ (y - y.mean())) / spread
    residuals = y - y.mean() - slope * from_middle
    squares = float(residuals @ residuals)
    # What is left by rounding alone is no scatter: values of one size give bounds equal to the slope.
    if squares <= len(y) * (np.finfo(np.float64).eps * 8 * max(float(np.abs(y).max()), 1.0)) ** 2:
        return Slope(slope, slope, slope, len(y), float(len(y)))
    autocorrelation = min(max(float(residuals[1:] @ residuals[:-1]) / squares, 0.0), 1.0)
    effective = len(y) * (1 - autocorrelation) / (1 + autocorrelation)
    freedom = effective - 2
    if freedom <= 0:
        return Slope(slope, -math.inf, math.inf, len(y), effective)
    reach = float(stats.t.ppf(CONFIDENCE, freedom)) * math.sqrt(squares / freedom / spread)
    return Slope(slope, slope - reach, slope + reach, len(y), effective)


class MemoryRecorder:
    """Samples of the memory in use, taken as a run goes on; a context manager.

    Garbage is collected and what the allocators only keep in reserve is given back before a sample is taken: neither
    is growth, and both would hide it. Some of the reserve cannot be given back (the end of a heap that threads share),
    and what leaks into it does not show in resident memory, so the bytes that the C library has handed out are counted
    as well. Inside the context only objects made inside it are searched for garbage
    (``gc.freeze``): with the libraries of a model loaded there are half a million others, and looking at each takes
    longer than embedding a batch.

    Args:
        device: Where the model computes; the memory of a CUDA device is recorded beside this process's own.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self.images: list[int] = []
        self.resident: list[int] = []
        self.handed_out: list[int] = []
        self.on_device: list[int] = []
        self._froze = False

    def __enter__(self) -> Self:
        gc.collect()
        # Not 0: from Python 3.12 on a collection sets objects aside that live forever, some hundreds.
        if gc.get_freeze_count() < len(gc.get_objects()):
            gc.freeze()
            self._froze = True
        return self

    def __exit__(self, *error: object) -> None:
        if self._froze:
            gc.unfreeze()
            self._froze = False

    def sample(self, images: int) -> None:
        """Notes what is in use now, after so many images."""
        resident = settled_resident_bytes()
        self.images.append(images)
        self.resident.append(resident)
        self.handed_out.append(handed_out_bytes())
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            self.on_device.append(torch.cuda.memory_allocated(self._device))

    def slopes(self, *, skip: int = 0, limit: float = LIMIT_BYTES_PER_IMAGE) -> dict[str, Slope]:
        """Bytes per image: ``resident`` of this process, and ``device`` where that is a GPU.

        ``resident`` is the slope of the bytes handed out where these alone are sure to grow by more than ``limit``.

        Args:
            skip: Leave out samples taken at fewer images, in which buffers and caches of the first calls grow.
            limit: What growth of the bytes handed out counts, in bytes per image.
        """
        kept = [index for index, images in enumerate(self.images) if images >= skip]
        at = [self.images[index] for index in kept]

        def slope(values: list[int]) -> Slope:
            return fit_slope(at, [values[index] for index in kept])

        resident, handed_out = slope(self.resident), slope(self.handed_out)
        hidden = resident.verdict(limit) != "grows" and handed_out.verdict(limit) == "grows"
        found = {"resident": handed_out if hidden else resident}
        if self.on_device:
            found["device"] = slope(self.on_device)
        return found


def settled_resident_bytes() -> int:
    """Memory of this process that is in RAM, after a garbage collection and without the C library's free blocks.

    Raises:
        ArgusError: This system does not tell.
    """
    gc.collect()
    give_back_free_blocks()
    return resident_bytes()


def resident_bytes() -> int:
    """Memory of this process that is in RAM (RSS), in bytes.

    Raises:
        ArgusError: This system does not tell.
    """
    # The sum over the mappings is exact; the counter in `statm` lags by some hundred KiB for each thread.
    with contextlib.suppress(OSError), Path("/proc/self/smaps_rollup").open(encoding="ascii") as lines:
        for line in lines:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    try:
        command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 1024
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise ArgusError(
            f"the memory of this process cannot be read: {error}",
            where="/proc/self/smaps_rollup, ps",
            remedy="run it on Linux, or install ps",
        ) from error


def give_back_free_blocks() -> None:
    """Has the GNU C library return what it keeps in reserve; does nothing where the library is another."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))


class _Mallinfo2(ctypes.Structure):
    """What ``mallinfo2(3)`` gives: ten numbers."""

    _fields_ = (("numbers", ctypes.c_size_t * 10),)


def handed_out_bytes() -> int:
    """Bytes that the GNU C library (from 2.33 on) has handed out in all its heaps; 0 where the library is another."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return 0
    mallinfo2.restype = _Mallinfo2
    numbers = mallinfo2().numbers
    mapped, in_heaps = numbers[4], numbers[7]
    return int(mapped + in_heaps)
