"""Verbs that each task has of its own, or with options of its own: the command line of the task that is asked for.

Which one that is: ``--task NAME``, or what a checkpoint among the arguments says, or detection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import Signature, getdoc, signature
from typing import Any, get_type_hints

import typer

from argusvl.tasks import DEFAULT_TASK, TASKS, task_at, task_command

_DATA = """Convert, export, check, draw and divide data sets.

Examples:

    argus data convert coco in/ data/ --min-pixels 3136 --max-pixels 235200

    argus data check data/ --html check.html

    argus data synth --help
"""

_INSPECT = """Look at what a model is given, at its parts, and at what they take.

Examples:

    argus inspect tokens data/train.jsonl --model runs/demo/best

    argus inspect params runs/demo/best

    argus inspect memory my.yaml
"""


def task_of_arguments(arguments: Sequence[str]) -> str:
    """The task of the first word that is a checkpoint, a run or a configuration; the default one without any."""
    named = (task_at(word) for word in arguments if not word.startswith("-"))
    return next((task for task in named if task is not None), DEFAULT_TASK)


def with_options(verb: Callable[..., None], part: Callable[..., Any]) -> Callable[..., None]:
    """A verb with the options that a task's part has beyond those that the verb gives it.

    Args:
        verb: Its first argument is the part; ``**options`` takes the part's own.
        part: Its keyword arguments with defaults are the options, its docstring is the help.
    """
    _, *own, _ = signature(verb).parameters.values()
    names = {parameter.name for parameter in own}
    theirs = [
        parameter
        for parameter in signature(part).parameters.values()
        if parameter.default is not parameter.empty and parameter.name not in names
    ]
    hints = get_type_hints(part, include_extras=True) | get_type_hints(verb, include_extras=True)

    def command(**values: Any) -> None:
        verb(part, **values)

    parameters = [p.replace(kind=p.POSITIONAL_OR_KEYWORD, annotation=hints[p.name]) for p in (*own, *theirs)]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = getdoc(part)
    return command


def command_group(task: str, verb: str, summary: str) -> typer.Typer:
    """The commands that a task has under a verb; one that only others have says so."""
    app = typer.Typer(help=summary, no_args_is_help=True, rich_markup_mode=None)
    entries = TASKS[task], *TASKS.values()
    for words in dict.fromkeys(words for entry in entries for words in entry.commands):
        group, _, name = words.partition(" ")
        if group != verb:
            continue
        if words in TASKS[task].commands:
            app.command(name)(task_command(task, words))
        else:
            anything = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
            app.command(name, hidden=True, context_settings=anything)(_lacking(task, words))
    return app


def _lacking(task: str, words: str) -> Callable[[], None]:
    def command() -> None:
        task_command(task, words)

    return command


# Verbs that are wholly a task's own: its name → its command, or its commands.
demo = partial(task_command, command="demo")
init = partial(task_command, command="init")
export = partial(task_command, command="export")
data = partial(command_group, verb="data", summary=_DATA)
inspect = partial(command_group, verb="inspect", summary=_INSPECT)
