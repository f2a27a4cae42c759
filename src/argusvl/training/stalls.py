"""Steps that took far longer than those before them, and what they waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from argus_doctor.evidence import Stall
from argus_doctor.suspicion import median

_NEIGHBOURS, _FEWEST = 50, 20
_TIMES, _LONGER = 10.0, 2.0
"""Times the median of the neighbours, and seconds longer: batches differ, and short steps meet hiccups of a machine."""


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
