"""Measured rows as tables: Markdown, CSV, LaTeX, JSON. The same rows give the same bytes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from argusvl.core.wording import counted, printable
from argusvl.recognition.few_shot.evaluation import MEASURES, Row, Spread

_TITLES = {"accuracy": "Accuracy (%)", "auroc": "AUROC", "fpr95": "FPR95", "oscr": "OSCR"}
_ALL = "all"
"""What stands for the category in a line of the total."""

_MARKDOWN = re.compile(r"[\\`*<>\[\]~&|]|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown would not show; an underscore within a word it shows."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def markdown(rows: Sequence[Row]) -> str:
    """Each measure by category, then the totals."""
    parts = []
    for title, head, lines in _tables(rows):
        cells = [head, ["---"] * 2 + ["---:"] * (len(head) - 2), *lines]
        text = "\n".join(f"| {' | '.join(_markdown_cell(cell) for cell in line)} |" for line in cells)
        parts.append(f"### {title}\n\n{text}\n")
    return "\n".join(parts)


def latex(rows: Sequence[Row]) -> str:
    """The same as ``tabular`` environments, which need no package."""
    parts = []
    for title, head, lines in _tables(rows):
        body = [" & ".join(_latex_cell(cell) for cell in line) + r" \\" for line in (head, *lines)]
        begin = [f"% {title}", rf"\begin{{tabular}}{{ll{'r' * (len(head) - 2)}}}", r"\hline"]
        end = [r"\hline", r"\end{tabular}", ""]
        parts.append("\n".join([*begin, body[0], r"\hline", *body[1:], *end]))
    return "\n".join(parts)


def comma_separated(rows: Sequence[Row]) -> str:
    """A line for each row, figures as fractions; the category of the total is empty."""
    measures = _measures(rows)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = [name for measure in measures for name in (measure, _std_name(measure))]
    writer.writerow(["backbone", "category", "shots", "queries", *columns])
    for row in rows:
        spreads = [row.figures[measure] for measure in measures]
        values = ["" if v is None else f"{v:.6f}" for spread in spreads for v in (spread.mean, spread.std)]
        writer.writerow([row.backbone, row.category or "", row.shots, f"{row.queries:g}", *values])
    return stream.getvalue()


FORMATS: Mapping[str, Callable[[Sequence[Row]], str]] = {
    "markdown": markdown,
    "csv": comma_separated,
    "latex": latex,
}


def to_json(rows: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """``rows`` of the categories and ``total``, JSON-ready; figures are fractions, ``std`` is the accuracy's."""
    found: dict[str, list[dict[str, Any]]] = {"rows": [], "total": []}
    for row in rows:
        line: dict[str, Any] = {"backbone": row.backbone, "category": row.category, "shots": row.shots}
        if row.category is None:
            del line["category"]
        line["queries"] = round(row.queries, 2)
        for measure in MEASURES:
            if measure in row.figures:
                spread = row.figures[measure]
                line[measure] = round(spread.mean, 6)
                line[_std_name(measure)] = None if spread.std is None else round(spread.std, 6)
        if row.per_class:
            line["per_class"] = {label: round(value, 6) for label, value in row.per_class.items()}
        found["total" if row.category is None else "rows"].append(line)
    return found


def _tables(rows: Sequence[Row]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, head and lines of each table."""
    measures = _measures(rows)
    shots = list(dict.fromkeys(row.shots for row in rows))
    backbones = list(dict.fromkeys(row.backbone for row in rows))
    categories = list(dict.fromkeys(row.category for row in rows if row.category is not None))
    by_place = {(row.category, row.backbone, row.shots): row for row in rows}
    found = []
    for measure in measures:
        lines = [
            [
                _ALL if category is None else category,
                backbone,
                *(_shown(by_place[category, backbone, s].figures[measure], measure) for s in shots),
            ]
            for category in (*categories, *([None] if len(categories) > 1 else []))
            for backbone in backbones
        ]
        head = ["Category", "Backbone", *(counted(s, "shot") for s in shots)]
        found.append((f"{_TITLES[measure]} by category", head, lines))
    totals = [
        [
            backbone,
            str(s),
            *(_shown(by_place[None, backbone, s].figures[measure], measure) for measure in measures),
        ]
        for backbone in backbones
        for s in shots
    ]
    found.append(("Total", ["Backbone", "Shots", *(_TITLES[measure] for measure in measures)], totals))
    return found


def _measures(rows: Sequence[Row]) -> list[str]:
    return [measure for measure in MEASURES if measure in rows[0].figures]


def _std_name(measure: str) -> str:
    return "std" if measure == "accuracy" else f"{measure}_std"


def _shown(spread: Spread, measure: str) -> str:
    factor, digits = (100, 1) if measure == "accuracy" else (1, 3)
    mean = f"{factor * spread.mean:.{digits}f}"
    return mean if spread.std is None else f"{mean} ± {factor * spread.std:.{digits}f}"


def _markdown_cell(text: str) -> str:
    """Text that stays in its cell and is shown as it is; a line break in a name is shown as its escape."""
    return _MARKDOWN.sub(r"\\\g<0>", printable(text))


def _latex_cell(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in printable(text))
    return escaped.replace("±", r"$\pm$")
