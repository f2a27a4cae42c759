"""Reading what a run has left in its folder, for the report.

All parts are optional; a report is made of what is there.

``checkpoint-*/trainer_state.json``
    Written by the trainer. The one with the most steps is read; its ``log_history`` gives the curves.
``figures.json``, ``gallery.json``, ``precision_recall.json``, ``calibration.json``
    As ``argus eval --out`` writes them (:mod:`~argusvl.visual.evaluation_files`): into the run's folder, or into a
    folder inside it, of which the newest is taken.
``summary.json``
    ``{"before": {figure: number, …}, "after": {…, "per_class": {class: {figure: number}}}, fact: number, …}``.
    ``before`` and ``after`` are figures as ``argus eval --json`` writes them, ``after`` for where there is no
    ``figures.json``; everything else that is a number or a text is shown as a fact. Figures that are ``null`` were
    not to be had.
``config.yaml``
    The run's configuration, shown as it is.
``environment.json``
    Versions and devices, as ``argus train`` writes them.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argusvl.core.errors import ArgusError
from argusvl.core.files import real_path
from argusvl.visual.evaluation_files import (
    CALIBRATION,
    GALLERY,
    load_calibrations,
    load_gallery,
    load_precision_recall,
)
from argusvl.visual.json_files import bad_value, finite_number, read_json, read_object, read_text
from argusvl.visual.page import grouped_digits
from argusvl.visual.report import FigureRow, ReportData

TRAINER_STATE = "trainer_state.json"
SUMMARY = "summary.json"
FIGURES = "figures.json"
CONFIGURATION = "config.yaml"
ENVIRONMENT = "environment.json"

_NOTES = {
    "AP50": "mean over classes, IoU 0.50",
    "AP": "mean over classes and IoU 0.50 to 0.95",
    "caption_exact": "found objects described to the character",
    "recall": "objects with a box at IoU 0.50, whatever its score",
    "AP75": "mean over classes, IoU 0.75",
    "AR100": "recall over IoU 0.50 to 0.95, at most 100 boxes an image",
    "AP50_agnostic": "all classes taken as one, IoU 0.50",
    "ece": "calibration error: how far scores are from the share that is right; lower is better",
}
"""Figures that are known by name, in the order in which they are read."""

_NO_FIGURES = ("images", "objects", "seconds", "images_per_second", "ece_before")
_FIGURES_OF = ("images", "objects")  # facts about an evaluation


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
    log = _log(folder)
    evaluated, *others = _evaluations(folder) or [folder]
    summary = read_object(folder / SUMMARY)
    measured = read_object(evaluated / FIGURES)
    gallery = load_gallery(evaluated)
    if not log.history and not (folder / SUMMARY).is_file() and not measured and not gallery.items:
        raise ArgusError(
            f"holds nothing to report: neither checkpoint-*/{TRAINER_STATE} nor {SUMMARY}, {FIGURES} or {GALLERY}",
            where=folder,
            remedy="name the output_dir of a run that has saved a checkpoint",
        )
    before, after = (
        _figures(folder / SUMMARY, f"field '{name}'", summary.get(name)) for name in ("before", "after")
    )
    taught = _figures(evaluated / FIGURES, "field 'with_teachers'", measured.get("with_teachers"))
    after |= measured
    measured_on = str(measured.get("data") or "")
    if not after:
        after, measured_on = log.best_evaluation()
    repeated = {name.lower() for name in after if name not in _NO_FIGURES}  # at the summary's top level
    facts = {
        name: value
        for name, value in {**log.facts(), **summary}.items()
        if isinstance(value, int | float | str) and not isinstance(value, bool) and name not in repeated
    }
    facts |= {f"{name} evaluated": after[name] for name in _FIGURES_OF if isinstance(after.get(name), int)}
    if isinstance(measured.get("checkpoint"), str):
        facts["checkpoint evaluated"] = measured["checkpoint"]
    if others:
        facts["other evaluations"] = ", ".join(other.name for other in others)
    calibration, calibration_note = load_calibrations(
        evaluated if (evaluated / CALIBRATION).is_file() else folder
    )
    return ReportData(
        title=real_path(folder).name,
        subtitle=log.subtitle(),
        figures=_rows(before, after, taught),
        measured_on=measured_on,
        teachers=int(finite_number(taught.get("teachers")) or 0),
        facts=facts,
        log_history=log.history,
        per_class=_per_class(folder, after.get("per_class") or summary.get("per_class") or {}),
        kinds=gallery.kinds,
        confusion=gallery.confusion,
        misdescribed=gallery.misdescribed,
        gallery=gallery.items,
        gallery_total=gallery.total,
        gallery_note=gallery.note,
        score_threshold=gallery.score_threshold,
        precision_recall=load_precision_recall(evaluated),
        calibration=calibration,
        calibration_note=calibration_note,
        configuration=read_text(folder / CONFIGURATION),
        environment=_flat(read_object(folder / ENVIRONMENT)),
    )


@dataclass(frozen=True, slots=True)
class _Log:
    """The log of the checkpoint that is furthest.

    Attributes:
        history: What was logged.
        steps: How far that is.
        best: The step of the best checkpoint; 0 where none was chosen.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    best: int = 0

    def subtitle(self) -> str:
        if not self.steps:
            return ""
        best = "the last one best" if self.best == self.steps else f"best at step {grouped_digits(self.best)}"
        return f"{grouped_digits(self.steps)} training steps" + (f", {best}" if self.best else "")

    def facts(self) -> dict[str, float]:
        """How long was trained, and how fast."""
        epochs = [entry["epoch"] for entry in self.history if finite_number(entry.get("epoch")) is not None]
        speeds = [s for e in self.history if (s := finite_number(e.get("throughput/images_per_second")))]
        return ({"epochs": epochs[-1]} if epochs else {}) | (
            {"images_per_second": statistics.median(speeds)} if speeds else {}
        )

    def best_evaluation(self) -> tuple[dict[str, Any], str]:
        """The figures of the checkpoint that would be used, and what they were measured on."""
        evaluations = [e for e in self.history if any(f"eval_{name}" in e for name in _NOTES)]
        if not evaluations:
            return {}, ""
        chosen = next((e for e in evaluations if e.get("step") == self.best), evaluations[-1])
        figures = {name: chosen[f"eval_{name}"] for name in _NOTES if f"eval_{name}" in chosen}
        return figures, f"held-out records while training, at step {chosen.get('step', '?')}"


