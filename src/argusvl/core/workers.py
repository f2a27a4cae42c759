"""A function over many images in threads, results in order.

Pillow decodes, resizes and encodes outside the interpreter's lock, so threads use all cores and need no start-up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from argusvl.core.threads import usable_cores

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4
"""Items in flight for each worker: enough to keep all busy, few enough that memory does not grow with the input."""


def map_in_order(
    function: Callable[[T], R], items: Iterable[T], workers: int | None = None
) -> Generator[R, None, None]:
    """Applies a function in threads and yields the results in the order of the items, read a few ahead.

    An error or Ctrl-C, and closing the generator, stop what has not begun. After an error what has begun is waited for;
    closing waits for nothing. There are as many threads as usable cores, if not told otherwise.
    """
    threads = workers or usable_cores()
    if threads == 1:
        yield from map(function, items)
        return
    pending: deque[Future[R]] = deque()
    executor = ThreadPoolExecutor(threads)
    wait = True
    try:
        for item in items:
            pending.append(executor.submit(function, item))
            if len(pending) >= threads * _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except GeneratorExit:
        # What was left behind is closed by the garbage collector, in any thread, one of these too, and under any lock,
        # one that they wait for too.
        wait = False
        raise
    finally:
        executor.shutdown(wait=wait, cancel_futures=True)
