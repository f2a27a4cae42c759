"""Numbers on their way from a device to the host: they are read one step later, so that nothing waits for a GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

Taker = Callable[[Tensor], None]


class HostReads:
    """Brings small tensors to the host and hands them to whoever asked.

    On the CPU at once. On CUDA the copy goes to pinned memory beside the computation, and is handed over at the next
    :meth:`read`, when a whole step lies between.
    """

    def __init__(self) -> None:
        self._asked: deque[tuple[Any, Tensor, Taker]] = deque()
        self._now = 0

    def ask(self, value: Tensor, then: Taker) -> None:
        """Hands ``value`` to ``then``, on the host."""
        if value.device.type == "cpu":
            then(value)
        elif value.device.type == "cuda":
            host = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
            host.copy_(value, non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
            self._asked.append((event, host, then))
        else:
            self._asked.append((None, value, then))

    def after(self, then: Callable[[], None]) -> None:
        """Calls ``then`` when all that was asked so far is handed over."""
        if self._asked:
            self._asked.append((None, torch.zeros(()), lambda _: then()))
        else:
            then()

    def ask_all(self, values: Sequence[Tensor], then: Callable[[list[Tensor]], None]) -> None:
        """Hands all of them over together."""
        there: dict[int, Tensor] = {}

        def take(place: int, value: Tensor) -> None:
            there[place] = value
            if len(there) == len(values):
                then([there[one] for one in range(len(values))])

        for place, value in enumerate(values):
            self.ask(value, partial(take, place))

    def begin_step(self) -> None:
        """What was asked until now is of a step that has ended."""
        self._now = len(self._asked)

    def read(self, *, everything: bool = False) -> None:
        """Hands over what was asked before the last :meth:`begin_step`, or all of it."""
        for _ in range(len(self._asked) if everything else self._now):
            event, value, then = self._asked.popleft()
            if event is not None:
                event.synchronize()
            then(value.cpu())
        self._now = 0
