"""The table of tasks: name → the task's entry. What stands above the tasks asks here; the engine never does."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argusvl.config.loading import RawConfig, build, read_config
from argusvl.config.messages import did_you_mean
from argusvl.config.schema import RunConfig
from argusvl.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """Where a task's parts are, as ``module:name``; imported only when asked for.

    Attributes:
        config: Its configuration class.
        task: The class that joins it to the engine.
    """

    config: str
    task: str

    def config_class(self) -> type[RunConfig]:
        """The configuration class."""
        found: type[RunConfig] = pkgutil.resolve_name(self.config)
        return found

    def task_class(self) -> Any:
        """The class that meets ``training.protocol.Task``; it is built from a configuration."""
        return pkgutil.resolve_name(self.task)


TASKS: dict[str, TaskEntry] = {
    "detection": TaskEntry(
        config="argusvl.detection.config:DetectionRunConfig",
        task="argusvl.detection.task:DetectionTask",
    ),
}


def load_run_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Loads a run's configuration by the schema of the task that it names.

    Args:
        path: The YAML file: with sections, flat, or mixed.
        overrides: ``key=value`` texts; the value is YAML, the key bare or with its sections.

    Raises:
        ConfigError: The task is unknown, or a key is missing, unknown, ill-typed, given twice, or contradicts
            another.
    """
    raw = read_config(path, overrides)
    return build(raw, _entry(raw).config_class())


def task_entry(name: str) -> TaskEntry:
    """The entry of a task.

    Raises:
        ConfigError: There is no such task.
    """
    if name not in TASKS:
        raise ConfigError(f"unknown task {name!r}{did_you_mean(name, TASKS)}", remedy=_KNOWN)
    return TASKS[name]


_KNOWN = f"write one of: {', '.join(TASKS)}"


def _entry(raw: RawConfig) -> TaskEntry:
    named = raw.task
    if named is None:
        raise ConfigError("task: missing. It is: the name of the task", where=raw.source, remedy=_KNOWN)
    if not isinstance(named.value, str):
        raise ConfigError(f"task: should be text, found {named.value!r}", where=named.where, remedy=_KNOWN)
    try:
        return task_entry(named.value)
    except ConfigError as error:
        raise ConfigError(f"task: {error.what}", where=named.where, remedy=error.remedy) from None
