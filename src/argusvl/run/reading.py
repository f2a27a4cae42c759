"""Reading what a run has left in its folder, for the report.

All parts are optional; a report is made of what is there.

``checkpoint-*/trainer_state.json``
    Written by the trainer. The one with the most steps is read; its ``log_history`` gives the curves.
``figures.json``
    As ``argus eval --out`` writes it, into the run's folder or into a folder inside it, of which the newest is taken.
    What else it has written there the task reads (:class:`~argusvl.visual.sections.RunFolder`).
``summary.json``
    ``{"before": {figure: number, …}, "after": {…}, fact: number, …}``.
    ``before`` and ``after`` are figures as ``argus eval --json`` writes them, ``after`` for where there is no
    ``figures.json``; everything else that is a number or a text is shown as a fact. Figures that are ``null`` were
    not to be had.
``config.yaml``
    The run's configuration, shown as it is.
``environment.json``
    Versions and devices, as ``argus train`` writes them.
``events.jsonl``
    What happened and what was found, line by line (:mod:`argusvl.visual.run_events`).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argusvl.core.errors import ArgusError, DataError
from argusvl.core.figures import FIGURES_FILE, FigureSpec, spec_of
from argusvl.core.files import real_path, require_folder
from argusvl.core.logging import get_logger
from argusvl.core.strict_json import finite_number
from argusvl.core.wording import flat
from argusvl.run.events import read_events
from argusvl.run.layout import CONFIG_FILE, ENVIRONMENT_FILE, EVENTS_FILE, SUMMARY_FILE, TRAINER_STATE
from argusvl.visual.json_files import bad_value, read_object, read_text
from argusvl.visual.page import grouped_digits
from argusvl.visual.report import FigureRow, ReportData
from argusvl.visual.sections import RunFolder, TaskReport

logger = get_logger(__name__)

_NO_FIGURES = ("images", "objects", "seconds", "images_per_second")
_FIGURES_OF = ("images", "objects")  # facts about an evaluation


def load_run(
    run: str | Path,
    figures: Mapping[str, FigureSpec],
    task_report: Callable[[RunFolder], TaskReport] | None = None,
) -> ReportData:
    """What a run's folder holds.

    Raises:
        ArgusError: There is no such folder, or nothing in it that a report could show.
        DataError: A file in it is damaged.
    """
    folder = Path(run)
    require_folder(folder, remedy="name the output_dir of a run", error=ArgusError)
    log = _log(folder)
    evaluated, *others = evaluations(folder) or [folder]
    summary = read_object(folder / SUMMARY_FILE)
    measured = read_object(evaluated / FIGURES_FILE)
    before, after = (
        _figures(folder / SUMMARY_FILE, f"field '{name}'", summary.get(name)) for name in ("before", "after")
    )
    after |= measured
    own = TaskReport() if task_report is None else task_report(RunFolder(folder, evaluated, after, summary))
    if not log.history and not (folder / SUMMARY_FILE).is_file() and not measured and not own.sections:
        raise ArgusError(
            f"holds nothing to report: neither checkpoint-*/{TRAINER_STATE} nor {SUMMARY_FILE} or {FIGURES_FILE}",
            where=folder,
            remedy="name the output_dir of a run that has saved a checkpoint",
        )
    measured_on = str(measured.get("data") or "")
    if not after:
        after, measured_on = log.best_evaluation(figures)
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
    return ReportData(
        title=real_path(folder).name,
        subtitle=log.subtitle(),
        figures=_rows(figures, before, after, own.figures_beside or {}),
        measured_on=measured_on,
        beside=own.beside,
        facts=facts,
        log_history=log.history,
        declared=figures,
        events=read_events(folder) if (folder / EVENTS_FILE).is_file() else None,
        sections=own.sections,
        configuration=read_text(folder / CONFIG_FILE),
        environment={
            place.rpartition(".")[2]: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            for place, value in flat(read_object(folder / ENVIRONMENT_FILE))
        },
    )


@dataclass(frozen=True, slots=True)
class _Log:
    """The log of the checkpoint that is furthest.

    Attributes:
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

    def best_evaluation(self, figures: Mapping[str, FigureSpec]) -> tuple[dict[str, Any], str]:
        """The figures of the checkpoint that would be used, and what they were measured on."""
        evaluations = [e for e in self.history if any(f"eval_{name}" in e for name in figures)]
        if not evaluations:
            return {}, ""
        chosen = next((e for e in evaluations if e.get("step") == self.best), evaluations[-1])
        found = {name: chosen[f"eval_{name}"] for name in figures if f"eval_{name}" in chosen}
        return found, f"held-out records while training, at step {chosen.get('step', '?')}"


def _log(folder: Path) -> _Log:
    """A damaged checkpoint is passed over with a warning where another one is whole."""
    log, problems = _Log(), list[DataError]()
    files = sorted([*folder.glob(f"checkpoint-*/{TRAINER_STATE}"), *folder.glob(TRAINER_STATE)])
    for file in files:
        try:
            state = read_object(file)
            found = state.get("log_history")
            if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
                remedy = "remove this checkpoint, or restore the file"
                raise bad_value(file, "field 'log_history'", found, remedy)
        except DataError as error:
            problems.append(error)
            continue
        steps, best = (int(finite_number(state.get(key)) or 0) for key in ("global_step", "best_global_step"))
        if steps >= log.steps:
            log = _Log(found, steps, best)
    if problems and len(problems) == len(files):
        raise problems[-1]
    for problem in problems:
        logger.warning("passed over: %s: %s", problem.where, problem.what)
    return log


def evaluations(folder: Path) -> list[Path]:
    """Folders that ``argus eval --out`` has written: the run's own first, then those inside it, newest first."""
    own = [folder] if (folder / FIGURES_FILE).is_file() else []
    inside = sorted(folder.glob(f"*/{FIGURES_FILE}"), key=lambda file: (-file.stat().st_mtime, file))
    return own + [file.parent for file in inside if not file.parent.is_symlink()]


def _figures(file: Path, what: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise bad_value(file, what, value, "write an object of figures")
    return dict(value or {})


def _rows(
    declared: Mapping[str, FigureSpec],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    beside: Mapping[str, Any],
) -> Sequence[FigureRow]:
    """The figures that the task declares in their order, then others."""
    names = [name for name in declared if name in after]
    names += [n for n in (*after, *before) if finite_number(after.get(n, before.get(n))) is not None]
    rows = []
    for name in dict.fromkeys(names):
        # `ece_before` is that figure before a correction, which the task's own section shows.
        if name in _NO_FIGURES or name.removesuffix("_before") in declared.keys() - {name}:
            continue
        spec = spec_of(name, declared)
        rows.append(
            FigureRow(
                name,
                finite_number(before.get(name)),
                finite_number(after.get(name)),
                note=spec.note if spec else "",
                beside=finite_number(beside.get(name)),
                lower_is_better=spec is not None and not spec.higher_is_better,
            )
        )
    return rows
