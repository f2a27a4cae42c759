"""Ctrl-C: the first one finishes the step and saves, the second one stops at once."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from argusvl.core.logging import get_logger
from argusvl.training.launch import is_first_process

logger = get_logger(__name__)

# A scheduler that stops a job sends SIGTERM; it deserves the same care.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptedWork(Exception):  # noqa: N818 - not an error: work that can be repeated was asked to stop
    """Raised inside :meth:`Interrupts.abandonable` by the first Ctrl-C."""


class Interrupts:
    """Whether the user asked to stop.

    Attributes:
        requested: Whether a first Ctrl-C (or SIGTERM) has come.
    """

    def __init__(self) -> None:
        self.requested = False
        self._abandon = False
        self._owner = os.getpid()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Handles the signals in the body. Does nothing outside the main thread, where Python allows none."""
        self.requested = False
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def abandonable(self) -> Iterator[None]:
        """Marks work that need not be finished: the first Ctrl-C leaves it by :class:`InterruptedWork`."""
        self._abandon = True
        try:
            yield
        finally:
            self._abandon = False

    def _handle(self, number: int, frame: FrameType | None) -> Any:
        if os.getpid() != self._owner:
            return  # a forked data worker, before leave_signals
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        logger.log(
            logging.WARNING if is_first_process() else logging.DEBUG,
            "%s: finishing the current step, then saving a checkpoint; once more to stop at once without saving",
            signal.Signals(number).name,
        )
        if self._abandon:
            self._abandon = False
            raise InterruptedWork


def leave_signals(worker: int = 0) -> None:
    """In a data worker: a signal that reaches the whole process group is for the main process to answer.

    PyTorch's own handler ends a worker at any SIGTERM that is not its parent's, and the run with it. Here the first
    one is passed over; a main process that must end a worker sends another.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(number, signal.SIG_DFL))
