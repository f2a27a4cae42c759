"""`argus data prelabel`: what a model has found, for an annotator to correct."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from argusvl.core.terminal import say
from argusvl.core.wording import counted


def prelabel(
    found: Annotated[
        Path, typer.Argument(metavar="FOUND.jsonl", help="What `argus predict RUN PHOTOS --out` wrote.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make, for Label Studio to serve.")],
    labels: Annotated[
        str,
        typer.Option(
            metavar="A,B,…", help="Labels to offer even where none was found; those found are always."
        ),
    ] = "",
    model_version: Annotated[str, typer.Option(help="What Label Studio calls the model.")] = "argus",
    served: Annotated[
        Path | None,
        typer.Option(help="Folder that Label Studio serves, with OUT in it; OUT itself by default."),
    ] = None,
    images: Annotated[
        Literal["copy", "link"], typer.Option(help="Copy the photographs, or hard-link them.")
    ] = "copy",
) -> None:
    """Write predictions as Label Studio tasks with pre-labels, with the labelling interface and the photographs.

    Examples:

        argus data prelabel found.jsonl labelling/

        argus data prelabel found.jsonl labelling/round-2 --served labelling --labels RBC,WBC --images link
    """
    from argusvl.detection.data.prelabels import write_prelabels

    offered = [label.strip() for label in labels.split(",") if label.strip()]
    done = write_prelabels(
        found, out, model_version=model_version, labels=offered, images=images, served=served
    )
    say(
        f"{counted(done.images, 'task')} with {done.boxes} pre-labelled boxes of {counted(len(done.labels), 'label')} "
        f"written to {out}."
    )
