"""Marks at steps of a chart: what was found and what happened, as upright lines with short names above them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

MarkKind = Literal["error", "warning", "event"]

LANE = 15
"""Height of a row of names, pixels."""

_MAX_LANES = 6
_MAX_LINES = 300  # more upright lines than pixels say nothing; the list beside the chart counts them
# A name's width as a share of the chart, at the width of a phone.
_CHARACTER, _GAP = 0.023, 0.02


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at a step, with a few characters for a label and a text that is said where it is pointed at."""

    step: float
    label: str
    kind: MarkKind
    text: str = ""


@dataclass(frozen=True, slots=True)
class PlacedMark:
    """A mark with its row, and on which side of its line the name stands; ``None``: without its name."""

    mark: Mark
    lane: int | None
    to_the_left: bool = False


def place_marks(marks: Sequence[Mark], share: Callable[[float], float]) -> list[PlacedMark]:
    """Rows for the names, so that none covers another; what repeats itself is named once.

    Args:
        marks: In any order.
        share: A step as a share of the chart's width.
    """
    ends: list[list[tuple[float, float]]] = [[] for _ in range(_MAX_LANES)]
    named: set[tuple[str, str]] = set()
    placed = []
    # Errors first: where there is no room for all names, theirs are there.
    for mark in sorted(marks, key=lambda m: (m.kind == "event", m.kind == "warning", m.step)):
        at, width = share(mark.step), len(mark.label) * _CHARACTER + _GAP
        left = at + width > 1
        begin, end = (at - width, at) if left else (at, at + width)
        lane = None
        if (mark.kind, mark.label) not in named:
            free = (all(end <= b or begin >= e for b, e in taken) for taken in ends)
            lane = next((i for i, is_free in enumerate(free) if is_free), None)
        if lane is not None:
            ends[lane].append((begin, end))
            named.add((mark.kind, mark.label))
        placed.append(PlacedMark(mark, lane, left))
    return placed


def room_for(placed: Sequence[PlacedMark]) -> int:
    """Height of the rows above the chart, pixels."""
    return LANE * max((p.lane + 1 for p in placed if p.lane is not None), default=0)


def draw_marks(placed: Sequence[PlacedMark], share: Callable[[float], float], bottom: float) -> str:
    """The marks as SVG, from above the chart down to its bottom."""
    lines, names = [], []
    for one in placed[:_MAX_LINES]:
        mark, at = one.mark, f"{100 * share(one.mark.step):.2f}%"
        top = 0 if one.lane is None else -LANE * (one.lane + 1) + 3
        begin = f'<g class="mark of-{mark.kind}">'
        end = f"<title>{escape(mark.text or mark.label)}</title></g>"
        lines.append(f'{begin}<line x1="{at}" x2="{at}" y1="{top}" y2="{bottom:g}"/>{end}')
        if one.lane is not None:
            anchor, off = ("end", -4) if one.to_the_left else ("start", 4)
            place = f'x="{at}" dx="{off}" y="{top + 9}" text-anchor="{anchor}"'
            names.append(f"{begin}<text {place}>{escape(mark.label)}</text>{end}")
    return "".join(lines[::-1] + names)  # errors over what happened, names over all lines
