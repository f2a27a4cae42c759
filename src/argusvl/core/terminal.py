"""Where commands write: data on stdout, everything for people on stderr."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from argus_doctor.rendering import answer_console as answer_console

if TYPE_CHECKING:
    from rich.console import Console

FOUND_SOMETHING = 1
"""Exit code: done, and something is wrong with what was asked about."""


def console() -> Console:
    """A console on stderr for tables, progress and messages."""
    from rich.console import Console

    return Console(stderr=True)


def say(text: str) -> None:
    """A sentence on stderr: as it is written, its lines not broken."""
    from rich.text import Text

    # Of a bare text rich would make emoji: ``:cat:`` may be a file's name.
    console().print(Text(text), soft_wrap=True)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON value on stdout, for ``--json``; Chinese text stays readable."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=indent))