def _log(folder: Path) -> _Log:
    log = _Log()
    for file in sorted([*folder.glob(f"checkpoint-*/{TRAINER_STATE}"), *folder.glob(TRAINER_STATE)]):
        state = read_json(file)
        found = state.get("log_history") if isinstance(state, dict) else None
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise bad_value(file, "field 'log_history'", found, "remove this checkpoint, or restore the file")
        steps, best = (int(finite_number(state.get(key)) or 0) for key in ("global_step", "best_global_step"))
        if steps >= log.steps:
            log = _Log(found, steps, best)
    return log


def _evaluations(folder: Path) -> list[Path]:
    """Folders that ``argus eval --out`` has written: the run's own first, then those inside it, newest first."""
    own = [folder] if any((folder / name).is_file() for name in (FIGURES, GALLERY)) else []
    inside = sorted(folder.glob(f"*/{FIGURES}"), key=lambda file: (-file.stat().st_mtime, file))
    return own + [file.parent for file in inside if not file.parent.is_symlink()]


def _figures(file: Path, what: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise bad_value(file, what, value, "write an object of figures")
    return dict(value or {})


def _rows(
    before: Mapping[str, Any], after: Mapping[str, Any], taught: Mapping[str, Any]
) -> Sequence[FigureRow]:
    """The figures that are known by name in their order, then others."""
    names = [name for name in _NOTES if name in after]
    names += [n for n in (*after, *before) if finite_number(after.get(n, before.get(n))) is not None]
    return [
        FigureRow(
            n,
            finite_number(before.get(n)),
            finite_number(after.get(n)),
            _NOTES.get(n, ""),
            finite_number(taught.get(n)),
        )
        for n in dict.fromkeys(names)
        if n not in _NO_FIGURES
    ]


def _per_class(folder: Path, value: Any) -> dict[str, dict[str, float | int | None]]:
    if not isinstance(value, dict) or not all(isinstance(figures, dict) for figures in value.values()):
        raise bad_value(
            folder / SUMMARY, "field 'per_class'", value, 'write {"class": {"AP50": number, …}, …}'
        )
    return {
        str(name): {
            key: figure
            for key, figure in figures.items()
            if figure is None or (isinstance(figure, int | float) and not isinstance(figure, bool))
        }
        for name, figures in value.items()
    }


def _flat(value: Any) -> dict[str, str]:
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
