"""``argus runs``: the runs in a folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from argusvl.command_options import AsJson
from argusvl.core.terminal import answer_console, print_json, say


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where the runs are; folders in it are looked into.")
    ] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the runs in a folder with state, figure and age, the last active one first.

    Examples:

        argus runs

        argus runs runs/ablations --json
    """
    from argusvl.run.comparing import list_runs

    runs = list_runs(folder)
    if as_json:
        print_json([{**asdict(run), "folder": str(run.folder)} for run in runs])
        return
    if not runs:
        say(f"{folder} holds no run.")
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table("run", "state", "step", "best", "age", box=SIMPLE_HEAD)
    for run in runs:
        best = ", ".join(f"{name} {value:.3f}" for name, value in run.figures.items()) or "-"
        table.add_row(Text(str(run.folder)), Text(run.state), str(run.step), best, _age(run.age_seconds))
    answer_console().print(table)


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
