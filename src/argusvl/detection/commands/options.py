"""Options that several of detection's commands have."""

from __future__ import annotations

from typing import Annotated

import typer

OpenCaptions = Annotated[
    bool, typer.Option("--open-captions", help="Let descriptions be any text, not only those of training.")
]
RawScores = Annotated[
    bool, typer.Option("--raw-scores", help="Leave scores as the model gives them, not calibrated.")
]
Mirror = Annotated[
    bool,
    typer.Option(
        "--mirror", help="Look at the mirror image as well: boxes are more exact, for twice the time."
    ),
]

_TRAINED = "area of an image in training, pixels: a checkpoint of another is refused; its own by default."
TrainedMinPixels = Annotated[int | None, typer.Option(help=f"Smallest {_TRAINED}")]
TrainedMaxPixels = Annotated[int | None, typer.Option(help=f"Largest {_TRAINED}")]
