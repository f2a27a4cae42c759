"""Drawing many pictures by as many processes as there are cores, in order."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from argusvl.core.threads import usable_cores

Drawn = TypeVar("Drawn")

_CHUNK = 16  # pictures that a process draws at a time
_MIN_CHUNKS_A_PROCESS = 8  # one takes half a second to start: fewer are drawn faster without it


def drawn_in_order(
    draw: Callable[[Iterable[int]], list[Drawn]], images: int, workers: int | None = None
) -> Iterator[Drawn]:
    """What a function draws for the numbers from 0, in their order.

    ``draw`` can be pickled, and what it draws hangs on nothing but the number. Processes are as many as there are
    usable cores where ``workers`` is ``None``, and fewer for a small set.
    """
    chunks = [range(i, min(i + _CHUNK, images)) for i in range(0, images, _CHUNK)]
    processes = min(workers or usable_cores(), len(chunks) // _MIN_CHUNKS_A_PROCESS)
    if processes <= 1:
        for index in range(images):
            yield from draw((index,))
        return
    # Fresh processes: a copy of this one would hold the locks of the progress bar's thread.
    executor = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_leave_ctrl_c)
    try:
        for some in executor.map(draw, chunks):
            yield from some
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _leave_ctrl_c() -> None:
    """Ctrl-C reaches every process of a terminal; the one that started the others ends them."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
