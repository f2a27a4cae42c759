"""`argus doctor`: what can go wrong, by its name."""

from __future__ import annotations

from typing import Annotated

import typer

from argusvl.cli import doctor_runs
from argusvl.cli.doctor_bench import command as bench_command
from argusvl.command_options import AsJson
from argusvl.core.terminal import FOUND_SOMETHING, answer_console, print_json, say

_HELP = """Look up what can go wrong: every finding of every verb has an ID.

Examples:

    argus doctor list

    argus doctor explain N-144

    argus doctor log train.log
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode=None)
app.command("bench")(bench_command)
app.command("check")(doctor_runs.check)
app.command("watch")(doctor_runs.watch)
app.command("new")(doctor_runs.new)


@app.command("list")
def list_entries(as_json: AsJson = False) -> None:
    """List everything that is known to go wrong: ID, name, what it is.

    Examples:

        argus doctor list

        argus doctor list --json
    """
    from argus_doctor.findings import catalogue

    entries = list(catalogue().values())
    if as_json:
        print_json([entry.to_json() for entry in entries])
    else:
        from argus_doctor.rendering import print_entries

        print_entries(entries, answer_console())


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
    from argus_doctor.findings import entry_of
    from argusvl.training.remedy_table import changes_of

    entry = entry_of(name)
    if as_json:
        print_json(entry.to_json() | {"changes": changes_of(entry.slug)})
    else:
        from argus_doctor.rendering import print_entry

        print_entry(entry, answer_console(), {"In the configuration": changes_of(entry.slug)})


@app.command()
def log(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE|RUN|-", help="A log of any trainer, a run's folder, or - for stdin."),
    ],
    as_json: AsJson = False,
) -> None:
    """Say why a run died, and what its curves show; exit code 1 where something is wrong.

    Examples:

        argus doctor log train.log

        argus doctor log runs/demo

        kubectl logs trainer-0 | argus doctor log - --json
    """
    from argus_doctor.logs.diagnosis import diagnose

    diagnosis = diagnose(source)
    if as_json:
        print_json(diagnosis.to_json())
    else:
        from argus_doctor.rendering import print_findings

        if diagnosis.cause == "none":
            say("No cause of death: the log shows none.")
        print_findings(diagnosis.findings, answer_console())
    if diagnosis.findings:
        raise typer.Exit(FOUND_SOMETHING)
