"""The report's part about the run itself: what was found and what happened, over the curves of its log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from argusvl.core.strict_json import finite_number
from argusvl.core.wording import counted
from argusvl.visual.curves import Chart, ChartGroup, curve_chart, drawn, log_series, make_chart
from argusvl.visual.marks import Mark
from argusvl.visual.page import grouped_digits
from argusvl.visual.plots import Series
from argusvl.visual.run_events import WITH, WITHOUT, Found, Happened, findings_of, happenings_of, marks_of

_LOGARITHMIC_FROM = 30.0  # times the smallest loss: one that blew up would press the rest flat


@dataclass(frozen=True, slots=True)
class Health:
    """What the section shows: a sentence or two, findings, errors first, what else is no routine, and the charts."""

    summary: str
    findings: Sequence[Found]
    happenings: Sequence[Happened]
    groups: Sequence[ChartGroup]


def health_of(
    log_history: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]] | None,
    groups: Sequence[ChartGroup],
) -> Health | None:
    """The section, or ``None`` where there is nothing that it could show.

    ``events`` is ``None`` where the run has kept no record; of the charts of its log those about health are taken.
    """
    findings, happenings = findings_of(events or ()), happenings_of(events or ())
    line = _time_line(log_history, marks_of(findings, happenings))
    tried = _trial_charts(events or ())
    trials = ChartGroup("Remedies", "tried on the same steps from the same weights", tried)
    shown = [group for group in (line, trials, *(g for g in groups if g.health)) if group.charts]
    if not shown and events is None:
        return None
    return Health(_summary(findings, happenings, events), findings, happenings, shown)


def _time_line(log_history: Sequence[Mapping[str, Any]], marks: Sequence[Mark]) -> ChartGroup:
    series = log_series(log_history)
    loss = [
        replace(series[n], name=name)
        for n, name in (("loss", "training"), ("eval_loss", "held-out"))
        if n in series
    ]
    norm = [replace(series["grad_norm"], name="all parameters")] if "grad_norm" in series else []
    # Nothing is smoothed: what is marked at a step must be seen at that step.
    look: dict[str, Any] = {"wide": True, "smooth": False, "marks": marks}
    charts = [
        curve_chart("loss", loss, log_scale=_spread(loss), zero_based=True, **look),
        curve_chart("gradient norm, before clipping", norm, log_scale=True, **look),
    ]
    note = "with what was found and what happened" if marks else ""
    return ChartGroup("Time line", note, drawn(charts), health=True)


def _spread(series: Sequence[Series]) -> bool:
    """Whether a logarithmic axis shows the values better."""
    values = [y for one in series for _, y in one.finite()]
    return bool(values) and min(values) > 0 and max(values) > _LOGARITHMIC_FROM * min(values)


def _summary(
    findings: Sequence[Found], happenings: Sequence[Happened], events: Sequence[Mapping[str, Any]] | None
) -> str:
    if events is None:
        return "This run has kept no record of what happened: findings are not known."
    if not findings:
        told = "No finding is recorded."
    else:
        kinds = Counter("hint" if f.hint else f.severity for f in findings)
        told = ", ".join(counted(kinds[k], k) for k in ("error", "warning", "hint") if kinds[k]) + "."
    times: Counter[str] = Counter()
    for one in happenings:
        times[one.name] += len(one.steps)
    also = ", ".join(
        f"{name} {'once' if n == 1 else f'{grouped_digits(n)} times'}" for name, n in times.items()
    )
    return told + (f" The run: {also}." if also else "")


def _trial_charts(events: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Trials of remedies: the same steps from the same weights, without a remedy and with each, on one chart.

    Each finding that was treated has one; its legend tells the figure that was compared, and what was kept.
    """
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
