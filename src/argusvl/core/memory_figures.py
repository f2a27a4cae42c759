"""What memory this process and its GPU take, as quickly as the system tells it: exact enough for a curve."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_STATM = Path("/proc/self/statm")
_MIB = 2**20


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
