"""``argus env``: what this machine and this installation are, for a glance and for bug reports."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from argusvl import __version__
from argusvl.cli.output import console, print_json

_PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
    "pillow",
    "faster-coco-eval",
)


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Show versions, devices, cores and memory.

    Examples:

        argus env

        argus env --json
    """
    found = environment()
    if as_json:
        print_json(found)
        return
    table = Table(show_header=False, box=None)
    for name, value in found.items():
        if isinstance(value, dict):
            for key, item in value.items():
                table.add_row(key, str(item or "not installed"))
        else:
            table.add_row(name, "; ".join(map(str, value)) if isinstance(value, list) else str(value))
    console().print(table)


def environment() -> dict[str, Any]:
    """The facts, ready for JSON. Memory is in GiB and is what this process may use."""
    import torch

    return {
        "argus": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "devices": ["cpu", *_cuda_devices(torch)],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cuda_devices(torch: Any) -> list[str]:
    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(f"cuda:{index} {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    return found


def _memory_gib() -> float:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # Inside a container the machine's memory is not ours: the control group's limit is.
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            total = min(total, int(text))
    return round(total / 2**30, 1)
