"""Reading what a run has left in its folder, for the report.

All parts are optional; a report is made of what is there.

``checkpoint-*/trainer_state.json``
    Written by the trainer. The one with the most steps is read; its ``log_history`` gives the curves.
``summary.json``
    ``{"before": {figure: number, …}, "after": {…, "per_class": {class: {figure: number}}}, fact: number, …}``.
    ``before`` and ``after`` are figures as ``argus eval --json`` writes them; everything else that is a number or a
    text is shown as a fact. Figures that are ``null`` were not to be had.
``figures.json``
    As ``argus eval --out`` writes it. Gives ``after`` where the summary has none.
``gallery.json``
    ``{"score_threshold": number, "images_total": number, "kinds": {class: {kind: number}}, "images": [{"image": path,
    "truth": [{"bbox_2d": [x1, y1, x2, y2], "desc": "…", "label": "…"}], "predictions": [{"bbox_2d": […],
    "desc": "…", "label": "…", "score": number}]}]}``, or the list of images alone. Boxes are pixels of the stored
    image; paths are absolute or relative to the folder. ``label`` is the class; without it the first ``/`` segment
    of ``desc`` is. A prediction without ``desc`` is shown by its ``label``.
``precision_recall.json``
    ``{"iou": 0.5, "classes": {class: {"precision": [numbers], "scores": [numbers]}}}``, at equally spaced recalls
    from 0 to 1, as ``argus eval --out`` writes it.
``calibration.json``
    ``{"bins": [{"confidence": number, "accuracy": number, "count": number}], "ece": number, "ece_before": number or
    null, "bins_before": [the same] or null, "types": the same for label scores, "measured_on": text}``. The last two
    may be left out; the accuracy of an empty bin may be ``null``, and so may ``ece`` where nothing was predicted.
``config.yaml``
    The run's configuration, shown as it is.
``environment.json``
    Versions and devices, as ``argus env --json`` writes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from argusvl.core.errors import ArgusError, DataError
from argusvl.visual.pairing import KINDS, LabelledBox
from argusvl.visual.pictures import GalleryItem
from argusvl.visual.report import FigureRow, ReportData
from argusvl.visual.scored_curves import Calibration, PrecisionCurve, ReliabilityBin

TRAINER_STATE = "trainer_state.json"
SUMMARY = "summary.json"
FIGURES = "figures.json"
GALLERY = "gallery.json"
PRECISION_RECALL = "precision_recall.json"
CALIBRATION = "calibration.json"
CONFIGURATION = "config.yaml"
ENVIRONMENT = "environment.json"

_NOTES = {
    "AP": "mean over classes and IoU 0.50 to 0.95",
    "AP50": "mean over classes, IoU 0.50",
    "AP75": "mean over classes, IoU 0.75",
    "AR100": "recall over IoU 0.50 to 0.95, at most 100 boxes an image",
    "AP50_agnostic": "all classes taken as one, IoU 0.50",
    "caption_exact": "found objects described to the character",
    "recall": "objects with a box at IoU 0.50",
    "ece": "calibration error: how far scores are from the share that is right; lower is better",
}
_COUNTS = ("images", "objects")  # of the evaluation: facts, not figures


def load_run(run: str | Path) -> ReportData:
    """What a run's folder holds.

    Args:
        run: The folder.

    Raises:
        ArgusError: There is no such folder, or nothing in it that a report could show.
        DataError: A file in it is damaged.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise ArgusError("no such run folder", where=folder, remedy="name the output_dir of a run")
    log_history, subtitle = _log(folder)
    summary = _object(folder / SUMMARY)
    figures = _object(folder / FIGURES)
    gallery = _gallery(folder)
    if not log_history and not (folder / SUMMARY).is_file() and not figures and not gallery.items:
        raise ArgusError(
            f"holds nothing to report: neither checkpoint-*/{TRAINER_STATE} nor {SUMMARY}, {FIGURES} or {GALLERY}",
            where=folder,
            remedy="name the output_dir of a run that has saved a checkpoint",
        )
    before, after = _figures(folder, summary, figures, log_history)
    facts = {
        name: value
        for name, value in summary.items()
        if isinstance(value, int | float | str)
        and not isinstance(value, bool)
        and name not in _lowered(after)
    }
    evaluated = {**figures, **after}
    facts |= {
        f"{name} evaluated": evaluated[name] for name in _COUNTS if isinstance(evaluated.get(name), int)
    }
    configuration = folder / CONFIGURATION
    calibration = _object(folder / CALIBRATION)
    return ReportData(
        title=folder.resolve().name,
        subtitle=subtitle,
        figures=_rows(before, after),
        facts=facts,
        log_history=log_history,
        per_class=_per_class(folder, summary.get("per_class") or after.get("per_class") or {}),
        kinds=gallery.kinds,
        gallery=gallery.items,
        gallery_total=gallery.total,
        gallery_note=gallery.note,
        score_threshold=gallery.score_threshold,
        precision_recall=_precision_recall(folder / PRECISION_RECALL),
        calibration=_calibrations(folder / CALIBRATION, calibration),
        calibration_note=str(calibration.get("measured_on") or ""),
        configuration=configuration.read_text(encoding="utf-8") if configuration.is_file() else "",
        environment=_flat(_object(folder / ENVIRONMENT)),
    )


