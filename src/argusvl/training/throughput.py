"""How fast training goes; and steps that took far longer than those before them, and what they waited for."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from argus_doctor.evidence import Stall
from argus_doctor.suspicion import median
from argusvl.core.batch import Batch

_NEIGHBOURS, _FEWEST = 50, 20
_TIMES, _LONGER = 10.0, 2.0
"""Times the median of the neighbours, and seconds longer: batches differ, and short steps meet hiccups of a machine."""


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
        self._excluded = 0.0
        self._samples = self._images = self._tokens = self._real_tokens = self._steps = 0
        self._spent: dict[str, float] = {}

    def add(self, batches: Sequence[Batch], seconds: Mapping[str, float]) -> None:
        """Adds this rank's batches of a step, and what it spent by part; ``data``: what it waited for them."""
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
            "throughput/data_wait_share": min(self._spent.get("data", 0.0) / seconds, 1.0),
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


class Stalls:
    """Judges each step by those before it."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_NEIGHBOURS)
        self._parts: deque[Mapping[str, float]] = deque(maxlen=_NEIGHBOURS)

    def judge(self, step: int, seconds: Mapping[str, float]) -> Stall | None:
        """The step as a stall, where it is one; then it does not count as a neighbour of those to come.

        What was measured beside the step is left out of account.
        """
        parts = {part: spent for part, spent in seconds.items() if part != "measuring"}
        whole = sum(parts.values())
        if len(self._seconds) >= _FEWEST:
            usual = median(self._seconds)
            if whole > _TIMES * usual and whole > usual + _LONGER:
                excess = {
                    part: spent - median(one.get(part, 0.0) for one in self._parts)
                    for part, spent in parts.items()
                }
                part = max(excess, key=lambda name: excess[name])
                return Stall(step, whole, usual, part, parts[part])
        self._seconds.append(whole)
        self._parts.append(parts)
        return None
