"""How fast training goes, and what memory it takes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from argusvl.training.sampling import BatchInfo

_MIB = 2**20
_STATM = Path("/proc/self/statm")


class Throughput:
    """Counts over a logging window. Evaluations and checkpoints are not training time.

    Args:
        ranks: Number of processes, each of which trains batches of the same size on average.
    """

    def __init__(self, ranks: int) -> None:
        self._ranks = ranks
        self.trained_seconds = 0.0
        self.trained_samples = 0
        self.trained_images = 0
        self._restart()

    def _restart(self) -> None:
        self._started = time.perf_counter()
        self._excluded = self._waited = 0.0
        self._samples = self._images = self._tokens = self._positions = 0

    def start(self) -> None:
        """Starts a window; call it when training starts."""
        self._restart()

    def add(self, batches: Sequence[BatchInfo], waited: float) -> None:
        """Adds a step's batches.

        Args:
            batches: The micro-batches of this rank.
            waited: Seconds that the step waited for them.
        """
        self._waited += waited
        for batch in batches:
            self._samples += len(batch.keys)
            self._images += batch.images
            self._tokens += batch.tokens
            self._positions += batch.positions

    @contextlib.contextmanager
    def excluded(self) -> Iterator[None]:
        """Time in the body is not training time."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._excluded += time.perf_counter() - started

    def drain(self) -> dict[str, float]:
        """The window's figures (all ranks together, taking each for equal); starts a new window.

        Real tokens only: ``padding_share`` says how many positions were padding.
        """
        seconds = max(time.perf_counter() - self._started - self._excluded, 1e-9)
        figures = {
            "throughput/samples_per_second": self._ranks * self._samples / seconds,
            "throughput/data_wait_share": min(self._waited / seconds, 1.0),
        }
        if self._images:
            figures["throughput/images_per_second"] = self._ranks * self._images / seconds
        if self._positions:
            figures["throughput/tokens_per_second"] = self._ranks * self._tokens / seconds
            figures["throughput/padding_share"] = 1.0 - self._tokens / self._positions
        self.trained_seconds += seconds
        self.trained_samples += self._ranks * self._samples
        self.trained_images += self._ranks * self._images
        self._restart()
        return figures


def memory_figures() -> dict[str, float]:
    """Memory in MiB: resident of this process (on Linux) and, with CUDA, allocated, its peak, and reserved."""
    figures = {}
    if _STATM.exists():
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
        figures["memory/rss_mib"] = pages * os.sysconf("SC_PAGE_SIZE") / _MIB
    if torch.cuda.is_initialized():
        figures["memory/cuda_allocated_mib"] = torch.cuda.memory_allocated() / _MIB
        figures["memory/cuda_peak_mib"] = torch.cuda.max_memory_allocated() / _MIB
        figures["memory/cuda_reserved_mib"] = torch.cuda.memory_reserved() / _MIB
    return figures
