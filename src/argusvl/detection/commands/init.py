"""``argus init``: writes a configuration for a data set to stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argusvl.command_options import Root
from argusvl.core.terminal import say


def init(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A data folder with train.jsonl, or a JSONL file of training records."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FOLDER",
            help="What to start from: argus-tiny, a checkpoint of ours, a Qwen2.5-VL folder in hub layout, or random. "
            "By default argus-tiny where it ships with the installation, else random.",
        ),
    ] = None,
    lora: Annotated[
        bool,
        typer.Option(
            "--lora", help="Train adapters (LoRA) in the frozen weights of the Qwen2.5-VL of --model."
        ),
    ] = False,
    root: Root = None,
    price: Annotated[
        bool, typer.Option(help="Time a step of a small model here, and say what the run costs in minutes.")
    ] = True,
) -> None:
    """Write a complete configuration for a data set, commented with why each value is what it is.

    Reads every record and every image's header, looks at a hundred pictures, and counts the conversations by the
    tokenizer that the run will have.

    Examples:

        argus init data/ > my.yaml

        argus init data/ --model runs/demo/best > my.yaml

        argus init data/ --model models/Qwen2.5-VL-3B-Instruct --lora > my.yaml
    """
    from argusvl.detection.init import make_starting_config

    made = make_starting_config(data, model=model, root=root, lora=lora, progress=True)
    typer.echo(made.yaml, nl=False)
    for note in made.notes:
        say(f"Note: {note}.")
    if price and made.is_small:
        from argusvl.detection.commands.step_time import price as minutes

        say("Timing a step of this run (--no-price leaves it out) …")
        say(f"Note: {minutes(made.config)}.")
