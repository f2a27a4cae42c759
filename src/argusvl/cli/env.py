"""``argus env``: what this machine and this installation are, for a glance and for bug reports."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from argusvl.cli.output import console, print_json
from argusvl.core.environment import environment


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Show versions, devices, cores and memory.

    Examples:

        argus env

        argus env --json
    """
    found = environment()
    if as_json:
        print_json(found)
        return
    table = Table(show_header=False, box=None)
    for name, value in found.items():
        if isinstance(value, dict):
            for key, item in value.items():
                table.add_row(key, str(item or "not installed"))
        else:
            table.add_row(name, "; ".join(map(str, value)) if isinstance(value, list) else str(value))
    console().print(table)
