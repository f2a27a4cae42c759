"""The sections of a report that show boxes, classes and scores.

Boxes are drawn as SVG over the pictures, so that they stay sharp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from argusvl.core.figures import FIGURES_FILE
from argusvl.core.logging import get_logger
from argusvl.core.strict_json import finite_number
from argusvl.detection.measure.figures import PrecisionCurve
from argusvl.detection.measure.reliability import CALIBRATION, Reliability
from argusvl.detection.report.classes import class_rows, confusion_matrix
from argusvl.detection.report.evaluation_files import (
    NO_GALLERY,
    Gallery,
    load_calibrations,
    load_gallery,
    load_precision_recall,
)
from argusvl.detection.report.pictures import GalleryItem, Picture, gallery_data, make_pictures, source_of
from argusvl.detection.report.scored_curves import f1_chart, precision_chart, reliability_chart
from argusvl.run.layout import SUMMARY_FILE
from argusvl.visual.json_files import bad_value
from argusvl.visual.page import page_environment
from argusvl.visual.sections import RunFolder, Section, TaskReport

logger = get_logger(__name__)

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
class BoxData:
    """What an evaluation says of boxes, classes and scores; ``calibration`` is by the name of the score, ``items`` are
    the gallery's pictures.
    """

    per_class: Mapping[str, Mapping[str, float | int | None]] = field(default_factory=dict)
    gallery: Gallery = NO_GALLERY
    items: Sequence[GalleryItem] = ()
    precision_recall: Mapping[str, PrecisionCurve] = field(default_factory=dict)
    calibration: Mapping[str, Reliability] = field(default_factory=dict)
    calibration_note: str = ""


def task_report(run: RunFolder) -> TaskReport:
    """The sections of a run, and the figures with teachers, or of the written answers, where they were measured.

    Raises:
        DataError: A file of the evaluation is damaged.
    """
    taught, text = _beside(run, "with_teachers"), _beside(run, "text")
    teachers = int(finite_number(taught.get("teachers")) or 0)
    beside, figures = (f"with {teachers} teachers", taught) if teachers else ("as written text", text)
    return TaskReport(box_sections(load_box_data(run)), beside if figures else "", figures)


def _beside(run: RunFolder, name: str) -> dict[str, Any]:
    """Figures that were measured another way, if they were."""
    value = run.figures.get(name)
    if value is not None and not isinstance(value, dict):
        raise bad_value(run.evaluated / FIGURES_FILE, f"field '{name}'", value, "write an object of figures")
    return value or {}


def load_box_data(run: RunFolder) -> BoxData:
    """Reads what ``argus eval --out`` has left.

    Raises:
        DataError: A file of the evaluation is damaged.
    """
    per_class = run.figures.get("per_class") or run.summary.get("per_class") or {}
    # A training run measures the calibration of its scores itself.
    measured = (run.evaluated / CALIBRATION).is_file()
    calibration, note = load_calibrations(run.evaluated if measured else run.folder)
    gallery, items = load_gallery(run.evaluated)
    return BoxData(
        per_class=_per_class(run, per_class),
        gallery=gallery,
        items=items,
        precision_recall=load_precision_recall(run.evaluated),
        calibration=calibration,
        calibration_note=note,
    )


def box_sections(data: BoxData) -> list[Section]:
    """The classes within the overview, the pictures, the scores: each where there is anything to show."""
    environment = page_environment(__package__)
    pictures, unusable = make_pictures(data.items, data.gallery.score_threshold)
    for reason in unusable[:_MAX_WARNINGS]:
        logger.warning("a picture of the gallery is left out: %s", reason)
    if len(unusable) > _MAX_WARNINGS:
        logger.warning("so are %d others", len(unusable) - _MAX_WARNINGS)
    sections = [
        _classes(data, pictures, environment),
        _pictures(data, pictures, unusable, environment),
        _scores(data, environment),
    ]
    return [section for section in sections if section is not None]


def _classes(data: BoxData, pictures: Sequence[Picture], environment: Environment) -> Section | None:
    gallery = data.gallery
    classes = class_rows(data.per_class, gallery.kinds, data.precision_recall)
    confusion = confusion_matrix(gallery.confusion, gallery.kinds)
    if not (classes[1] or confusion or gallery.misdescribed):
        return None
    html = environment.get_template("classes.html.jinja").render(
        classes=classes,
        confusion=confusion,
        misdescribed=gallery.misdescribed[:MAX_MISDESCRIBED],
        kinds=gallery.kinds,
        score_threshold=gallery.score_threshold,
        # Classes and descriptions with a kind that the gallery has an example of.
        to_see={
            (text, pair.kind)
            for picture in pictures
            for pair in picture.pairs
            for text in (pair.class_name, pair.label)
        },
    )
    return Section("classes", "", Markup(html))


def _pictures(
    data: BoxData, pictures: Sequence[Picture], unusable: Sequence[str], environment: Environment
) -> Section | None:
    if not data.items:
        return None
    html = environment.get_template("pictures.html.jinja").render(
        pictures=pictures,
        unusable=unusable,
        chosen=_how_chosen(data, len(pictures), len(unusable)),
        kinds=KIND_MEANINGS,
        gallery=gallery_data(pictures, data.gallery.score_threshold),
    )
    style, script = (source_of(environment, name) for name in ("gallery.css", "gallery.js"))
    return Section("pictures", "Pictures", Markup(html), style, script)


def _scores(data: BoxData, environment: Environment) -> Section | None:
    charts, curves = [], data.precision_recall
    if curves:
        counts = {name: int(figures.get("count") or 0) for name, figures in data.per_class.items()}
        charts.append(precision_chart(curves, counts))
        if all(curve.f1 for curve in curves.values()):
            charts.append(f1_chart(curves, counts))
    charts += [reliability_chart(f"accuracy over {name}", one) for name, one in data.calibration.items()]
    if not charts:
        return None
    html = environment.get_template("scores.html.jinja").render(
        charts=charts,
        precision_recall=curves,
        calibration=data.calibration,
        calibration_note=data.calibration_note,
    )
    return Section("scores", "Scores", Markup(html))


def _how_chosen(data: BoxData, shown: int, unusable: int) -> str:
    """How many of how many pictures are shown, and which."""
    total, count = data.gallery.images_total, len(data.items)
    if shown < count - unusable:
        return f"{shown} of {total} pictures: those with the most errors, as many as a page can carry."
    if shown >= total:
        return f"All {total} pictures, those with the most errors first."
    worst = sum(one.chosen == "errors" for one in data.gallery.images)
    spread = f"the {worst} with the most errors, and {count - worst} spread evenly over the others"
    return f"{shown} of {total} pictures ({spread}), those with the most errors first."


def _per_class(run: RunFolder, value: Any) -> dict[str, dict[str, float | int | None]]:
    if not isinstance(value, dict) or not all(isinstance(figures, dict) for figures in value.values()):
        measured = run.figures.get("per_class") and (run.evaluated / FIGURES_FILE).is_file()
        file = run.evaluated / FIGURES_FILE if measured else run.folder / SUMMARY_FILE
        raise bad_value(file, "field 'per_class'", value, 'write {"class": {"AP50": number, …}, …}')
    return {
        str(name): {
            key: figure
            for key, figure in figures.items()
            if figure is None or (isinstance(figure, int | float) and not isinstance(figure, bool))
        }
        for name, figures in value.items()
    }
