from __future__ import annotations

from typing import Any

from argusvl.visual.run_events import findings_of, happenings_of, marks_of


def found(step: int, number: str, **fields: Any) -> dict[str, Any]:
    finding = {"id": number, "kind": "a-slug", "severity": "warning", "where": "head", "what": "w"}
    finding |= {"remedy": "r", **fields}
    return {"time": "t", "step": step, "event": "found", "finding": finding}


EVENTS: list[dict[str, Any]] = [
    {"step": 0, "event": "started", "max_steps": 9},
    found(4, "N-002"),
    found(3, "N-002", what="later"),
    found(5, "N-001", severity="error"),
    found(6, "N-002", where="tower"),
    {"step": 5, "event": "skipped", "why": "loss is not finite", "samples": ["a"]},
    {"step": 6, "event": "skipped", "why": "loss is not finite", "samples": ["b"]},
    {"step": 6, "event": "rolled_back", "why": "piled up", "to": 4},
    {"step": 7, "event": "yet_unknown", "with": {"rate": 0.5}},
    {"step": 8, "event": "saved", "checkpoint": "checkpoint-8"},
    {"step": 9, "event": "stopped", "why": "finished"},
]


def test_the_same_finding_at_one_place_is_one_with_all_its_steps_and_errors_come_first() -> None:
    rows = findings_of(EVENTS)
    assert [(r.id, r.where, list(r.steps)) for r in rows] == [
        ("N-001", "head", [5]),
        ("N-002", "head", [3, 4]),
        ("N-002", "tower", [6]),
    ]
    assert (rows[1].when, rows[1].what, rows[1].slug, rows[1].remedy) == ("steps 3, 4", "w", "a-slug", "r")


def test_what_is_no_routine_is_told_and_what_is_not_known_as_well() -> None:
    assert [(h.name, h.details, list(h.steps)) for h in happenings_of(EVENTS)] == [
        ("skipped", "loss is not finite", [5, 6]),
        ("rolled back", "piled up; to 4", [6]),
        ("yet unknown", "with rate 0.5", [7]),
    ]
    stopped = [{"step": 3, "event": "stopped", "why": "interrupted"}]
    assert [h.details for h in happenings_of(stopped)] == ["interrupted"]


def test_each_step_of_each_has_a_mark() -> None:
    marks = marks_of(findings_of(EVENTS), happenings_of(EVENTS))
    assert [(m.step, m.label, m.kind) for m in marks] == [
        *((5, "N-001", "error"), (3, "N-002", "warning"), (4, "N-002", "warning"), (6, "N-002", "warning")),
        *((5, "skipped", "event"), (6, "skipped", "event"), (6, "rolled back", "event")),
        (7, "yet unknown", "event"),
    ]


def test_events_without_the_fields_that_they_should_have_are_shown_as_far_as_they_go() -> None:
    (row,) = findings_of([{"event": "found", "finding": {}}, {"event": "found", "finding": "text"}, {}])
    assert (row.id, row.severity, list(row.steps)) == ("?", "warning", [0])
    assert happenings_of([{}, {"event": 3, "step": "x"}])[0].name == "3"
