"""What memory a training takes, as evidence: the process, the tensors alive in it, and the GPU's allocator."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import torch

from argus_doctor.evidence import MemorySample

_STATM = Path("/proc/self/statm")
_MIB = 2**20
_RISE_MIB, _RISE = 64.0, 1.05
_PATIENCE, _PATIENCE_AT_A_RISE = 1000.0, 5.0
"""Live tensors are counted again when so many times the time of a count has passed, or the smaller number where
resident memory has risen by both of the above: tensors that are kept may go where others have been freed, so that
resident memory does not tell."""
_SECONDS_OF_A_COUNT = 0.02


def memory_figures() -> dict[str, float]:
    """Memory in MiB: resident of this process (on Linux) and, with CUDA, allocated, its peak, and reserved."""
    figures = {}
    if _STATM.exists():
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
        figures["memory/rss_mib"] = pages * os.sysconf("SC_PAGE_SIZE") / _MIB
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        figures["memory/cuda_allocated_mib"] = torch.cuda.memory_allocated() / _MIB
        figures["memory/cuda_peak_mib"] = torch.cuda.max_memory_allocated() / _MIB
        figures["memory/cuda_reserved_mib"] = torch.cuda.memory_reserved() / _MIB
    return figures


def live_tensors_mib() -> float:
    """Memory of all CPU tensors that Python knows, each storage once.

    Not among them: what autograd alone has saved for a backward pass. Whoever keeps that keeps a loss or an output,
    which :mod:`~argus_doctor.checks.curves` sees by itself.
    """
    storages: dict[int, int] = {}
    objects = gc.get_objects()
    # Not isinstance: a proxy's ``__class__`` may be a property that does work.
    kinds = {kind for kind in set(map(type, objects)) if issubclass(kind, torch.Tensor)}
    # A compiler's, without memory of their own: asked for it, they warn.
    kinds = {kind for kind in kinds if not kind.__module__.startswith("torch._subclasses.")}
    for one in [one for one in objects if type(one) in kinds]:
        try:
            if one.device.type == "cpu" and one.layout is torch.strided:
                storage = one.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
        except (RuntimeError, NotImplementedError):  # without memory of its own: fake, functional, wrapped
            continue
    storages.pop(0, None)
    return sum(storages.values()) / _MIB


class MemorySensor:
    """Takes samples of memory; cheap where nothing has grown."""

    def __init__(self) -> None:
        self._counted_at, self._resident = time.perf_counter(), 0.0
        self._seconds = _SECONDS_OF_A_COUNT

    def sample(self, step: int) -> MemorySample | None:
        """What there is now, or ``None`` where the system does not tell."""
        figures = memory_figures()
        resident = figures.get("memory/rss_mib")
        if resident is None:
            return None
        tensors, now = None, time.perf_counter()
        rose = resident > max(self._resident + _RISE_MIB, self._resident * _RISE)
        if now - self._counted_at > (_PATIENCE_AT_A_RISE if rose else _PATIENCE) * self._seconds:
            tensors, self._resident = live_tensors_mib(), resident
            self._counted_at = time.perf_counter()
            self._seconds = self._counted_at - now
        allocated, reserved = (figures.get(f"memory/cuda_{one}_mib") for one in ("allocated", "reserved"))
        return MemorySample(step, resident, tensors, allocated, reserved)
