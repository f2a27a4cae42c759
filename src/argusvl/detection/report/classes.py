"""The report's tables by class: what became of the objects of each, and what they were taken for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from argusvl.detection.measure.figures import PrecisionCurve
from argusvl.detection.measure.pairing import KINDS, Kind

MAX_CONFUSION_CLASSES = 24
"""A larger matrix cannot be read; the list of wrong descriptions can."""

Figure = float | int | str | None


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class: a figure for each column of the table, what became of its objects (kind and percentage of them, right
    ones first), and how many there are of each kind; empty where that was not counted.
    """

    name: str
    figures: Sequence[Figure]
    outcome: Sequence[tuple[Kind, float]]
    kinds: Mapping[str, int]


def class_rows(
    per_class: Mapping[str, Mapping[str, float | int | None]],
    kinds: Mapping[str, Mapping[Kind, int]],
    curves: Mapping[str, PrecisionCurve],
) -> tuple[list[str], list[ClassRow]]:
    """Columns of figures, and a row for each class.

    Args:
        per_class: Figures by class; ``count`` is the number of objects.
        kinds: How many objects of each kind there are, by class.
        curves: By class: they give the greatest F1, and the score from which it is reached.
    """
    columns = list(dict.fromkeys(name for figures in per_class.values() for name in figures))
    # The count is read before the figures, which mean little without it.
    columns.sort(key=lambda name: name != "count")
    rows = []
    for name in dict.fromkeys([*per_class, *kinds]):
        figures: list[Figure] = [per_class.get(name, {}).get(column) for column in columns]
        if curves:
            best = curves[name].best() if name in curves else None
            figures += [best[0], f"{best[1]:.2f}"] if best else [None, None]
        counts: dict[str, int] = {kind: kinds.get(name, {}).get(kind, 0) for kind in KINDS} if kinds else {}
        there = sum(count for kind, count in counts.items() if kind != "false")
        outcome = [
            (kind, 100 * counts[kind] / there)
            for kind in reversed(KINDS)
            if kind != "false" and counts.get(kind)
        ]
        rows.append(ClassRow(name, figures, outcome, counts))
    shown = ["objects" if column == "count" else column for column in columns]
    return shown + (["best F1", "from score"] if curves else []), rows


@dataclass(frozen=True, slots=True)
class Cell:
    """How often something happened, its percentage, and what it is in the page's colours."""

    count: int
    share: float
    kind: Literal["right", "misdescribed", "missed", "false"]


@dataclass(frozen=True, slots=True)
class Confusion:
    """A confusion matrix; ``said``: the classes that were given, and one more column is for what was not found.

    ``rows``: for each class of the truth its cells, as shares of its objects. The last row, without a name, is for
    predictions of nothing, as shares of the predictions of that class; it has no last cell.
    """

    said: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]


def confusion_matrix(
    confusion: Mapping[str, Mapping[str, int]], kinds: Mapping[str, Mapping[Kind, int]]
) -> Confusion | None:
    """The matrix, or ``None`` where it would say nothing or cannot be read.

    Args:
        confusion: By class, which classes were given to those of its objects that were found.
        kinds: How many objects of each kind there are, by class.
    """
    names = list(dict.fromkeys([*kinds, *confusion, *(said for row in confusion.values() for said in row)]))
    if not confusion or not 2 <= len(names) <= MAX_CONFUSION_CLASSES:
        return None
    rows: list[tuple[str, list[Cell]]] = []
    for name in names:
        found = [confusion.get(name, {}).get(said, 0) for said in names]
        lost = sum(kinds.get(name, {}).get(kind, 0) for kind in ("missed", "shifted"))
        there = max(sum(found) + lost, 1)
        cells = [
            Cell(n, 100 * n / there, "right" if said == name else "misdescribed")
            for n, said in zip(found, names, strict=True)
        ]
        rows.append((name, [*cells, Cell(lost, 100 * lost / there, "missed")]))
    nothing = []
    for column, said in enumerate(names):
        false = kinds.get(said, {}).get("false", 0)
        given = false + sum(cells[column].count for _, cells in rows)
        nothing.append(Cell(false, 100 * false / max(given, 1), "false"))
    return Confusion(names, [*rows, ("", nothing)])
