"""``argus inspect``: what a task's model is given, and its parts."""

from __future__ import annotations

import typer

from argusvl.cli.by_task import command_group

_HELP = """Look at what a model is given, at its parts, and at what they take.

Examples:

    argus inspect tokens data/train.jsonl --model runs/demo/best

    argus inspect params runs/demo/best

    argus inspect memory my.yaml
"""


def for_task(task: str) -> typer.Typer:
    """The commands of a task."""
    return command_group(task, "inspect", _HELP)
