"""The report of a run: one HTML file that needs nothing else, to be kept, sent and opened anywhere.

Pictures, charts, scripts and the glyphs of the labels are inside the file; nothing is fetched, and the page's own
security policy forbids it. Boxes are drawn as SVG over the pictures, so that they stay sharp. Without JavaScript the
page shows the same pictures, charts and tables, and nothing can be switched.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from argusvl.core.files import write_text_atomically
from argusvl.core.logging import get_logger
from argusvl.visual.classes import class_rows, confusion_matrix
from argusvl.visual.curves import Chart, ChartGroup, chart_groups
from argusvl.visual.glyphs import embedded_font
from argusvl.visual.page import grouped_digits, page_environment, script_sources, security_policy
from argusvl.visual.pairing import Kind
from argusvl.visual.pictures import GalleryItem, Picture, gallery_data, make_pictures
from argusvl.visual.plots import format_number
from argusvl.visual.scored_curves import (
    Calibration,
    PrecisionCurve,
    f1_chart,
    precision_chart,
    reliability_chart,
)

logger = get_logger(__name__)

_SCRIPTS = ("theme.js", "charts.js", "tables.js", "gallery.js")
MAX_MISDESCRIBED = 15
"""So many wrong descriptions are listed."""

_MAX_WARNINGS = 3

KIND_MEANINGS = {
    "missed": "annotated, and nothing was found",
    "false": "found where nothing is annotated",
    "shifted": "found, but the box is beside its object (IoU below 0.5)",
    "misdescribed": "found, with another description",
    "right": "found, with the same description",
}


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One quality figure.

    Attributes:
        name: E.g. ``AP50``.
        before: Before training; ``None`` where it was not measured.
        after: After training; ``None`` where it was not measured.
        note: What it means, in a few words.
        taught: After training, with teachers in the prompt; ``None`` where it was not measured.
    """

    name: str
    before: float | None
    after: float | None
    note: str = ""
    taught: float | None = None


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that a report says.

    Attributes:
        title: The run's name.
        subtitle: One line about it.
        figures: Quality before and after training.
        measured_on: The data of these figures, in words.
        teachers: Number of teachers in the prompts of the figures with teachers.
        facts: Other numbers and names, e.g. how long it took.
        log_history: The training log: dictionaries with ``step`` and what was logged then.
        per_class: Figures by class.
        kinds: By class, how many objects of each kind there are (:data:`~argusvl.visual.pairing.KINDS`).
        confusion: By class, which classes were given to its objects.
        misdescribed: What was said in place of what, and how often; most frequent first.
        gallery: Pictures with truth and predictions.
        gallery_total: Number of pictures that those of the gallery were chosen from; ``None`` where it is not known.
        gallery_note: How they were chosen, e.g. ``spread evenly over the file``.
        score_threshold: From where predictions of the gallery count as such.
        precision_recall: By class.
        calibration: How far scores can be believed: by the name of the score.
        calibration_note: On what data that was measured.
        configuration: The run's configuration as text.
        environment: Versions and devices.
    """

    title: str
    subtitle: str = ""
    figures: Sequence[FigureRow] = ()
    measured_on: str = ""
    teachers: int = 0
    facts: Mapping[str, float | int | str] = field(default_factory=dict)
    log_history: Sequence[Mapping[str, Any]] = ()
    per_class: Mapping[str, Mapping[str, float | int | None]] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    confusion: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    misdescribed: Sequence[tuple[str, str, int]] = ()
    gallery: Sequence[GalleryItem] = ()
    gallery_total: int | None = None
    gallery_note: str = ""
    score_threshold: float = 0.0
    precision_recall: Mapping[str, PrecisionCurve] = field(default_factory=dict)
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    calibration_note: str = ""
    configuration: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def write_report(data: ReportData, path: str | Path) -> Path:
    """Writes the report; what was there is replaced only when the new one is complete.

    Args:
        data: What it says.
        path: The HTML file.

    Returns:
        The file.

    Raises:
        ArgusError: The file cannot be written.
    """
    target = Path(path)
    write_text_atomically(target, render_report(data))
    return target


def render_report(data: ReportData) -> str:
    """The report as HTML text."""
    environment = page_environment()
    environment.filters |= {"number": _shown, "bar": _bar, "fact": _fact}
    scripts = script_sources(environment, _SCRIPTS)
    pictures, unusable = make_pictures(data.gallery, data.score_threshold)
    for reason in unusable[:_MAX_WARNINGS]:
        logger.warning("a picture of the gallery is left out: %s", reason)
    if len(unusable) > _MAX_WARNINGS:
        logger.warning("so are %d others", len(unusable) - _MAX_WARNINGS)
    groups = chart_groups(data.log_history)
    scored = _scored_charts(data)
    return environment.get_template("report.html.jinja").render(
        kind_of_page="Argus report",
        data=data,
        policy=security_policy(scripts.values()),
        scripts=scripts,
        font=Markup(embedded_font(_texts(data, [*groups, ChartGroup("", "", scored)]))),
        trained=any(row.before is not None for row in data.figures),
        tiles=[row for row in data.figures if row.after is not None][:4],
        classes=class_rows(data.per_class, data.kinds, data.precision_recall),
        confusion=confusion_matrix(data.confusion, data.kinds),
        misdescribed=data.misdescribed[:MAX_MISDESCRIBED],
        kinds=KIND_MEANINGS,
        pictures=pictures,
        unusable=unusable,
        to_see=_to_see(pictures),
        gallery=gallery_data(pictures, data.score_threshold),
        chosen=_how_chosen(data, pictures, len(unusable)),
        scored=scored,
        groups=groups,
    )


def _to_see(pictures: Sequence[Picture]) -> set[tuple[str, Kind]]:
    """Classes and descriptions with a kind that the gallery has an example of."""
    pairs = [pair for picture in pictures for pair in picture.pairs]
    return {(text, pair.kind) for pair in pairs for text in (pair.class_name, pair.label)}


def _how_chosen(data: ReportData, pictures: Sequence[Picture], unusable: int) -> str:
    """How many of how many pictures are shown, and which."""
    shown, total = len(pictures), data.gallery_total
    if shown < len(data.gallery) - unusable:
        of = total or len(data.gallery)
        return f"{shown} of {of} pictures: those with the most errors, as many as a page can carry."
    if total is None:
        return f"{shown} pictures, those with the most errors first."
    if shown >= total:
        return f"All {total} pictures, those with the most errors first."
    note = f" ({data.gallery_note})" if data.gallery_note else ""
    return f"{shown} of {total} pictures{note}, those with the most errors first."


def _scored_charts(data: ReportData) -> list[Chart]:
    charts = []
    if data.precision_recall:
        counts = {name: int(figures.get("count") or 0) for name, figures in data.per_class.items()}
        charts.append(precision_chart(data.precision_recall, counts))
        if all(curve.f1 for curve in data.precision_recall.values()):
            charts.append(f1_chart(data.precision_recall, counts))
    return charts + [
        reliability_chart(f"accuracy over {name}", calibration)
        for name, calibration in data.calibration.items()
    ]


def _texts(data: ReportData, groups: Sequence[ChartGroup]) -> Iterable[str]:
    """Every text of the report that users wrote."""
    yield from (data.title, data.subtitle, data.gallery_note, data.calibration_note, data.configuration)
    yield from (text for row in data.figures for text in (row.name, row.note))
    yield from (str(value) for pair in (*data.facts.items(), *data.environment.items()) for value in pair)
    yield from (*data.per_class, *data.kinds, *data.confusion, data.measured_on)
    yield from (text for truth, said, _ in data.misdescribed for text in (truth, said))
    for item in data.gallery:
        yield item.caption
        yield from (text for box in (*item.truth, *item.predicted) for text in (box.label, box.counted_as))
    for chart in (chart for group in groups for chart in group.charts):
        yield from (chart.title, *(entry.name for entry in chart.legend))


def _shown(value: Any) -> str:
    """A table's cell: numbers short, texts as they are, nothing as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return grouped_digits(value)
    return f"{value:.3f}" if 0 <= value <= 1 else format_number(value)


def _fact(name: str, value: Any) -> tuple[str, str]:
    """A fact's name and value; seconds as a time that one can imagine."""
    seconds = isinstance(value, int | float) and math.isfinite(value) and name.endswith("_seconds")
    if not seconds:
        return name.replace("_", " "), _shown(value)
    title = name.removesuffix("_seconds").replace("_", " ") + " time"
    whole = round(value)
    if value < 60:
        return title, f"{value:.1f} s"
    if whole < 3600:
        return title, f"{whole // 60} min {whole % 60} s"
    return title, f"{whole // 3600} h {whole % 3600 // 60} min"


def _bar(value: Any) -> float | None:
    """Percentage of a share, for the bar behind it; ``None`` for what is no share."""
    if isinstance(value, float) and 0 <= value <= 1:
        return round(100 * value, 1)
    return None
