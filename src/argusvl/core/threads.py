"""How many threads compute, and how they wait for each other."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

from argusvl.core.cgroups import limit_files

_WAITS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""By any of these a user says how threads wait."""

_SPINS = "10000"
"""Turns of GNU OpenMP's loop before a thread that waits goes to sleep: some hundred microseconds, about what waking it
takes on a virtual machine."""

_KERNELS = "128"
"""Compiled kernels that oneDNN keeps. With 16 to 200 a training in bfloat16 was as fast as with 1,024; with none, a
third slower."""


def usable_cores() -> int:
    """Cores that this process may use; a container often has fewer than its machine."""
    return max(1, math.ceil(min(_bound_to(), _quota())))


def _quota() -> float:
    """Seconds of all cores together that the control groups grant in each second."""
    found = [math.inf]
    for file in limit_files("cpu", "cpu.max"):
        quota, period = file.read_text().split()
        found.append(math.inf if quota == "max" else int(quota) / int(period))
    for file in limit_files("cpu", "cpu.cfs_quota_us"):
        quota_us = int(file.read_text())
        if quota_us > 0:
            found.append(quota_us / int(file.with_name("cpu.cfs_period_us").read_text()))
    return min(found)


def share_cores() -> None:
    """Lets this command's threads, and those of its processes, share the cores with other work.

    To be called before torch is imported, for OpenMP reads its settings once; what the user has set stays. Left alone,
    threads that wait for each other after a product spin for milliseconds, which beside other work takes the time
    slices that the awaited thread needs; sleeping at once, they have to be woken thousands of times a second, which
    costs a third of the speed. So they spin for a short time. And OpenMP knows the cores that a process is bound to,
    but not the quota of a container.
    """
    if not any(name in os.environ for name in _WAITS):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # for libraries that know no other word
        os.environ["GOMP_SPINCOUNT"] = _SPINS
    if usable_cores() < _bound_to():
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))


def bound_kernel_cache() -> None:
    """Lets oneDNN keep fewer compiled kernels; what the user has set stays. To be called before torch is imported.

    It compiles a kernel for each shape and keeps the last 1,024. Conversations of other lengths are other shapes in
    every batch, and a kernel of bfloat16 takes one to two MiB: a training grew by two GiB in 400 steps, with kernels
    that were never asked for again. What comes back in every step fits into a few.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KERNELS)


def divide_cores(processes: int) -> None:
    """Gives each of several processes that will be started its part of the cores, or the threads that the user has set
    where they are fewer.
    """
    share = max(1, usable_cores() // processes)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    os.environ["OMP_NUM_THREADS"] = str(min(share, int(asked))) if asked.isdigit() else str(share)


@contextmanager
def computing_threads(number: int) -> Iterator[None]:
    """So many threads for the arithmetic within the block: sums split in another way differ in their last bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _bound_to() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
