"""What the report's shell shows of any task: its figures with their direction, its sections, its curves."""

from __future__ import annotations

import json
from pathlib import Path

from markupsafe import Markup

from argusvl.core.figures import FigureSpec
from argusvl.run.reading import load_run
from argusvl.visual.curves import chart_groups
from argusvl.visual.report import FigureRow, ReportData, render_report
from argusvl.visual.sections import RunFolder, Section, TaskReport

FIGURES = {
    "mpjpe": FigureSpec("mean distance", "lower", "px"),
    "pck": FigureSpec("points near their truth", "higher"),
    "ece": FigureSpec("calibration error", "lower"),
}


def test_a_section_stands_apart_or_continues_the_overview() -> None:
    apart = Section("points", "Points", Markup("<b>here</b>"), style=Markup(".x{}"), script=Markup("go()"))
    inside = Section("joints", "", Markup("<i>within</i>"))
    page = render_report(ReportData("run", sections=[inside, apart]))
    assert '<section id="points">' in page and '<a href="#points">Points</a>' in page
    overview = page[page.index('<section id="overview"') : page.index('<section id="points">')]
    assert "<i>within</i>" in overview and "<b>here</b>" not in overview
    assert ".x{}" in page and "<script>go()</script>" in page
    assert 'href="#joints"' not in page


def test_a_fact_may_be_any_number() -> None:
    page = render_report(ReportData("run", facts={"fit_seconds": 90, "idle_seconds": 10**400}))
    assert "fit time" in page and "1 min 30 s" in page and "idle seconds" in page


def test_a_lower_error_is_no_shorter_bar() -> None:
    page = render_report(ReportData("run", figures=[FigureRow("ece", None, 0.25, lower_is_better=True)]))
    assert "ece <span" in page and "↓" in page and '<div class="track"' not in page
    assert '<div class="track"' in render_report(ReportData("run", figures=[FigureRow("pck", None, 0.25)]))


def test_figures_are_told_in_the_task_s_order_with_their_meaning(tmp_path: Path) -> None:
    figures = {"seconds": 3.0, "ece_before": 0.2, "other": 5, "ece": 0.1, "mpjpe": 2.5}
    (tmp_path / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
    seen: list[RunFolder] = []

    def report(run: RunFolder) -> TaskReport:
        seen.append(run)
        return TaskReport(beside="mirrored", figures_beside={"mpjpe": 3.5})

    data = load_run(tmp_path, FIGURES, report)
    rows = [(row.name, row.after, row.beside, row.lower_is_better) for row in data.figures]
    assert rows == [("mpjpe", 2.5, 3.5, True), ("ece", 0.1, None, True), ("other", 5.0, None, False)]
    assert [row.note for row in data.figures] == [
        "mean distance, px; lower is better",
        "calibration error; lower is better",
        "",
    ]
    assert (data.beside, seen[0].evaluated, seen[0].figures) == ("mirrored", tmp_path, figures)


def test_a_figure_with_a_unit_has_a_chart_of_its_own() -> None:
    log = [
        {"step": s, "eval_mpjpe": 9.0 - s, "eval_pck": 0.1 * s, "eval_ece": 0.2, "eval_seconds": 0.5}
        for s in (1, 2)
    ]
    quality, others = chart_groups(log, FIGURES)
    assert [(chart.title, [line.name for line in chart.legend]) for chart in quality.charts] == [
        ("figures", ["pck", "ece, lower is better"]),
        ("mpjpe, lower is better (px)", ["mpjpe"]),
    ]
    assert [chart.title for chart in others.charts] == ["seconds"]
