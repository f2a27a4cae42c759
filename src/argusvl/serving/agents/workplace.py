"""What a tool may reach: the folders, the checkpoints and stores that were named, and what is loaded of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from argusvl.assets import MODELS
from argusvl.core.errors import ArgusError, CheckpointError
from argusvl.core.files import real_path
from argusvl.serving.agents.folders import Folders
from argusvl.tasks import DEFAULT_TASK, find_checkpoint, task_at

T = TypeVar("T")

_MOST_LOADED = 2
"""Models in memory at a time."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What was said at the start: which folders may be read, and checkpoints (or runs) and support stores by name."""

    folders: Sequence[Path]
    checkpoints: Mapping[str, Path]
    stores: Mapping[str, Path]


def named(places: Sequence[str], what: str) -> dict[str, Path]:
    """``NAME=PATH``, or a path that is named as its folder is → name → path.

    Raises:
        ArgusError: A name is empty or given twice.
    """
    found: dict[str, Path] = {}
    for text in places:
        name, given, path = text.partition("=")
        if not given:
            name, path = real_path(text).name, text
        if not name or not path or name in found:
            problem = "the name is given twice" if name in found else "a name or a path is empty"
            raise ArgusError(problem, where=f"{what} {text}", remedy=f"write {what} NAME=PATH")
        found[name] = Path(path)
    return found


class LocalWorkplace(Folders):
    """Meets :class:`argusvl.task_parts.Workplace`.

    Raises:
        ArgusError: A folder or a checkpoint is missing.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.folders)
        self.stores = {name: real_path(path) for name, path in settings.stores.items()}
        for store in self.stores.values():
            if not store.is_dir():
                raise ArgusError("no such support store", where=store, remedy="check the path")
        # Those that the user names come first: a task's first is the one that is taken unasked.
        shipped = {name: path for name, path in MODELS.items() if name not in settings.checkpoints}
        self.checkpoints = {
            name: (find_checkpoint(path), task_at(path) or DEFAULT_TASK)
            for name, path in {**settings.checkpoints, **shipped}.items()
        }
        self._loaded: dict[Path, Any] = {}

    def checkpoint(self, name: str | None, task: str) -> Path:
        """As the protocol says.

        Raises:
            CheckpointError: The task has no checkpoint of that name.
        """
        of_task = {known: folder for known, (folder, its) in self.checkpoints.items() if its == task}
        if name is None and of_task:
            return next(iter(of_task.values()))
        if name not in of_task:
            raise CheckpointError(
                f"there is no {task} checkpoint {name!r}",
                remedy=f"name one of: {', '.join(of_task) or 'none'}",
            )
        return of_task[name]

    def loaded(self, folder: Path, load: Callable[[Path], T]) -> T:
        """As the protocol says."""
        if folder not in self._loaded:
            while len(self._loaded) >= _MOST_LOADED:
                self._loaded.pop(next(iter(self._loaded)))
            self._loaded[folder] = load(folder)
        found: T = self._loaded[folder]
        return found
