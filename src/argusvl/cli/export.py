"""``argus export``: a task's checkpoint as other tools load it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argusvl.tasks import task_command


def for_task(task: str) -> Callable[..., Any]:
    """The command of a task."""
    return task_command(task, "export")
