"""`argus doctor`: what can go wrong, by its name; before a run, during a run, and after it."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from argus_doctor.findings import Finding, catalogue, entry_of
from argus_doctor.rendering import print_entries, print_entry, print_findings
from argusvl.cli.doctor_bench import command as bench_command
from argusvl.command_options import AsJson
from argusvl.core.errors import ConfigError
from argusvl.core.terminal import FOUND_SOMETHING, answer_console, console, print_json, say
from argusvl.core.wording import counted
from argusvl.tasks import load_run_config, task_entry
from argusvl.training.remedy_table import changes_of

_HELP = """Look up what can go wrong: every finding of every verb has an ID.

Examples:

    argus doctor list

    argus doctor explain N-144

    argus doctor log train.log
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode=None)
app.command("bench")(bench_command)


@app.command()
def check(
    what: Annotated[
        Path, typer.Argument(metavar="CONFIG|SCRIPT.py", help="A run's configuration, or a training script.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Keys to change, as of argus train.")
    ] = None,
    anomaly: Annotated[
        Literal["off", "batch", "all"],
        typer.Option(help="Autograd's anomaly detection: of the first step, or of all."),
    ] = "off",
    diff: Annotated[
        bool, typer.Option("--diff", help="Of a script, print on stdout what would mend it, as a diff.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a run before it starts, by some twenty steps that are thrown away; exit code 1 where something is wrong.

    Of a script, its source is read and nothing is run.

    Examples:

        argus doctor check configs/bbu_room.yaml

        argus doctor check configs/bbu_room.yaml vision_lr=10 --anomaly batch

        argus doctor check train.py --diff | git apply
    """
    if diff and what.suffix != ".py":
        raise ConfigError("a diff is of a training script", where=what, remedy="leave --diff out")
    if diff and as_json:
        raise ConfigError("a diff is no JSON", where="--diff", remedy="leave --diff or --json out")
    if what.suffix == ".py" and (overrides or anomaly != "off"):
        raise ConfigError(
            "a script's source is read, and nothing set or run", where=what, remedy="give it alone"
        )
    found = (
        _check_script(what, as_json, diff)
        if what.suffix == ".py"
        else _check_run(what, overrides, anomaly, as_json)
    )
    _end(found)


@app.command()
def watch(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder; it may be training.")],
    once: Annotated[bool, typer.Option("--once", help="Do not wait for what is still to come.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is wrong with a run, as it is found, until the run ends; exit code 1 where something is.

    Examples:

        argus doctor watch runs/demo

        argus doctor watch runs/demo --json
    """
    from argusvl.training.run_findings import findings_of, follow

    found: list[Finding] = []
    if once or as_json:
        found = findings_of(run)
        _answer(found, as_json)
    else:
        with contextlib.suppress(KeyboardInterrupt):
            for new in follow(run):
                print_findings(new, answer_console())
                found += new
    _end(found)


@app.command()
def new(slug: Annotated[str, typer.Argument(metavar="SLUG", help="Its name, e.g. tokens-shifted.")]) -> None:
    """Print a template for a new entry of the catalogue, with the next free ID.

    Examples:

        argus doctor new tokens-shifted
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
        raise ConfigError(
            f"{slug!r} is no name", where="SLUG", remedy="give words in lower case with hyphens"
        )
    if slug in catalogue():
        raise ConfigError(
            f"{slug} is {catalogue()[slug].id} already", where="SLUG", remedy="choose another name"
        )
    numbers = {int(entry.id[2:]) for entry in catalogue().values() if entry.id.startswith("N-")}
    free = next(number for number in range(max(numbers) + 1, 1000))
    lines = [
        "[[entry]]",
        f'id = "N-{free}"',
        f'slug = "{slug}"',
        'severity = "warning"',
        'title = ""',
        'symptom = ""',
        'causes = [""]',
        'detector = ""',
        'remedies = [""]',
    ]
    typer.echo("\n".join(lines))


@app.command("list")
def list_entries(as_json: AsJson = False) -> None:
    """List everything that is known to go wrong: ID, name, what it is.

    Examples:

        argus doctor list

        argus doctor list --json
    """
    entries = list(catalogue().values())
    if as_json:
        print_json([entry.to_json() for entry in entries])
    else:
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
    entry = entry_of(name)
    if as_json:
        print_json(entry.to_json() | {"changes": changes_of(entry.slug)})
    else:
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
        say(diagnosis.in_short())
        print_findings(diagnosis.findings, answer_console())
    if diagnosis.findings:
        raise typer.Exit(FOUND_SOMETHING)


def _check_script(path: Path, as_json: bool, diff: bool) -> list[Finding]:
    from argus_doctor.lint import Script, mended_as_diff

    script = Script.read(path)
    found = script.findings()
    if not diff:
        _answer(found, as_json)
    else:
        edits = mended_as_diff(script, found)
        typer.echo(edits, nl=False)
        print_findings(found, console())  # what goes to stdout is for `git apply`
        if found and not edits:
            say("No diff: none of this has an edit that is sure to be safe.")
    return found


def _check_run(
    path: Path, overrides: list[str] | None, anomaly: Literal["off", "batch", "all"], as_json: bool
) -> list[Finding]:
    from argusvl.training.preflight import preflight

    config = load_run_config(path, overrides or ())
    results = []
    for result in preflight(task_entry(config.task).task_class()(config), config, anomaly):
        results.append(result)
        line = f"{'finding' if result.findings else 'ok':8}{result.name}: {result.told}"
        (say if as_json else typer.echo)(line)
    found = [one for result in results for one in result.findings]
    if as_json:
        print_json({"answers": [one.to_json() for one in results]})
    print_findings(found, console() if as_json else answer_console())
    return found


def _answer(found: list[Finding], as_json: bool) -> None:
    """On stdout what was asked for: as JSON, with the text for people on stderr, or the text."""
    if as_json:
        print_json({"findings": [one.to_json() for one in found]})
    print_findings(found, console() if as_json else answer_console())


def _end(found: list[Finding]) -> None:
    say(counted(len(found), "finding") if found else "nothing was found")
    if found:
        raise typer.Exit(FOUND_SOMETHING)
