"""``argus``: the table of verbs, the options that every verb has, and what becomes of errors.

A verb's module is imported only when the verb is used, so that ``argus --help`` answers at once. Exit codes: 0 done,
1 a check found something, 2 the user's mistake, 70 a mistake of ours, 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from argus_doctor.wording import did_you_mean
from argusvl import __version__
from argusvl.cli.paths import read_paths
from argusvl.cli.process import begin, run_and_exit
from argusvl.cli.session import Session, use_session
from argusvl.cli.system_errors import system_error
from argusvl.core.errors import INTERRUPTED, USERS_MISTAKE, ArgusError, TrainingError
from argusvl.core.logging import configure_logging, keep_libraries_in_log, parse_levels, write_crash_detail
from argusvl.core.threads import bound_kernel_cache, share_cores
from argusvl.tasks import DEFAULT_TASK, TASKS, task_entry
from argusvl.training.launch import is_first_process, read_launcher_variables

DONE, OUR_MISTAKE = 0, 70


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: where it is, and one line about it.

    Attributes:
        place: ``module:name`` of a function or of a ``typer.Typer``; of what makes one for a task, where tasks differ.
        summary: The line.
        task: How the task is found: ``--task`` alone, or else by a checkpoint among the arguments; ``None`` where the
            command line is the same for all.
    """

    place: str
    summary: str
    task: Literal["option", "checkpoint"] | None = None

    def load(self, task: str) -> Callable[..., Any] | typer.Typer:
        """The function or the app; imports its module."""
        found: Callable[..., Any] | typer.Typer = pkgutil.resolve_name(self.place)
        return found if self.task is None else found(task)


VERBS: dict[str, Verb] = {
    "demo": Verb("argusvl.cli.by_task:demo", "Draw, train, measure, report: the whole in minutes.", "option"),
    "init": Verb("argusvl.cli.by_task:init", "Write a configuration for a data set.", "option"),
    "train": Verb("argusvl.cli.train:command", "Train by a configuration file."),
    "eval": Verb("argusvl.cli.eval:for_task", "Measure a checkpoint on annotated images.", "checkpoint"),
    "predict": Verb(
        "argusvl.cli.predict:for_task", "Find in images what a checkpoint was trained for.", "checkpoint"
    ),
    "serve": Verb("argusvl.cli.serve:command", "Answer over HTTP what checkpoints say of pictures."),
    "export": Verb("argusvl.cli.by_task:export", "Write a checkpoint as other tools load it.", "checkpoint"),
    "data": Verb("argusvl.cli.by_task:data", "Convert, check, split and draw data sets.", "option"),
    "doctor": Verb("argusvl.cli.doctor:app", "Explain what can go wrong, by its ID."),
    "inspect": Verb(
        "argusvl.cli.by_task:inspect", "Look at what a model is given, and at its parts.", "checkpoint"
    ),
    "recognize": Verb("argusvl.cli.recognize:app", "Extract features; recognise from few examples."),
    "report": Verb("argusvl.cli.report:command", "Write a run's HTML report; of several, a comparison."),
    "runs": Verb("argusvl.cli.runs:command", "List runs with state, figure and age."),
    "mcp": Verb("argusvl.cli.mcp:command", "Let agents use Argus, by the Model Context Protocol."),
    "env": Verb("argusvl.cli.env:command", "Show versions, devices, cores and memory."),
}


def commands() -> Iterator[tuple[str, ...]]:
    """Every command there is, in words: ``("init",)``, ``("data", "convert")``. Imports the modules of all verbs."""
    for name, verb in VERBS.items():
        target = verb.load(DEFAULT_TASK)
        subs = typer.main.get_group(target).commands if isinstance(target, typer.Typer) else None
        yield from ((name,),) if subs is None else ((name, sub) for sub in subs)


_HELP = f"""Train vision and vision-language models, and see what goes wrong.

Tasks: {"; ".join(f"{name} ({entry.summary})" for name, entry in TASKS.items())}. What is recognised from a few
examples has a verb of its own, recognize.

Every verb takes --help, --debug (tracebacks of errors) and --log-level LEVEL (debug, info, warning, error; of
single modules: info,training=debug). Verbs that work on a task's data or model take --task NAME; a checkpoint names
its own.

Examples:

    argus train configs/bbu_room.yaml seed=1

    argus predict runs/demo/best photo.jpg --draw out/

    argus predict argus-hand hand.jpg --draw out/

    argus predict --task manipulation --help
"""


def main() -> None:
    """Entry point of the command."""
    begin()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # transformers' bars would break ours
    keep_libraries_in_log()
    share_cores()
    bound_kernel_cache()
    run_and_exit(lambda: _flushed(run(sys.argv[1:])))


