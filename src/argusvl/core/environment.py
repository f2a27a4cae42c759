"""What this machine and this installation are: for bug reports, and beside the figures of a run."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

from argusvl import __version__
from argusvl.core.cgroups import limit_files
from argusvl.core.threads import usable_cores

_PACKAGES = (
    "torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy", "pillow", "faster-coco-eval",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """The facts, ready for JSON. Memory is in GiB and is what this process may use."""
    import torch

    return {
        "argus": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "devices": ["cpu", *_cuda_devices(torch)],
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "memory_gib": _memory_gib(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cuda_devices(torch: Any) -> list[str]:
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [f"cuda:{k} {one.name}, {one.total_memory / 2**30:.0f} GiB" for k, one in enumerate(found)]


def _memory_gib() -> float:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # Inside a container the machine's memory is not ours: the control group's limit is.
    for name in ("memory.max", "memory.limit_in_bytes"):
        for file in limit_files("memory", name):
            if (text := file.read_text().strip()).isdigit():
                total = min(total, int(text))
    return round(total / 2**30, 1)
