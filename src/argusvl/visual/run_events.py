"""What a run's ``events.jsonl`` says of its health: findings, and what was done about a step.

A finding is an event ``found``: ``{"event": "found", "step": N, "finding": {"id", "kind", "severity", "where", "what",
"remedy", …}}``. What is routine (started, saved, evaluated, finished) is no matter of health. An event that is not
known here is shown by its name, with what it brings along: newer versions write more than older ones know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from argusvl.core.strict_json import finite_number
from argusvl.visual.marks import Mark, MarkKind
from argusvl.visual.page import grouped_digits

WITHOUT, WITH = "losses_without", "losses_with"
"""The losses in an event ``remedy``; too many to be told in words."""

_ROUTINE = {"started", "saved", "evaluated"}
_NO_DETAILS = {"time", "step", "event", WITH, WITHOUT}
_STEPS_NAMED = 6
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class _AtSteps:
    """Something at some steps, ascending."""

    steps: Sequence[int]

    @property
    def when(self) -> str:
        """The steps in words."""
        shown = ", ".join(map(grouped_digits, self.steps[:_STEPS_NAMED]))
        more = len(self.steps) - _STEPS_NAMED
        told = f" and {grouped_digits(more)} more" if more > 0 else ""
        return f"step{'s' if len(self.steps) > 1 else ''} {shown}{told}"


@dataclass(frozen=True, slots=True)
class Found(_AtSteps):
    """A finding, at all steps at which it was made.

    Attributes:
        id: Of the catalogue.
        severity: ``error``, or ``warning`` for all that may be wrong.
        hint: For what is not proven: that it is a hint, with its probability.
        what: The first one's words.
    """

    id: str
    slug: str
    severity: MarkKind
    hint: str
    where: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Happened(_AtSteps):
    """What the run did, at all steps at which it did so for the same reason."""

    name: str
    details: str


def findings_of(events: Iterable[Mapping[str, Any]]) -> list[Found]:
    """The findings, errors first; the same kind at the same place once, with all its steps."""
    together: dict[tuple[str, str], tuple[Mapping[str, Any], set[int]]] = {}
    for event in events:
        found = event.get("finding")
        if event.get("event") == "found" and isinstance(found, Mapping):
            key = _text(found.get("id")), _text(found.get("where"))
            together.setdefault(key, (found, set()))[1].add(_step(event))
    rows = [
        Found(
            id=_text(one.get("id")) or "?",
            slug=_text(one.get("kind")),
            severity="error" if one.get("severity") == "error" else "warning",
            hint=_hint(one),
            where=_text(one.get("where")),
            what=_text(one.get("what")),
            remedy=_text(one.get("remedy")),
            steps=sorted(steps),
        )
        for one, steps in together.values()
    ]
    return sorted(rows, key=lambda row: (row.severity != "error", row.steps[0]))


def happenings_of(events: Iterable[Mapping[str, Any]]) -> list[Happened]:
    """What else is no routine, in the order in which it first happened."""
    together: dict[tuple[str, str], set[int]] = {}
    for event in events:
        name = _text(event.get("event"))
        finished = name == "stopped" and event.get("why") == "finished"
        if name and name != "found" and name not in _ROUTINE and not finished:
            together.setdefault((name.replace("_", " "), _details(event)), set()).add(_step(event))
    return [Happened(sorted(steps), name, details) for (name, details), steps in together.items()]


def marks_of(findings: Iterable[Found], happenings: Iterable[Happened]) -> list[Mark]:
    """All of them as marks on a chart."""
    found = [
        Mark(step, one.id, one.severity, f"{one.id}, step {step}: {one.what}\n{one.where}".rstrip())
        for one in findings
        for step in one.steps
    ]
    return found + [
        Mark(step, one.name, "event", f"{one.name}, step {step}\n{one.details}".rstrip())
        for one in happenings
        for step in one.steps
    ]


def _hint(found: Mapping[str, Any]) -> str:
    if found.get("severity") != "hint":
        return ""
    probability = finite_number(found.get("probability"))
    return "hint" if probability is None else f"hint, probability {probability:.2f}"


def _details(event: Mapping[str, Any]) -> str:
    """What belongs to the event, the reason first; long lists (of samples) are shortened."""
    parts = []
    for name in sorted((n for n in event if n not in _NO_DETAILS), key=lambda n: n != "why"):
        text = _text(event[name])
        # Samples differ from step to step; the file has them, and the same reason is one row.
        if text and name != "samples":
            parts.append(text if name == "why" else f"{name.replace('_', ' ')} {text}")
    return "; ".join(parts)


def _step(event: Mapping[str, Any]) -> int:
    return int(finite_number(event.get("step")) or 0)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    elif isinstance(value, list):
        value = ", ".join(map(_text, value))
    elif isinstance(value, bool):
        value = "yes" if value else "no"
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
