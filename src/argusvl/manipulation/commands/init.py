"""``argus init --task manipulation``: writes a configuration for a data set of hands to stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argusvl.manipulation.commands.options import FormatOption, ReaderOption, reader_options


def init(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The data set: a folder, or a coco JSON.")],
    val: Annotated[Path | None, typer.Option(help="Held-out data of the same format.")] = None,
    format: FormatOption = "folder",  # noqa: A002 - the name of the option
    option: ReaderOption = None,
    val_option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Option of the reader for the held-out data."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FOLDER",
            help="Checkpoint to start from, such as argus-hand; by default a new model.",
        ),
    ] = None,
) -> None:
    """Write a complete configuration for a data set of hands, commented with why each value is what it is.

    Examples:

        argus init --task manipulation data/hands/train --val data/hands/test > hands.yaml

        argus init --task manipulation FreiHAND --format freihand --model argus-hand > freihand.yaml
    """
    from argusvl.manipulation.init import make_starting_config

    text = make_starting_config(data, val, format, reader_options(option), reader_options(val_option), model)
    typer.echo(text, nl=False)
