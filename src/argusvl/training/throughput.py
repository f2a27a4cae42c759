"""How fast training goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence

from argusvl.core.batch import Batch


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
        self.start()

    def start(self) -> None:
        """Starts a window; call it when training starts."""
        self._started = time.perf_counter()
        self._excluded = self._waited = 0.0
        self._samples = self._images = self._tokens = self._real_tokens = self._steps = 0
        self._spent: dict[str, float] = {}

    def add(self, batches: Sequence[Batch], seconds: Mapping[str, float]) -> None:
        """Adds this rank's batches of a step, and what it spent by part; ``data``: what it waited for them."""
        self._waited += seconds.get("data", 0.0)
        self._steps += 1
        for part, spent in seconds.items():
            self._spent[part] = self._spent.get(part, 0.0) + spent
        for batch in batches:
            self._samples += len(batch.samples)
            self._images += batch.sizes.images
            self._tokens += batch.sizes.tokens
            self._real_tokens += batch.sizes.real_tokens

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

        Real tokens only: ``padding_share`` says how many positions were padding. ``seconds/PART`` is the mean of a
        step, of this rank. On a GPU the parts are what it takes to start them: computing goes on beside what follows.
        """
        seconds = max(time.perf_counter() - self._started - self._excluded, 1e-9)
        figures = {
            "throughput/samples_per_second": self._ranks * self._samples / seconds,
            "throughput/data_wait_share": min(self._waited / seconds, 1.0),
        } | {f"seconds/{part}": spent / self._steps for part, spent in self._spent.items()}
        if self._images:
            figures["throughput/images_per_second"] = self._ranks * self._images / seconds
        if self._tokens:
            figures["throughput/tokens_per_second"] = self._ranks * self._real_tokens / seconds
            figures["throughput/padding_share"] = 1.0 - self._real_tokens / self._tokens
        self.trained_seconds += seconds
        self.trained_samples += self._ranks * self._samples
        self.trained_images += self._ranks * self._images
        self.start()
        return figures
