"""How long a run will still take: its steps, and the evaluations and checkpoints between them."""

from __future__ import annotations

import math
from collections import deque
from statistics import fmean
from typing import Literal

BetweenSteps = Literal["evaluating", "saving"]

_WINDOW = 100
"""Steps whose mean is taken: enough that the noise of single ones is averaged out, few enough to notice a change."""
_SLOW_AT_FIRST = 5
"""Steps at the beginning that say little of the others: caches are cold and memory is asked for."""
_EVALUATED = 1 / 3
"""Seconds of an evaluated sample over those of a trained one, until an evaluation has been measured: it has no backward
pass."""


class TimeLeft:
    """Is told how long things took and says how long the rest of the run will take.

    Evaluations come at the multiples of a number of steps and after the last step; checkpoints as well, and with each
    evaluation, for it may be the best so far.

    Args:
        step: The step from which the run starts or goes on.
        last_step: The step at which it ends.
        evaluate_every: Steps between evaluations; ``None`` for none.
        save_every: Steps between checkpoints.
        evaluation_in_steps: Samples of an evaluation over those of a step.
    """

    def __init__(
        self,
        step: int,
        last_step: int,
        *,
        evaluate_every: int | None,
        save_every: int,
        evaluation_in_steps: float,
    ) -> None:
        self._step, self._last_step = step, last_step
        self._evaluate_every, self._save_every = evaluate_every, save_every
        self._evaluation_in_steps = evaluation_in_steps
        self._count = 0
        self._steps: deque[float] = deque(maxlen=_WINDOW)
        self._took: dict[BetweenSteps, deque[float]] = {
            "evaluating": deque(maxlen=3),
            "saving": deque(maxlen=3),
        }
        self._due: set[BetweenSteps] = set()

    def step_ended(self, step: int, seconds: float) -> None:
        """A step, of that number, was made in so many seconds, its data included; evaluations and checkpoints not."""
        self._step = step - 1  # after a roll-back it is not the one after the last
        before = self._times_left()
        self._step = step
        self._due = {doing for doing, times in self._times_left().items() if times < before[doing]}
        self._count += 1
        self._steps.append(seconds)

    def ended(self, doing: BetweenSteps, seconds: float) -> None:
        """An evaluation, or writing a checkpoint, took so many seconds."""
        self._due.discard(doing)
        self._took[doing].append(seconds)

    def seconds_per_step(self) -> float | None:
        """The mean of the last steps without the very first ones; ``None`` before there is any."""
        if not self._steps:
            return None
        forgotten = self._count - len(self._steps)
        first = max(0, min(_SLOW_AT_FIRST, self._count // 2) - forgotten)
        return fmean(list(self._steps)[first:])

    def seconds(self) -> float | None:
        """Seconds that the rest of the run will take; ``None`` before the first step."""
        step = self.seconds_per_step()
        if step is None:
            return None
        guessed: dict[BetweenSteps, float] = {
            "evaluating": _EVALUATED * self._evaluation_in_steps * step,
            "saving": 0.0,
        }
        left = (self._last_step - self._step) * step
        for doing, times in self._times_left().items():
            left += (times + (doing in self._due)) * fmean(self._took[doing] or [guessed[doing]])
        return left

    def _times_left(self) -> dict[BetweenSteps, int]:
        """How often is evaluated and saved after this step."""
        saved = self._left(self._save_every)
        if self._evaluate_every is None:
            return {"evaluating": 0, "saving": saved}
        evaluated = self._left(self._evaluate_every)
        both = self._left(math.lcm(self._evaluate_every, self._save_every))
        return {"evaluating": evaluated, "saving": evaluated + saved - both}

    def _left(self, every: int) -> int:
        """How often something comes after this step that comes at the multiples and after the last step."""
        step, last = self._step, self._last_step
        return last // every - step // every + (step < last and last % every > 0)
