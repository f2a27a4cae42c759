"""``argus demo``: what a task shows of itself, from nothing to a report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argusvl.tasks import task_command


def for_task(task: str) -> Callable[..., Any]:
    """The command of a task."""
    return task_command(task, "demo")
