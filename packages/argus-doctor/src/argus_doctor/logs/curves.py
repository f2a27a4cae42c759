"""The curves of a run: each number that was logged, in its order, however long the log is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MOST_POINTS = 4096
"""Of a curve; of more, every second is dropped, but none that is not finite is forgotten."""
MOST_CURVES = 400


@dataclass(slots=True)
class Curve:
    """One number over a run.

    Attributes:
        name: As it was logged.
        steps: Of each value, or its place in the log where no step is told.
        values: All finite ones, thinned out in long runs.
        count: How many there were, finite or not.
        not_finite: How many were not.
        first_bad: Step and place (``file:line``) of the first that was not.
        bad_tail: How many were not, one after another, up to now.
        tail_start: Step and place where those began.
    """

    name: str
    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    count: int = 0
    not_finite: int = 0
    first_bad: tuple[float, str] | None = None
    bad_tail: int = 0
    tail_start: tuple[float, str] | None = None
    _stride: int = 1

    @property
    def lost(self) -> bool:
        """Whether it is no number until the end: one value alone may be of a batch without a target."""
        return self.bad_tail >= 3 or self.bad_tail == self.count > 1

    def add(self, step: float, value: float, where: str = "") -> None:
        """Appends a value."""
        self.count += 1
        if not math.isfinite(value):
            self.not_finite += 1
            self.bad_tail += 1
            self.first_bad = self.first_bad or (step, where)
            self.tail_start = self.tail_start if self.bad_tail > 1 else (step, where)
            return
        self.bad_tail = 0
        if self.count % self._stride:
            return
        self.steps.append(step)
        self.values.append(value)
        if len(self.values) >= MOST_POINTS:
            del self.steps[::2], self.values[::2]
            self._stride *= 2


@dataclass(slots=True)
class Curves:
    """All curves of a run, by their names."""

    by_name: dict[str, Curve] = field(default_factory=dict)
    entries: int = 0

    def add(self, values: Mapping[str, float], step: float | None = None, where: str = "") -> None:
        """Notes what was logged at one time."""
        self.entries += 1
        at = float(self.entries if step is None else step)
        for name, value in values.items():
            curve = self.by_name.get(name)
            if curve is None:
                if len(self.by_name) >= MOST_CURVES:
                    continue
                curve = self.by_name[name] = Curve(name)
            curve.add(at, float(value), where)

    def of(self, role: re.Pattern[str]) -> Iterable[Curve]:
        """Curves whose name, in small letters and with underscores, is of a kind."""
        return [curve for name, curve in self.by_name.items() if role.search(plain_name(name))]

    def main_loss(self) -> Curve | None:
        """The training loss: of those that may be it, the one with most values."""
        return max(self.of(TRAINING_LOSS), key=lambda curve: curve.count, default=None)


def plain_name(name: str) -> str:
    """``Train/Total Loss`` as ``train/total_loss``."""
    return re.sub(r"[\s\-]+", "_", name.strip().lower())


_HELD_OUT = r"(?:eval|val|valid|validation|test|dev|held_out)"
TRAINING_LOSS = re.compile(
    r"^(?:(?:train|training)[_/.]?)?(?:(?:total|avg|average|mean|running|batch|current|lm|nll|ce|task)[_/.])*"
    r"(?:loss|losses)(?:[_/.](?:train|training|step|epoch|total|avg))*$|^(?:metrics|train"
    r"|loss)[/.](?:train[/_.])?(?:total_)?loss$"
    r"|^loss/train(?:/total)?$"
)
HELD_OUT_LOSS = re.compile(
    rf"^(?:metrics/)?{_HELD_OUT}[_/.]?(?:avg_|total_|mean_)?loss(?:_epoch)?$|^loss[/_.]{_HELD_OUT}$"
)
LEARNING_RATE = re.compile(r"(?:^|[/_.])(?:lr|learning_rate)(?:$|[/_.\d])(?!.*loss)")
GRADIENT_NORM = re.compile(r"(?:^|[/_.])(?:grad(?:ient)?_?norm|gnorm|total_norm)$")
SPEED = re.compile(r"(?:samples|images|tokens|steps|examples|it|iter)(?:_per_|/)s(?:ec(?:ond)?)?$|throughput")
MEMORY = re.compile(r"(?:^|[/_.])(?:gpu_|cuda_|host_|ram_|rss|process_)?(?:mem(?:ory)?|rss)(?:$|[/_.])")
