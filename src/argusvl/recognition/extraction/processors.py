"""The kind of processor: it chooses among arithmetic kernels, whose sums differ in their last bits."""

from __future__ import annotations

import torch


def processor_of(device: torch.device) -> str:
    """Name of the GPU, or the instruction set that torch uses on the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability()
