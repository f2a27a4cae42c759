"""The paths of the command line, read in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.models import ParameterInfo

from argusvl.core.files import user_path


def read_paths(target: Callable[..., Any] | typer.Typer) -> None:
    """Lets a verb, or every verb of an app, read its paths by :func:`~argusvl.core.files.user_path`."""
    if isinstance(target, typer.Typer):
        for command in target.registered_commands:
            if command.callback is not None:
                read_paths(command.callback)
        return
    hints = get_type_hints(target, include_extras=True)
    for hint in hints.values():
        if get_origin(hint) is not Annotated:
            continue
        kind, *details = get_args(hint)
        if kind is Path or Path in get_args(kind):  # or ``Path | None``, or ``list[Path]``
            for parameter in details:
                if isinstance(parameter, ParameterInfo):
                    parameter.parser = user_path
    target.__annotations__ = hints  # written as text, they would be read, and so made, anew
