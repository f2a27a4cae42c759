"""Sorting a training log into charts: which numbers belong together, and on which scale."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from argusvl.visual.plots import NUM_COLOURS, Series, format_number, line_chart

# What the trainer adds to its logs that says nothing about the model.
_BOOKKEEPING = re.compile(
    r"step|epoch|total_flos|train_loss|(train|eval)_(runtime|(samples|steps)_per_second)"
)
_MAX_CLASS_LINES = (
    NUM_COLOURS  # more lines than colours say nothing; the table of classes has the final figures
)


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A line's name, colour and last value."""

    name: str
    colour: int
    last: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, ready for the page.

    Attributes:
        title: What is shown.
        svg: An ``<svg>`` element.
        legend: The lines.
        warning: What a reader must know, e.g. of values that are not finite.
    """

    title: str
    svg: str
    legend: list[LegendEntry] = field(default_factory=list)
    warning: str = ""


def charts_of_log(log_history: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Charts of a log as the trainer keeps it (``log_history`` of ``trainer_state.json``).

    Each loss term has a chart of its own, with its value on held-out data beside it; the quality figures share one,
    as do the learning rates, the gradient norms and the weight norms. Other numbers follow, one chart each.

    Args:
        log_history: One dictionary for each time something was logged; ``step`` says when.
    """
    series = _series(log_history)
    taken: set[str] = set()

    def take(names: Sequence[str]) -> list[Series]:
        taken.update(names)
        return [series[name] for name in names]

    charts = []
    losses = [n for n in series if n == "loss" or (n.endswith("_loss") and not n.startswith("eval_"))]
    for name in sorted(losses, key=lambda n: n != "loss"):
        together = take([n for n in (name, f"eval_{name}") if n in series])
        charts.append(_chart(_title(name), together, zero_based=True))
    quality = [n for n in series if _is_quality(n, series[n]) and "/" not in n]
    if quality:
        charts.insert(0, _chart("quality on held-out images", take(quality), zero_based=True))
    for figure in dict.fromkeys(n.split("/")[0] for n in series if _is_quality(n, series[n]) and "/" in n):
        names = [n for n in series if n.startswith(f"{figure}/")]
        if len(names) <= _MAX_CLASS_LINES:
            charts.append(_chart(f"{_title(figure)} by class", take(names), zero_based=True))
        taken.update(names)
    rates = [n for n in series if n.startswith("lr/")] or [n for n in series if n == "learning_rate"]
    if rates:  # the groups' own rates say more than the first group's alone
        charts.append(_chart("learning rate", take(rates), zero_based=True, smooth=False))
        taken.add("learning_rate")
    for title, pattern in (("gradient norm", r"grad_norm$|gn/"), ("weight norm", r"wn/")):
        names = [n for n in series if re.match(pattern, n)]
        if names:  # groups of a thousand and of a million parameters: a logarithmic axis shows both
            charts.append(_chart(title, take(names), log_scale=True, smooth=title == "gradient norm"))
    for name in [n for n in series if n not in taken]:
        charts.append(_chart(_title(name), take([name])))
    return [chart for chart in charts if chart.svg or chart.warning]


def _series(log_history: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    """A series for each number that was logged, in order of first appearance."""
    points: dict[str, tuple[list[float], list[float]]] = {}
    for position, entry in enumerate(log_history):
        step = entry.get("step", position)
        for name, value in entry.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or _BOOKKEEPING.fullmatch(name):
                continue
            steps, values = points.setdefault(name, ([], []))
            if steps and step < steps[-1]:
                continue  # a repeated stretch after a resumption; what was logged first stands
            steps.append(float(step))
            values.append(float(value))
    return {name: Series(name, *xy) for name, xy in points.items()}


def _chart(
    title: str,
    series: Sequence[Series],
    *,
    log_scale: bool = False,
    zero_based: bool = False,
    smooth: bool = True,
) -> Chart:
    bad = {s.name: len(s.values) - len(s.finite()) for s in series}
    warning = ", ".join(
        f"{name}: {count} value{'s are' if count > 1 else ' is'} not finite"
        for name, count in bad.items()
        if count
    )
    legend = [
        LegendEntry(_line_name(s.name), i % NUM_COLOURS, format_number(s.values[-1]))
        for i, s in enumerate(series)
    ]
    return Chart(
        title, line_chart(series, log_scale=log_scale, zero_based=zero_based, smooth=smooth), legend, warning
    )


def _line_name(name: str) -> str:
    """The name beside its chart's title: the group or the class, or which data the figure is of."""
    if "/" in name:
        return name.split("/", 1)[1]
    if name.endswith("loss"):
        return "held-out" if name.startswith("eval_") else "training"
    return name.removeprefix("eval_")


def _title(name: str) -> str:
    return name.removeprefix("eval_").replace("/", ": ").replace("_", " ")


def _is_quality(name: str, series: Series) -> bool:
    """Whether these are shares found on held-out data, such as AP."""
    points = series.finite()
    of_eval = name.startswith("eval_") and not name.endswith("_loss")
    return of_eval and bool(points) and all(-0.001 <= y <= 1.001 for _, y in points)
