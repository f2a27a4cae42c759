"""The page that sets several runs beside each other: what differs, curves on one chart, figures, findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from argusvl.core.figures import FigureSpec, spec_of
from argusvl.visual.curves import Chart, curve_chart, log_series
from argusvl.visual.page import page_environment, render_page
from argusvl.visual.plots import Series
from argusvl.visual.report import PAGE_SCRIPTS, ReportData
from argusvl.visual.run_events import Found, findings_of
from argusvl.visual.sections import Section

_PLACES = {"training.output_dir", "training.run_name"}  # they name a run and change nothing in it


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run among others: its name, another one for each, its state (``finished``, ``running``, …), what its folder
    holds, and its configuration key by key, as text.
    """

    name: str
    data: ReportData
    state: str
    configuration: Mapping[str, str]

    @property
    def findings(self) -> Sequence[Found]:
        """What was found in it."""
        return findings_of(self.data.events or ())


Rows = list[tuple[str, list[str | None]]]
"""For each name the runs' values, in their order; ``None`` where a run has none."""


def render_comparison(
    runs: Sequence[ComparedRun],
    figures: Mapping[str, FigureSpec],
    sections: Sequence[Section],
    gaps: Sequence[str],
) -> str:
    """The page as HTML text; the first run is what the others are compared with.

    ``figures`` and ``sections`` are their task's, ``gaps`` what could not be compared, and why.
    """
    title = " and ".join(run.name for run in runs)
    notes = {row.name: row.note for run in runs for row in run.data.figures}
    after = [{row.name: row.after for row in run.data.figures} for run in runs]
    return render_page(
        page_environment(),
        "comparison.html.jinja",
        PAGE_SCRIPTS,
        sections,
        kind_of_page="Argus comparison",
        data=ReportData(title, f"{len(runs)} runs; all are compared with {runs[0].name}", sections=sections),
        runs=runs,
        gaps=gaps,
        figures=[(name, note, [values.get(name) for values in after]) for name, note in notes.items()],
        differing=differences(runs),
        charts=common_charts(runs, figures),
    )


def differences(runs: Sequence[ComparedRun]) -> dict[str, Rows]:
    """What differs in configuration, data and environment."""
    told = _unequal([run.configuration for run in runs])
    rest = [row for row in told if not row[0].startswith("data.") and row[0] not in _PLACES]
    data = [row for row in told if row[0].startswith("data.")]
    return {
        "Configuration": rest,
        "Data": data,
        "Environment": _unequal([run.data.environment for run in runs]),
    }


def common_charts(runs: Sequence[ComparedRun], figures: Mapping[str, FigureSpec]) -> list[Chart]:
    """A chart for each declared figure and loss that at least one run has logged, with a line for each run."""
    logs = [log_series(run.data.log_history) for run in runs]
    names = dict.fromkeys(name for log in logs for name in log)

    def lines(name: str) -> list[Series]:
        return [replace(log[name], name=run.name) for run, log in zip(runs, logs, strict=True) if name in log]

    def wanted(name: str) -> bool:
        return "/" not in name and name.startswith("eval_") and spec_of(name, figures) is not None

    quality = [curve_chart(n.removeprefix("eval_"), lines(n), smooth=False) for n in names if wanted(n)]
    terms = ["eval_loss"] if "eval_loss" in names else []
    terms += [n for n in names if n.endswith("_loss")]
    losses = [
        curve_chart(n.removesuffix("_loss").replace("_", " ") + " loss", lines(n), zero_based=True)
        for n in terms
        if not wanted(n)
    ]
    total = [curve_chart("loss", lines("loss"), zero_based=True, wide=True)] if "loss" in names else []
    return total + quality + list({chart.title: chart for chart in losses}.values())


def _unequal(values: Sequence[Mapping[str, str]]) -> Rows:
    names = dict.fromkeys(name for one in values for name in one)
    rows = [(name, [one.get(name) for one in values]) for name in names]
    return [(name, found) for name, found in rows if len(set(found)) > 1]