def _log(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """The log of the checkpoint that is furthest, and how far that is."""
    history: list[dict[str, Any]] = []
    furthest, subtitle = 0, ""
    for file in sorted([*folder.glob(f"checkpoint-*/{TRAINER_STATE}"), *folder.glob(TRAINER_STATE)]):
        state = _read(file)
        found = state.get("log_history") if isinstance(state, dict) else None
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise _bad(file, "field 'log_history'", found, "remove this checkpoint, or restore the file")
        steps = int(state.get("global_step") or 0)
        if steps >= furthest:
            history, furthest = found, steps
            subtitle = f"{_grouped(steps)} training steps" if steps else ""
            best = state.get("best_global_step")
            if subtitle and isinstance(best, int) and best:
                subtitle += ", the last one best" if best == steps else f", best at step {_grouped(best)}"
    return history, subtitle


def _figures(
    folder: Path,
    summary: Mapping[str, Any],
    measured: Mapping[str, Any],
    log_history: list[dict[str, Any]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures before and after training.

    Without a summary, what ``argus eval`` has measured, or else the log's last evaluation.
    """
    both = []
    for name in ("before", "after"):
        figures = summary.get(name) or {}
        if not isinstance(figures, dict):
            raise _bad(folder / SUMMARY, f"field '{name}'", figures, "write an object of figures")
        both.append(figures)
    before, after = both
    after = after or {k: v for k, v in measured.items() if k not in ("seconds", "images_per_second")}
    if not after:
        evaluations = [e for e in log_history if any(k in e for k in ("eval_AP50", "eval_AP"))]
        if evaluations:
            last = evaluations[-1]
            after = {
                k.removeprefix("eval_"): v for k, v in last.items() if k.startswith("eval_") and "/" not in k
            }
            after = {k: v for k, v in after.items() if k in _NOTES}
    return before, after


def _rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FigureRow]:
    """The figures that are known by name in their order, then others."""
    names = [
        n
        for n in ("AP50", "AP", "caption_exact", "recall", "AP75", "AR100", "AP50_agnostic", "ece")
        if n in after
    ]
    names += [
        n for n in (*after, *before) if n not in names and _number(after.get(n, before.get(n))) is not None
    ]
    return [
        FigureRow(n, _number(before.get(n)), _number(after.get(n)), _NOTES.get(n, ""))
        for n in dict.fromkeys(names)
        if n not in (*_COUNTS, "seconds", "images_per_second", "ece_before")
    ]


def _per_class(folder: Path, value: Any) -> dict[str, dict[str, float | int | None]]:
    if not isinstance(value, dict) or not all(isinstance(figures, dict) for figures in value.values()):
        raise _bad(folder / SUMMARY, "field 'per_class'", value, 'write {"class": {"AP50": number, …}, …}')
    return {
        str(name): {
            key: figure
            for key, figure in figures.items()
            if figure is None or (isinstance(figure, int | float) and not isinstance(figure, bool))
        }
        for name, figures in value.items()
    }


@dataclass(frozen=True, slots=True)
class _Gallery:
    """What ``gallery.json`` holds."""

    items: list[GalleryItem] = field(default_factory=list)
    score_threshold: float = 0.0
    total: int | None = None
    note: str = ""
    kinds: dict[str, dict[str, int]] = field(default_factory=dict)


def _gallery(folder: Path) -> _Gallery:
    file = folder / GALLERY
    value = _read(file)
    if value is None:
        return _Gallery()
    about: dict[str, Any] = {}
    if isinstance(value, dict):
        about, value = value, value.get("images")
    if not isinstance(value, list):
        raise _bad(file, "field 'images'", value, "write a list of images with their truth and predictions")
    total = about.get("images_total")
    return _Gallery(
        items=[_item(folder, file, i, entry) for i, entry in enumerate(value)],
        score_threshold=_number(about.get("score_threshold")) or 0.0,
        total=total if isinstance(total, int) and total >= len(value) else None,
        note=_how_chosen(value),
        kinds=_kinds(file, about.get("kinds", {})),
    )


def _how_chosen(images: list[Any]) -> str:
    """In words, where the file says of each image why it was chosen."""
    worst, spread = (sum(entry.get("chosen") == why for entry in images) for why in ("errors", "spread"))
    if worst + spread < len(images):
        return ""
    return f"the {worst} with the most errors, and {spread} spread evenly over the others"


def _kinds(file: Path, value: Any) -> dict[str, dict[str, int]]:
    """Counts by class and kind; others than the report's kinds are an error, for their sum would be wrong."""
    if not isinstance(value, dict) or not all(isinstance(counts, dict) for counts in value.values()):
        raise _bad(file, "field 'kinds'", value, 'write {"class": {"missed": number, …}, …}')
    for name, counts in value.items():
        for kind, count in counts.items():
            if kind not in KINDS or not isinstance(count, int) or isinstance(count, bool) or count < 0:
                raise _bad(
                    file, f"field 'kinds.{name}.{kind}'", count, f"write a number of {', '.join(KINDS)}"
                )
    return value


def _precision_recall(file: Path) -> dict[str, PrecisionCurve]:
    classes = _object(file).get("classes", {})
    if not isinstance(classes, dict):
        raise _bad(file, "field 'classes'", classes, "write an object with a curve for each class")
    curves: dict[str, PrecisionCurve] = {}
    for name, curve in classes.items():
        given = curve if isinstance(curve, dict) else {}
        precision, scores = given.get("precision"), given.get("scores")
        if not (_shares(precision) and _shares(scores)):
            raise _bad(file, f"field 'classes.{name}'", curve, "write precision and scores, lists of 0 to 1")
        lengths = {len(precision), len(scores), *(len(c.precision) for c in curves.values())}
        if len(lengths) > 1:
            raise _bad(file, f"field 'classes.{name}'", sorted(lengths), "write lists of one length")
        curves[name] = PrecisionCurve(precision, scores)
    return curves


def _calibrations(file: Path, value: Mapping[str, Any]) -> dict[str, Calibration]:
    found = {"score": _calibration(file, "", value) if value else None}
    if value.get("types") is not None:
        found["label score"] = _calibration(file, "types.", value["types"])
    return {name: calibration for name, calibration in found.items() if calibration}


def _calibration(file: Path, place: str, value: Any) -> Calibration | None:
    """``None`` where nothing was predicted."""
    if not isinstance(value, dict):
        raise _bad(file, f"field '{place.rstrip('.')}'", value, "write an object with bins and ece")
    ece, before = value.get("ece"), value.get("ece_before")
    if ece is None and value.get("bins") == []:
        return None
    if not _share(ece) or not (before is None or _share(before)):
        raise _bad(
            file, f"fields '{place}ece' and '{place}ece_before'", [ece, before], "write numbers from 0 to 1"
        )
    bins_before = value.get("bins_before")
    return Calibration(
        bins=_bins(file, f"{place}bins", value.get("bins")),
        ece=ece,
        bins_before=None if bins_before is None else _bins(file, f"{place}bins_before", bins_before),
        ece_before=before,
    )


def _bins(file: Path, field_name: str, value: Any) -> list[ReliabilityBin]:
    if not isinstance(value, list):
        raise _bad(file, f"field '{field_name}'", value, "write a list of bins")
    bins = []
    for i, entry in enumerate(value):
        entry = entry if isinstance(entry, dict) else {}
        confidence, accuracy, count = (entry.get(key) for key in ("confidence", "accuracy", "count"))
        if count == 0:
            continue  # an empty bin has no accuracy
        if not (_share(confidence) and _share(accuracy) and isinstance(count, int) and count > 0):
            remedy = 'write {"confidence": 0 to 1, "accuracy": 0 to 1, "count": number}'
            raise _bad(file, f"field '{field_name}[{i}]'", value[i], remedy)
        bins.append(ReliabilityBin(confidence, accuracy, count))
    return bins


def _item(folder: Path, file: Path, index: int, entry: Any) -> GalleryItem:
    field = f"images[{index}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise _bad(file, f"field '{field}.image'", entry, "write the path of the image")
    path = folder / entry["image"]  # an absolute path stands for itself
    return GalleryItem(
        image=path,
        truth=_boxes(file, f"{field}.truth", entry.get("truth", [])),
        predicted=_boxes(file, f"{field}.predictions", entry.get("predictions", [])),
        caption=path.name,
    )


def _boxes(file: Path, field: str, value: Any) -> list[LabelledBox]:
    if not isinstance(value, list):
        raise _bad(file, f"field '{field}'", value, "write a list of objects")
    boxes = []
    for i, entry in enumerate(value):
        box = entry.get("bbox_2d") if isinstance(entry, dict) else None
        if not isinstance(box, list) or len(box) != 4 or any(_number(v) is None for v in box):
            raise _bad(
                file, f"field '{field}[{i}].bbox_2d'", box, "write four numbers [x1, y1, x2, y2] in pixels"
            )
        label = entry.get("desc") or entry.get("label")
        if not isinstance(label, str):
            raise _bad(file, f"field '{field}[{i}].desc'", label, "write the description, or a label")
        class_name = entry.get("label")
        x1, y1, x2, y2 = (float(v) for v in box)
        boxes.append(
            LabelledBox(
                (x1, y1, x2, y2),
                label,
                _number(entry.get("score")),
                class_name if isinstance(class_name, str) else "",
            )
        )
    return boxes


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested names and values as one list of texts."""
    if not isinstance(value, dict):
        return {}
    flat: dict[str, str] = {}
    for name, item in value.items():
        if isinstance(item, dict):
            flat |= _flat(item)
        else:
            flat[str(name)] = ", ".join(map(str, item)) if isinstance(item, list) else str(item)
    return flat


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


def _lowered(figures: Mapping[str, Any]) -> set[str]:
    """Names under which a summary repeats its figures at the top level."""
    return {name.lower() for name in figures}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _share(value: Any) -> TypeGuard[float]:
    number = _number(value)
    return number is not None and 0 <= number <= 1


def _shares(value: Any) -> TypeGuard[list[float]]:
    return isinstance(value, list) and bool(value) and all(map(_share, value))


def _object(file: Path) -> dict[str, Any]:
    """The object that a file holds; empty if the file is not there."""
    value = _read(file)
    if value is not None and not isinstance(value, dict):
        raise _bad(file, "the file", value, "write one JSON object")
    return value or {}


def _read(file: Path) -> Any:
    """The decoded file; ``None`` if it is not there."""
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            f"not valid JSON: {error}",
            where=file,
            remedy="write the file again, or remove it to report without it",
        ) from None


def _bad(file: Path, what: str, found: Any, remedy: str) -> DataError:
    shown = json.dumps(found, ensure_ascii=False, default=str)
    return DataError(
        f"{what}: found {shown if len(shown) <= 120 else shown[:117] + '…'}", where=file, remedy=remedy
    )
