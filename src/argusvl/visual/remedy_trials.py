"""Trials of remedies: the same steps from the same weights, without a remedy and with each, on one chart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from argusvl.core.strict_json import finite_number
from argusvl.visual.curves import Chart, make_chart
from argusvl.visual.plots import Series

WITHOUT, WITH = "losses_without", "losses_with"
"""The losses in an event ``remedy``; too many to be told in words."""


def trial_charts(events: Iterable[Mapping[str, Any]]) -> list[Chart]:
    """A chart for each finding that was treated; the legend tells the figure that was compared, and what was kept."""
    together: dict[tuple[str, int, int], list[Mapping[str, Any]]] = {}
    for event in events:
        start, without = finite_number(_pair(event.get("steps"))[0]), event.get(WITHOUT)
        if event.get("event") == "remedy" and start is not None and isinstance(without, list):
            made = int(finite_number(event.get("step")) or 0)
            together.setdefault((str(event.get("kind")), int(start), made), []).append(event)
    charts = []
    for (kind, start, _), trials in together.items():
        rows = [("no remedy", trials[0][WITHOUT], _told(trials[0], 0))]
        for trial in trials:
            kept = ", kept" if trial.get("kept") is True else ""
            rows.append((str(trial.get("change")), trial.get(WITH), _told(trial, 1) + kept))
        curves = [(name, _numbers(losses)) for name, losses, _ in rows]
        series = [Series(name, range(start, start + len(values)), values) for name, values in curves]
        last = [told for *_, told in rows]
        title = f"{kind}: loss of the same steps"
        charts.append(make_chart(title, series, wide=True, last=last, zero_based=True, smooth=False))
    return charts


def _told(trial: Mapping[str, Any], which: int) -> str:
    """The figure on held-out data where there is one, else the loss at the end."""
    figure = finite_number(_pair(trial.get("figures"))[which])
    if figure is not None:
        return f"{trial.get('figure') or 'figure'} {figure:.3g}"
    losses = _numbers(trial.get(WITH if which else WITHOUT))
    return f"loss {losses[-1]:.3g}" if losses else "no step"


def _pair(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) and len(value) == 2 else (None, None)


def _numbers(value: Any) -> list[float]:
    known = (finite_number(one) for one in (value if isinstance(value, list) else []))
    return [math.nan if one is None else one for one in known]
