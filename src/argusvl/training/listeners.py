"""Who watches training: listeners, which get each step as data. What goes wrong in one never stops a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from argusvl.core.logging import get_logger
from argusvl.training.step import StepRecord

logger = get_logger(__name__)


class Listener:
    """Watches a run; override what is of interest.

    Attributes:
        wants: What it needs beyond the always cheap: ``"outputs"`` (what the model returned) and ``"update_ratios"``
            (a copy of the weights each step).
    """

    wants: frozenset[str] = frozenset()

    def on_step(self, record: StepRecord) -> None:
        """A step was made, or skipped (then ``record.rates`` is empty)."""

    def on_evaluation(self, step: int, figures: Mapping[str, float]) -> None:
        """An evaluation gave its figures."""

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Something happened; see :mod:`argusvl.run.events`."""


class Listeners:
    """All listeners of a run."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)
        self._reported: set[tuple[int, str]] = set()

    @property
    def wants(self) -> frozenset[str]:
        """What some listener wants."""
        wanted: set[str] = set()
        for listener in self._listeners:
            wants = getattr(listener, "wants", ())
            wanted |= {wants} if isinstance(wants, str) else set(wants)
        return frozenset(wanted)

    def tell(self, what: Literal["on_step", "on_evaluation", "on_event"], *told: Any) -> None:
        """Calls a method of each."""
        for listener in self._listeners:
            try:
                getattr(listener, what)(*told)
            except Exception:  # whatever it is, it is reported, and no reason to lose a training
                if (id(listener), what) not in self._reported:  # once, not at every step
                    self._reported.add((id(listener), what))
                    logger.exception(
                        "%s.%s failed; training goes on, and it is not reported again",
                        type(listener).__name__,
                        what,
                    )