def _flushed(code: int) -> int:
    """The exit code when the data, too, have left the process."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if error.errno != errno.EPIPE and code != USERS_MISTAKE:  # what was wrong has been said
            _say(f"error: {system_error(error) or error}")
            return USERS_MISTAKE
    return code


def run(arguments: Sequence[str]) -> int:
    """Runs the command in this process.

    Returns:
        The exit code.
    """
    session = Session()
    try:
        read_launcher_variables()
        session, rest = _take_common_options(arguments)
        level, per_module = parse_levels(session.log_level or "info")
        configure_logging(level, per_module)
        with use_session(session):
            verb = _verb_in(rest)
            task, rest = _task_in(verb, rest)
            _app(verb, task)(args=rest or ["--help"], prog_name="argus")
    except SystemExit as stop:  # how typer ends, also after a usage error, which it has shown
        code = stop.code if isinstance(stop.code, int) else DONE
        if code == INTERRUPTED and is_first_process():
            _say("interrupted")
        return code
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except ArgusError as error:
        if isinstance(error, TrainingError):  # a run that broke off is worth its detail, whoever can mend it
            write_crash_detail(error)
        _say(traceback.format_exc() if session.debug else f"error: {error}")
        return USERS_MISTAKE
    except Exception as error:  # noqa: BLE001 - the outermost place: nothing above could handle it
        told = system_error(error)
        if told is None:
            log = write_crash_detail(error)
            _say(traceback.format_exc())
            _say(
                f"This is a mistake in Argus {__version__}, not yours{f'; details are in {log}' if log else ''}."
            )
            return OUR_MISTAKE
        if session.debug:
            _say(traceback.format_exc())
        _say(f"error: {told}")
        return USERS_MISTAKE
    return DONE


def _take_common_options(arguments: Sequence[str]) -> tuple[Session, list[str]]:
    """Takes out the options that may stand anywhere: before the verb, after it, or at the end."""
    parser = argparse.ArgumentParser(prog="argus", add_help=False, allow_abbrev=False)
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("--log-level")
    found, rest = _taken(parser, list(arguments))
    return Session(debug=found.debug, log_level=found.log_level), rest


def _taken(parser: argparse.ArgumentParser, arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """What a parser takes of the arguments before ``--``, and all the others."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    found, rest = parser.parse_known_args(arguments[:end])
    return found, rest + arguments[end:]


def _verb_in(arguments: Sequence[str]) -> str | None:
    """The verb asked for; ``None`` for ``argus --help`` and the like."""
    verb = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if verb is not None and verb not in VERBS:
        raise ArgusError(
            f"unknown verb {verb!r}{did_you_mean(verb, VERBS)}",
            remedy=f"use one of {', '.join(VERBS)}; `argus --help` says what they do",
        )
    return verb


def _task_in(verb: str | None, arguments: list[str]) -> tuple[str, list[str]]:
    """The task whose command line is meant, and the arguments without ``--task``."""
    found_by = None if verb is None else VERBS[verb].task
    if found_by is None:
        return DEFAULT_TASK, arguments
    parser = argparse.ArgumentParser(prog=f"argus {verb}", add_help=False, allow_abbrev=False)
    parser.add_argument("--task", metavar="NAME")
    named, rest = _taken(parser, arguments)
    task: str | None = named.task
    if task is None and found_by == "checkpoint":
        from argusvl.cli.by_task import task_of_arguments

        task = task_of_arguments(rest[1:])
    task = task or DEFAULT_TASK
    task_entry(task)
    return task, rest


def _app(verb: str | None, task: str) -> Callable[..., Any]:
    """The command line with one verb loaded; the others are there with their summaries only."""
    # Without rich markup: in it, the brackets of `[key=value …]` would be read as styles and vanish.
    app = typer.Typer(
        rich_markup_mode=None,
        add_completion=False,
        context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]},
    )
    app.callback(help=_HELP)(_version_option)
    for name, entry in VERBS.items():
        target = entry.load(task) if name == verb else _unused
        read_paths(target)
        epilog = None if entry.task is None else _about_tasks(name, task)
        if isinstance(target, typer.Typer):
            app.add_typer(target, name=name, short_help=entry.summary, epilog=epilog)
        else:
            app.command(name, short_help=entry.summary, epilog=epilog)(target)
    command: Callable[..., Any] = typer.main.get_command(app)
    return command


def _about_tasks(verb: str, task: str) -> str:
    """Whose command line it is, and how that of another task is shown."""
    others = [f"`argus {verb} --task {n} --help`" for n, e in TASKS.items() if n != task and e.has_verb(verb)]
    known = f"; of others: {', '.join(others)}" if others else ", which alone has it"
    return f"This is the command line of the task {task} ({TASKS[task].summary}){known}."


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"argus {__version__}")
        raise typer.Exit


def _version_option(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """The one option of ``argus`` itself."""


def _unused() -> None:
    """Stands for the verbs that are listed and not run."""


def _say(text: str) -> None:
    typer.echo(text, err=True)
