"""`argus predict` for hands: a predictor with what is asked of it, and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from argusvl.core.errors import ArgusError, DataError

if TYPE_CHECKING:
    from PIL import Image

    from argusvl.manipulation.data.checking import Floats
    from argusvl.manipulation.predict.predictor import Hand, HandPredictor, HandQuery


def load_predictor(
    checkpoint: Path,
    *,
    device: str,
    side: Annotated[
        Literal["left", "right"] | None,
        typer.Option(help="Which hand the pictures show; without it, a right one is assumed."),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            metavar="LEFT,TOP,RIGHT,BOTTOM",
            help="Where the hand is, pixels, in every picture; without it the hand fills the picture.",
        ),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="FX,FY,CX,CY", help="K of the pictures, pixels; without it a telephone's is assumed."
        ),
    ] = None,
) -> HandStream:
    """Find the 21 joints of a hand in images, in the image and in space.

    One line of JSON for each image: joints in its pixels and in millimetres before the camera, confidences, and,
    where a joint is likely to touch one, the object that is held. Without K distances are a guess; the hand's shape is
    not.

    Examples:

        argus predict argus-hand hand.jpg --draw out/

        argus predict runs/hands photos/ --camera 915,915,640,360 --side left
    """
    from argusvl.manipulation.predict.checkpoint import HandAssets

    HandAssets.load(checkpoint)

    from argusvl.manipulation.predict.predictor import HandPredictor, HandQuery, parse_camera_option

    query = HandQuery(
        None if box is None else _four(box),
        side,
        None if camera is None else parse_camera_option(camera),
    )
    return HandStream(HandPredictor.from_pretrained(checkpoint, device=device), query)


@dataclass(frozen=True, slots=True)
class HandStream:
    """A predictor with a query for every picture; meets :class:`argusvl.task_parts.Predictor`."""

    predictor: HandPredictor
    query: HandQuery

    def stream(
        self, images: Sequence[Path], *, batch_size: int, on_error: Callable[[Path, ArgusError], None]
    ) -> Iterator[tuple[Path, Hand]]:
        """Hands in the order of the images."""
        return self.predictor.stream(images, self.query, batch_size=batch_size, on_error=on_error)


def draw(image: Path, prediction: Hand, *, font_path: Path | None) -> Image.Image:
    """The skeleton on the image, and the hand in space."""
    from argusvl.core.images import open_image
    from argusvl.manipulation.report.drawing import draw_in_space, draw_skeleton, side_by_side

    picture = draw_skeleton(open_image(image, exif="upright"), prediction.joints_px)
    size = min(512, picture.height)
    picture = picture.resize((max(1, round(picture.width * size / picture.height)), size))
    return side_by_side(
        [
            (f"{prediction.side} hand", picture),
            ("from the front", draw_in_space(prediction.joints_m, size)),
            ("from the side", draw_in_space(prediction.joints_m, size, axes=(2, 1))),
        ]
    )


def _four(text: str) -> Floats:
    import numpy as np

    try:
        numbers = np.array([float(part) for part in text.split(",")])
    except ValueError:
        numbers = np.zeros(0)
    if numbers.shape != (4,):
        raise DataError(
            f"{text!r} is not four numbers", where="--box", remedy="write left,top,right,bottom in pixels"
        )
    return numbers
