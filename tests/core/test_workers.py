from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator

import pytest

from argusvl.core.workers import map_in_order


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order(workers: int) -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.02 if n == 0 else 0)
        return n * n

    assert list(map_in_order(slow_first, range(20), workers)) == [n * n for n in range(20)]


def test_items_are_read_only_a_little_ahead() -> None:
    read = 0

    def items() -> Iterator[int]:
        nonlocal read
        for n in range(1000):
            read = n + 1
            yield n

    results = map_in_order(lambda n: n, items(), 2)
    next(results)
    assert read <= 10
    results.close()  # type: ignore[attr-defined]


def test_an_error_stops_what_has_not_begun() -> None:
    done = []

    def fails_early(n: int) -> None:
        if n == 0:
            raise ValueError("first")
        time.sleep(0.01)
        done.append(n)

    with pytest.raises(ValueError, match="first"):
        list(map_in_order(fails_early, range(200), 2))
    assert len(done) < 12
    assert threading.active_count() < 20


def test_closing_waits_for_nobody_who_waits_for_the_closer() -> None:
    """As the garbage collector closes it: in any thread, holding a lock that the workers need."""
    lock = threading.Lock()

    def locked(n: int) -> int:
        with lock:
            return n

    results = map_in_order(locked, range(100), 2)
    assert next(results) == 0

    def close() -> None:
        with lock:
            time.sleep(0.05)
            results.close()

    closer = threading.Thread(target=close, daemon=True)
    closer.start()
    closer.join(10)
    assert not closer.is_alive()


def test_a_worker_may_close_it() -> None:
    held: list[Generator[int, None, None]] = []
    closed = threading.Event()

    def closes(n: int) -> int:
        if n == 5:
            held[0].close()
            closed.set()
        return n

    held.append(map_in_order(lambda n: n, range(100), 2))
    next(held[0])
    assert list(map_in_order(closes, range(10), 2)) == list(range(10)) and closed.is_set()
