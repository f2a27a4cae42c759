"""The report of a run: one HTML file that needs nothing else, to be kept, sent and opened anywhere.

Pictures, charts, scripts and the glyphs of the labels are inside the file; nothing is fetched, and the page's own
security policy forbids it. Without JavaScript the page shows the same pictures, charts and tables, and nothing can be
switched. What only the task understands, such as pictures with their boxes, it brings as sections of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argusvl.core.figures import FigureSpec
from argusvl.core.files import write_text_atomically
from argusvl.core.strict_json import finite_number
from argusvl.visual.curves import chart_groups
from argusvl.visual.health import health_of
from argusvl.visual.page import page_environment, render_page, shown_number
from argusvl.visual.sections import Section

PAGE_SCRIPTS = ("theme.js", "charts.js", "tables.js")


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One quality figure before and after training, with what it means in a few words.

    ``beside`` is of a second measurement; what was not measured is ``None``.
    """

    name: str
    before: float | None
    after: float | None
    note: str = ""
    beside: float | None = None
    lower_is_better: bool = False


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that a report says.

    Attributes:
        measured_on: The data of these figures, in words.
        beside: Name of a second measurement of the figures; empty where there is none.
        facts: Other numbers and names, e.g. how long it took.
        log_history: The training log: dictionaries with ``step`` and what was logged then.
        declared: What the task declares of its figures, for the charts.
        events: What happened in the run; ``None`` where it has kept no record.
        inner: What was seen inside the model: parts of the section on health.
    """

    title: str
    subtitle: str = ""
    figures: Sequence[FigureRow] = ()
    measured_on: str = ""
    beside: str = ""
    facts: Mapping[str, float | int | str] = field(default_factory=dict)
    log_history: Sequence[Mapping[str, Any]] = ()
    declared: Mapping[str, FigureSpec] = field(default_factory=dict)
    events: Sequence[Mapping[str, Any]] | None = None
    inner: Sequence[Section] = ()
    sections: Sequence[Section] = ()
    configuration: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def write_report(data: ReportData, path: str | Path) -> Path:
    """Writes the report as one HTML file; what was there is replaced only when the new one is complete.

    Raises:
        ArgusError: The file cannot be written.
    """
    target = Path(path)
    write_text_atomically(target, render_report(data))
    return target


def render_report(data: ReportData) -> str:
    """The report as HTML text."""
    environment = page_environment()
    environment.filters["fact"] = _fact
    groups = chart_groups(data.log_history, data.declared)
    return render_page(
        environment,
        "report.html.jinja",
        PAGE_SCRIPTS,
        data.sections,
        kind_of_page="Argus report",
        data=data,
        trained=any(row.before is not None for row in data.figures),
        tiles=[row for row in data.figures if row.after is not None][:4],
        inside=[section for section in data.sections if not section.title],
        apart=[section for section in data.sections if section.title],
        groups=[group for group in groups if not group.health],
        health=health_of(data.log_history, data.events, groups),
    )


def _fact(name: str, value: Any) -> tuple[str, str]:
    """A fact's name and value; seconds as a time that one can imagine."""
    seconds = finite_number(value) if name.endswith("_seconds") else None
    if seconds is None:
        return name.replace("_", " "), shown_number(value)
    title = name.removesuffix("_seconds").replace("_", " ") + " time"
    whole = round(seconds)
    if seconds < 60:
        return title, f"{seconds:.1f} s"
    if whole < 3600:
        return title, f"{whole // 60} min {whole % 60} s"
    return title, f"{whole // 3600} h {whole % 3600 // 60} min"
