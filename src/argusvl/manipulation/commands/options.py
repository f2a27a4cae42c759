"""Options that several commands for hands have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from argusvl.core.errors import ConfigError
from argusvl.manipulation.data.reading import Format

FormatOption = Annotated[Format, typer.Option(help="How the data are laid out.")]
ReaderOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="Option of the reader, such as setup=s0; may be given several times."
    ),
]


def reader_options(texts: Sequence[str] | None) -> dict[str, str]:
    """``NAME=VALUE`` each → a mapping.

    Raises:
        ConfigError: One has no value.
    """
    options = {}
    for text in texts or ():
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"{text!r} has no value", where="--option", remedy="write NAME=VALUE")
        options[name] = value
    return options
