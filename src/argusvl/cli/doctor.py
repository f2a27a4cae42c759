"""`argus doctor`: what can go wrong, by its name."""

from __future__ import annotations

from typing import Annotated

import typer

from argusvl.command_options import AsJson
from argusvl.core.terminal import print_json

_HELP = """Look up what can go wrong: every finding of every verb has an ID.

Examples:

    argus doctor list

    argus doctor explain N-144
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_entries(as_json: AsJson = False) -> None:
    """List everything that is known to go wrong: ID, name, what it is.

    Examples:

        argus doctor list

        argus doctor list --json
    """
    from argusvl.doctor.findings import catalogue

    entries = list(catalogue().values())
    if as_json:
        print_json([entry.to_json() for entry in entries])
    else:
        from argusvl.cli.doctor_output import print_entries

        print_entries(entries)


@app.command()
def explain(
    name: Annotated[str, typer.Argument(metavar="ID", help="An ID such as N-144, or a name.")],
    as_json: AsJson = False,
) -> None:
    """Explain a finding: what one sees of it, why it comes about, what finds it, what to do.

    Examples:

        argus doctor explain N-144

        argus doctor explain box-out-of-bounds --json
    """
    from argusvl.doctor.findings import entry_of

    entry = entry_of(name)
    if as_json:
        print_json(entry.to_json())
    else:
        from argusvl.cli.doctor_output import print_entry

        print_entry(entry)
