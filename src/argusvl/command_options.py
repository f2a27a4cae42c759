"""Arguments and options of commands that several tasks or verbs have, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from argusvl.assets import MODELS

Checkpoint = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT",
        help=f"A checkpoint, a run for its best one, or what ships: {', '.join(MODELS)}.",
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(help="Folder that image paths are relative to; the JSONL file's own by default."),
]
Device = Annotated[
    str, typer.Option(help="Where to compute: auto (a GPU where there is one), cpu, cuda or cuda:N.")
]
Engine = Annotated[
    Literal["local", "ray"], typer.Option(help="This process, or Ray Data on one machine or many (an extra).")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads; as many as there are cores by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write the result to stdout as JSON.")]
