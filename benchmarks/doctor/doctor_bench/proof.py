"""Whether a case is what it says: the fault does harm, and what is healthy learns."""

from __future__ import annotations

import math
from collections.abc import Callable

from doctor_bench.case import Truth
from doctor_bench.execution import Executed
from doctor_bench.run import Outcome

_MANY_NODES = 300


def quality_of(run: Executed) -> float:
    """The quality that a run reached; minus infinity if it failed or is not finite."""
    quality = run.figures.get("quality", -math.inf)
    return quality if math.isfinite(quality) else -math.inf


def flaw_of(outcome: Outcome) -> str:
    """What is wrong with a case that was run by the probe and no detector; empty where nothing is."""
    case, run, twin = outcome.case, outcome.watched, outcome.twin
    healthy = run if twin is None else twin
    if healthy.error:
        return f"the healthy run failed: {healthy.error}"
    if not quality_of(healthy) >= case.at_least:
        return f"the healthy run reaches {quality_of(healthy):.3f} and not {case.at_least}"
    if case.truth is None or twin is None:
        return ""
    return _HARM[case.truth.harm](run, twin, case.truth.drop)


def shows_harm(truth: Truth, run: Executed, twin: Executed) -> bool:
    """Whether a repaired run, compared with the twin, has a harm that is not one of quality."""
    return truth.harm in ("inflated", "memory", "weights") and not _HARM[truth.harm](run, twin, truth.drop)


def _quality(run: Executed, twin: Executed, drop: float) -> str:
    lost = quality_of(twin) - quality_of(run)
    return "" if lost >= drop else f"the fault costs {lost:.3f} and not {drop}"


def _inflated(run: Executed, twin: Executed, drop: float) -> str:
    gained = quality_of(run) - quality_of(twin)
    return "" if gained >= drop else f"the fault adds {gained:.4f} and not {drop}"


def _memory(run: Executed, twin: Executed, drop: float) -> str:
    more = run.live_graphs - twin.live_graphs
    return "" if more >= _MANY_NODES else f"only {more} more nodes of graphs are alive"


def _weights(run: Executed, twin: Executed, drop: float) -> str:
    still = {name for name, moved in run.moved.items() if moved == 0}
    still_in_twin = {name for name, moved in twin.moved.items() if moved == 0}
    if still != still_in_twin:
        return ""
    return "the same weights moved"


def _stated(run: Executed, twin: Executed, drop: float) -> str:
    return f"it failed: {run.error}" if run.error else ""


_HARM: dict[str, Callable[[Executed, Executed, float], str]] = {
    "quality": _quality,
    "inflated": _inflated,
    "memory": _memory,
    "weights": _weights,
    "stated": _stated,
}
