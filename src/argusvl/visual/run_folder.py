"""Reading what a run has left in its folder, for the report.

All parts are optional; a report is made of what is there.

``checkpoint-*/trainer_state.json``
    Written by the trainer. The one with the most steps is read; its ``log_history`` gives the curves.
``summary.json``
    ``{"before": {figure: number, …}, "after": {…, "per_class": {class: {figure: number}}}, fact: number, …}``.
    ``before`` and ``after`` are figures as ``argus eval --json`` writes them; everything else that is a number or a
    text is shown as a fact. Figures that are ``null`` were not to be had.
``gallery.json``
    ``{"score_threshold": number, "images": [{"image": path, "truth": [{"bbox_2d": [x1, y1, x2, y2], "desc": "…"}],
    "predictions": [{"bbox_2d": […], "desc": "…", "label": "…", "score": number}]}]}``, or the list of images alone.
    Boxes are pixels of the stored image; paths are absolute or relative to the folder. A prediction without ``desc``
    is shown by its ``label``.
``config.yaml``
    The run's configuration, shown as it is.
``environment.json``
    Versions and devices, as ``argus env --json`` writes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argusvl.core.errors import ArgusError, DataError
from argusvl.visual.pairing import LabelledBox
from argusvl.visual.report import FigureRow, GalleryItem, ReportData

TRAINER_STATE = "trainer_state.json"
SUMMARY = "summary.json"
GALLERY = "gallery.json"
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
    log_history, steps = _log(folder)
    summary = _read(folder / SUMMARY)
    if summary is not None and not isinstance(summary, dict):
        raise _bad(folder / SUMMARY, "the file", summary, "write one JSON object")
    gallery, gallery_note = _gallery(folder)
    if not log_history and summary is None and not gallery:
        raise ArgusError(
            f"holds nothing to report: neither checkpoint-*/{TRAINER_STATE} nor {SUMMARY} nor {GALLERY}",
            where=folder,
            remedy="name the output_dir of a run that has saved a checkpoint",
        )
    before, after = _figures(folder, summary or {}, log_history)
    facts = {
        name: value
        for name, value in (summary or {}).items()
        if isinstance(value, int | float | str)
        and not isinstance(value, bool)
        and name not in _lowered(after)
    }
    facts |= {f"{name} evaluated": after[name] for name in _COUNTS if isinstance(after.get(name), int)}
    configuration = folder / CONFIGURATION
    return ReportData(
        title=folder.resolve().name,
        subtitle=f"{steps:,} training steps" if steps else "",
        figures=_rows(before, after),
        facts=facts,
        log_history=log_history,
        per_class=_per_class(folder, (summary or {}).get("per_class") or after.get("per_class") or {}),
        gallery=gallery,
        gallery_note=gallery_note,
        configuration=configuration.read_text(encoding="utf-8") if configuration.is_file() else "",
        environment=_flat(_read(folder / ENVIRONMENT) or {}),
    )


def _log(folder: Path) -> tuple[list[dict[str, Any]], int]:
    """The log and the number of steps of the checkpoint that is furthest."""
    furthest: tuple[list[dict[str, Any]], int] = ([], 0)
    for file in sorted([*folder.glob(f"checkpoint-*/{TRAINER_STATE}"), *folder.glob(TRAINER_STATE)]):
        state = _read(file)
        history = state.get("log_history") if isinstance(state, dict) else None
        if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
            raise _bad(file, "field 'log_history'", history, "remove this checkpoint, or restore the file")
        steps = int(state.get("global_step") or 0)
        if steps >= furthest[1]:
            furthest = history, steps
    return furthest


def _figures(
    folder: Path, summary: Mapping[str, Any], log_history: list[dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures before and after training; from the log's last evaluation where there is no summary of them."""
    both = []
    for name in ("before", "after"):
        figures = summary.get(name) or {}
        if not isinstance(figures, dict):
            raise _bad(folder / SUMMARY, f"field '{name}'", figures, "write an object of figures")
        both.append(figures)
    before, after = both
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
        n for n in ("AP50", "AP", "caption_exact", "recall", "AP75", "AR100", "AP50_agnostic") if n in after
    ]
    names += [
        n for n in (*after, *before) if n not in names and _number(after.get(n, before.get(n))) is not None
    ]
    return [
        FigureRow(n, _number(before.get(n)), _number(after.get(n)), _NOTES.get(n, ""))
        for n in dict.fromkeys(names)
        if n not in (*_COUNTS, "seconds", "images_per_second")
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


def _gallery(folder: Path) -> tuple[list[GalleryItem], str]:
    file = folder / GALLERY
    value = _read(file)
    if value is None:
        return [], ""
    note = ""
    if isinstance(value, dict):
        threshold = value.get("score_threshold")
        if _number(threshold) is not None:
            note = f"Predictions with a score below {threshold:g} are left out."
        value = value.get("images")
    if not isinstance(value, list):
        raise _bad(file, "field 'images'", value, "write a list of images with their truth and predictions")
    return [_item(folder, file, i, entry) for i, entry in enumerate(value)], note


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
        x1, y1, x2, y2 = (float(v) for v in box)
        boxes.append(LabelledBox((x1, y1, x2, y2), label, _number(entry.get("score"))))
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


def _lowered(figures: Mapping[str, Any]) -> set[str]:
    """Names under which a summary repeats its figures at the top level."""
    return {name.lower() for name in figures}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


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
