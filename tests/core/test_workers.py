from __future__ import annotations

import threading
import time
from collections.abc import Iterator

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
