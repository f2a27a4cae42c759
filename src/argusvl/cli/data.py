"""``argus data``: what a task can do with data sets."""

from __future__ import annotations

import typer

from argusvl.cli.by_task import command_group

_HELP = """Convert, export, check, draw and divide data sets.

Examples:

    argus data convert coco in/ data/ --min-pixels 3136 --max-pixels 235200

    argus data check data/ --html check.html

    argus data synth --help
"""


def for_task(task: str) -> typer.Typer:
    """The commands of a task."""
    return command_group(task, "data", _HELP)
