"""Records that do not grow with the length of a training."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar, overload


class _Numbered(Protocol):
    number: int


T = TypeVar("T")
N = TypeVar("N", bound=_Numbered)


class Ends(list[T]):
    """The first and the last of what is appended, as many of the one as of the other.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int = 64) -> None:
        super().__init__()
        self._most = most

    def append(self, item: T) -> None:
        """Takes one more; of those in the middle one is let go where there are too many."""
        super().append(item)
        if len(self) > self._most:
            del self[self._most // 2]


class Course(Iterable[N]):
    """Steps in order: the first ones, the last ones, and between them every so-many-th."""

    _FIRST, _MIDDLE, _LAST = 100, 300, 200

    def __init__(self, items: Iterable[N] = ()) -> None:
        self._first: list[N] = []
        self._middle: list[N] = []
        self._last: deque[N] = deque()
        self._every = 1
        for one in items:
            self.append(one)

    def append(self, item: N) -> None:
        """Takes one more."""
        if len(self._first) < self._FIRST:
            self._first.append(item)
            return
        self._last.append(item)
        if len(self._last) > self._LAST:
            old = self._last.popleft()
            if old.number % self._every == 0:
                self._middle.append(old)
            if len(self._middle) > self._MIDDLE:
                self._every *= 2
                self._middle = [one for one in self._middle if one.number % self._every == 0]

    def __iter__(self) -> Iterator[N]:
        yield from self._first
        yield from self._middle
        yield from self._last

    def __len__(self) -> int:
        return len(self._first) + len(self._middle) + len(self._last)

    @overload
    def __getitem__(self, place: int) -> N: ...
    @overload
    def __getitem__(self, place: slice) -> list[N]: ...
    def __getitem__(self, place: int | slice) -> N | list[N]:
        if place == -1:
            return self._last[-1] if self._last else self._first[-1]
        return list(self)[place]
