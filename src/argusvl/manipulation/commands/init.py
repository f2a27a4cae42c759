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

    base = None
    if model is not None:
        from argusvl.assets import model_folder
        from argusvl.core.files import read_json_object
        from argusvl.manipulation.predict.checkpoint import HandAssets
        from argusvl.run.checkpoints import checkpoint_at

        folder = checkpoint_at(model_folder(model))
        assets = HandAssets.load(folder)
        shape = read_json_object(folder / "config.json", remedy="copy the checkpoint again")
        base = model, assets, shape
    text = make_starting_config(data, val, format, reader_options(option), reader_options(val_option), base)
    typer.echo(text, nl=False)
