from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from argusvl.run.reading import load_run
from argusvl.visual.curves import chart_groups
from argusvl.visual.health import Health, health_of
from argusvl.visual.report import render_report

LOG: list[dict[str, Any]] = [
    {"step": s, "loss": 4.0 / s, "grad_norm": 2.0, "gn/head": 1.0, "wn/head": 9.0, "ur/head": 1e-3}
    | {
        "memory/rss_mib": 900.0,
        "memory/cuda_allocated_mib": 100.0,
        "seconds/data": 0.1,
        "seconds/forward": 0.2,
    }
    for s in (1, 2, 3)
]
FINDING = {"id": "N-001", "kind": "loss-spike", "severity": "error"} | {
    "where": "<x>",
    "what": "w",
    "remedy": "r",
}
FOUND = {"step": 2, "event": "found", "finding": FINDING}


def health(log: list[dict[str, Any]], events: list[dict[str, Any]] | None) -> Health | None:
    return health_of(log, events, chart_groups(log))


def test_findings_are_marked_on_loss_and_gradient_norm_and_the_costs_are_drawn() -> None:
    shown = health(LOG, [FOUND, {"step": 3, "event": "skipped", "why": "not finite"}])
    assert shown is not None
    assert shown.summary == "1 error. The run: skipped once."
    assert [(g.title, [c.title for c in g.charts]) for g in shown.groups] == [
        ("Time line", ["loss", "gradient norm, before clipping"]),
        ("Gradients and weights", ["gradient norm", "weight norm", "update over weight norm"]),
        ("Memory and time", ["memory, MiB", "seconds of a step"]),
    ]
    assert all("N-001" in chart.svg and "skipped" in chart.svg for chart in shown.groups[0].charts)
    costs = [entry.name for chart in shown.groups[2].charts for entry in chart.legend]
    assert costs == ["rss", "cuda allocated", "data", "forward"]


def test_a_run_without_findings_says_so_and_one_that_kept_no_record_does_not_claim_health() -> None:
    without, unknown = health(LOG, []), health(LOG, None)
    assert without is not None and without.summary == "No finding is recorded."
    assert unknown is not None and "not known" in unknown.summary
    assert health([], None) is None
    only_events = health([], [FOUND])
    assert only_events is not None and not only_events.groups and only_events.findings


def test_a_run_that_is_too_old_for_a_chart_has_none_of_it() -> None:
    shown = health([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}], [])
    assert shown is not None
    assert [c.title for g in shown.groups for c in g.charts] == ["loss"]


def test_the_report_of_a_run_has_the_section_and_no_markup_of_a_finding(tmp_path: Path) -> None:
    (tmp_path / "trainer_state.json").write_text(json.dumps({"global_step": 3, "log_history": LOG}))
    (tmp_path / "events.jsonl").write_text(json.dumps(FOUND) + '\n{"step": 3, "half')
    html = render_report(load_run(tmp_path, {}))
    assert '<section id="health">' in html and "loss-spike" in html
    assert "<x>" not in html
    assert html.count("<figcaption>gradient norm ") == 1  # not once more among the curves of training


def test_trials_of_remedies_are_drawn_and_what_was_kept_is_told() -> None:
    trial = {
        "step": 20,
        "event": "remedy",
        "kind": "learning-rate-too-high",
        "steps": [1, 3],
        "figure": "AP50",
    }
    tried: list[dict[str, Any]] = [
        trial
        | {"change": f"rates times {factor}", "losses_without": [4.0, 5.0, None], "losses_with": losses}
        | {"figures": [0.01, after], "kept": kept}
        for factor, losses, after, kept in (
            (0.1, [4.0, 3.0, 2.5], 0.3, False),
            (0.01, [4.0, 3.5, 3.0], 0.6, True),
        )
    ]
    other = {"step": 21, "event": "remedy", "change": "group head trains", "kept": True}
    shown = health(LOG, [*tried, other])
    assert shown is not None
    (chart,) = next(group.charts for group in shown.groups if group.title == "Remedies")
    assert [(entry.name, entry.last) for entry in chart.legend] == [
        ("no remedy", "AP50 0.01"),
        ("rates times 0.1", "AP50 0.3"),
        ("rates times 0.01", "AP50 0.6, kept"),
    ]
    assert all("3.5" not in one.details for one in shown.happenings)  # curves are drawn, not told


def test_what_is_not_proven_is_called_a_hint_with_its_probability() -> None:
    hint = FINDING | {"severity": "hint", "probability": 0.739}
    shown = health(LOG, [FOUND | {"finding": hint}])
    assert shown is not None and shown.summary == "1 hint."
    assert shown.findings[0].hint == "hint, probability 0.74"
