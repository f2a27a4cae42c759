"""The report's part about the run itself: what was found and what happened, over the curves of its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from argusvl.visual.curves import ChartGroup, curve_chart, drawn, log_series
from argusvl.visual.marks import Mark
from argusvl.visual.page import grouped_digits
from argusvl.visual.plots import Series
from argusvl.visual.remedy_trials import trial_charts
from argusvl.visual.run_events import Found, Happened, findings_of, happenings_of, marks_of

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
    tried = trial_charts(events or ())
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
        kinds = ["hint" if f.hint else f.severity for f in findings]
        counts = [(kinds.count(kind), kind) for kind in ("error", "warning", "hint")]
        told = ", ".join(f"{n} {kind}{'' if n == 1 else 's'}" for n, kind in counts if n) + "."
    times: Counter[str] = Counter()
    for one in happenings:
        times[one.name] += len(one.steps)
    also = ", ".join(
        f"{name} {'once' if n == 1 else f'{grouped_digits(n)} times'}" for name, n in times.items()
    )
    return told + (f" The run: {also}." if also else "")
