"""Runs beside each other: their states, what differs between them, and evaluations on the same data."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from argusvl.config.loading import read_config
from argusvl.core.errors import ArgusError
from argusvl.core.figures import FIGURES_FILE, FigureSpec
from argusvl.core.files import is_locked, real_path, require_folder
from argusvl.run.checkpoints import list_checkpoints, read_best
from argusvl.run.events import last_turn, read_events
from argusvl.run.layout import CONFIG_FILE, EVENTS_FILE, SUMMARY_FILE, TRAINER_STATE
from argusvl.run.lock import LOCK_FILE
from argusvl.run.reading import evaluations, load_run
from argusvl.visual.comparison import ComparedRun
from argusvl.visual.json_files import read_object
from argusvl.visual.sections import RunFolder

_DEPTH = 2


@dataclass(frozen=True, slots=True)
class Listed:
    """A run in a list.

    Attributes:
        state: As of :func:`state_of`, or what is damaged.
        step: Of its last event or checkpoint.
        figures: Those by which its best checkpoint was chosen.
        age_seconds: Since something last happened in it.
    """

    folder: Path
    state: str
    step: int
    figures: Mapping[str, float]
    age_seconds: float


def is_run(folder: Path) -> bool:
    """Whether a training run has written into a folder, be it its lock alone."""
    return any((folder / name).is_file() for name in (EVENTS_FILE, LOCK_FILE)) or any(
        folder.glob(f"checkpoint-*/{TRAINER_STATE}")
    )


def state_of(folder: Path) -> str:
    """``running``, ``finished`` or why else it stopped, ``broken off``, ``did not start``.

    ``not known`` where it has trained and kept no record.
    """
    if is_locked(folder / LOCK_FILE):
        return "running"
    last = last_turn(folder)
    if last is None:
        began = list_checkpoints(folder) or not (folder / LOCK_FILE).is_file()
        return "not known" if began else "did not start"
    return str(last.get("why") or "stopped") if last["event"] == "stopped" else "broken off"


def list_runs(folder: Path) -> list[Listed]:
    """The runs in a folder, itself among them, and in folders of it, the last active one first.

    Raises:
        ArgusError: There is no such folder.
    """
    require_folder(folder, remedy="name the folder that holds your runs", error=ArgusError)
    found, level = [], [folder]
    for _ in range(_DEPTH + 1):
        found += [one for one in level if is_run(one)]
        level = [
            inner
            for one in level
            if one not in found
            for inner in sorted(one.iterdir())
            if inner.is_dir() and not inner.is_symlink()
        ]
    return sorted(map(_listed, found), key=lambda run: run.age_seconds)


def _listed(folder: Path) -> Listed:
    steps = [step for step, _ in list_checkpoints(folder)]
    figures: dict[str, float] = {}
    try:
        steps += [e["step"] for e in read_events(folder) if isinstance(e.get("step"), int)]
        best = read_best(folder)
        state = state_of(folder)
        if best is not None:
            figures[best.metric] = best.value
    except ArgusError as error:
        state = f"damaged: {error.what}"
    events = folder / EVENTS_FILE
    touched = (events if events.is_file() else folder).stat().st_mtime
    return Listed(folder, state, max(steps, default=0), figures, max(0.0, time.time() - touched))


def load_runs(folders: Sequence[Path], figures: Mapping[str, FigureSpec]) -> list[ComparedRun]:
    """What the folders of several runs hold, for the page that compares them.

    Raises:
        ArgusError: One is no run, or given twice.
        DataError: A file in one is damaged.
    """
    real = [real_path(folder) for folder in folders]
    if len(set(real)) < len(real):
        twice = next(f for f in folders if real.count(real_path(f)) > 1)
        raise ArgusError("the same run twice", where=twice, remedy="name different runs")
    short = [folder.name for folder in real]
    names = short if len(set(short)) == len(short) else [str(folder) for folder in folders]
    return [
        ComparedRun(name, load_run(folder, figures), state_of(folder), _configuration(folder))
        for name, folder in zip(names, folders, strict=True)
    ]


def on_the_same_data(folders: Sequence[Path]) -> tuple[list[RunFolder], str]:
    """The newest evaluations on the same data, one of each run; nothing, and why, where there are none.

    Raises:
        DataError: A file of an evaluation is damaged.
    """
    by_run = [
        {
            str(found["data"]): (place, found)
            for place in reversed(evaluations(folder))
            if (found := read_object(place / FIGURES_FILE)).get("data")
        }
        for folder in folders
    ]
    common = [data for data in reversed(by_run[0]) if all(data in run for run in by_run)]
    if common:
        return [
            RunFolder(folder, run[common[0]][0], run[common[0]][1], read_object(folder / SUMMARY_FILE))
            for folder, run in zip(folders, by_run, strict=True)
        ], ""
    parts = [
        f"{folder}: {', '.join(run) or 'no evaluation'}" for folder, run in zip(folders, by_run, strict=True)
    ]
    return [], (
        f"The runs were not evaluated on the same data ({'; '.join(parts)}), so nothing is said of single pictures and "
        "of chance. `argus eval RUN DATA --out RUN/test`, for each run with the same DATA, leaves what is needed."
    )


def _configuration(folder: Path) -> dict[str, str]:
    file = folder / CONFIG_FILE
    return {".".join(e.path): str(e.value) for e in read_config(file).entries} if file.is_file() else {}
