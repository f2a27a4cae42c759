"""`argus predict` for hands: a predictor with what is asked of it, and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from argusvl.core.errors import ArgusError, DataError
from argusvl.manipulation.predict.finding import FINDER, SCORE_THRESHOLD, BoxFile, HandFinder, LooksForHands

if TYPE_CHECKING:
    from PIL import Image

    from argusvl.manipulation.predict.predictor import Hand, HandPredictor, HandQuery, Hands


def load_predictor(
    checkpoint: Path,
    *,
    device: str,
    side: Annotated[
        Literal["left", "right"] | None,
        typer.Option(help="Which hand they are; without it the one of which the model is surer."),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            metavar="LEFT,TOP,RIGHT,BOTTOM",
            help="Look at one hand, there in every picture, pixels; `whole`: it fills the picture.",
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl", help="Look where this file says, e.g. a track; lines as of `argus predict`."
        ),
    ] = None,
    finder: Annotated[
        str, typer.Option(metavar="CHECKPOINT", help="The detector that finds the hands.")
    ] = FINDER,
    score_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out hands that the detector gives less, from 0 to 1.")
    ] = SCORE_THRESHOLD,
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="FX,FY,CX,CY", help="K of the pictures, pixels; without it a telephone's is assumed."
        ),
    ] = None,
) -> HandStream:
    """Find the hands of images, and the 21 joints of each, in the image and in space.

    One line of JSON for each image, with its hands: box, side and score, joints in its pixels and in millimetres
    before the camera, confidences, and, where a joint is likely to touch one, the object that is held. With --box the
    line is that hand alone. Without K distances are a guess; a hand's shape is not.

    Examples:

        argus predict argus-hand photo.jpg --draw out/

        argus predict argus-hand hand.jpg --box whole --side left

        argus predict runs/hands film/ --boxes track.jsonl --camera 915,915,640,360
    """
    from argusvl.manipulation.predict.checkpoint import HandAssets

    HandAssets.load(checkpoint)
    if box is not None and boxes is not None:
        raise DataError("--box and --boxes contradict each other", remedy="give one of them")

    from argusvl.manipulation.predict.predictor import (
        HandPredictor,
        HandQuery,
        four_numbers,
        parse_camera_option,
    )

    known = None if camera is None else parse_camera_option(camera)
    place = None
    if box not in (None, "whole"):
        place = four_numbers(box, "--box", "write left,top,right,bottom in pixels, or whole")
    where: LooksForHands | None = None
    if boxes is not None:
        where = BoxFile(boxes)
    elif box is None:
        where = HandFinder.from_pretrained(finder, device=device, threshold=score_threshold)
    predictor = HandPredictor.from_pretrained(checkpoint, device=device)
    return HandStream(predictor, HandQuery(place, side, known), where)


@dataclass(frozen=True, slots=True)
class HandStream:
    """A predictor with what is asked of every picture; meets :class:`argusvl.task_parts.Predictor`.

    Without a finder the query is about the hand itself, else about side and camera.
    """

    predictor: HandPredictor
    query: HandQuery
    finder: LooksForHands | None = None

    def stream(
        self, images: Sequence[Path], *, batch_size: int, on_error: Callable[[Path, ArgusError], None]
    ) -> Iterator[tuple[Path, Hand | Hands]]:
        """Hands in the order of the images."""
        predictor, query = self.predictor, self.query
        how: dict[str, Any] = {"batch_size": batch_size, "on_error": on_error}
        if self.finder is None:
            return predictor.stream(images, query, **how)
        return predictor.find(images, self.finder, side=query.side, camera=query.camera, **how)


def draw(image: Path, prediction: Hand | Hands, *, font_path: Path | None) -> Image.Image:
    """The skeletons on the image, and the surest hand in space."""
    from argusvl.core.images import open_image
    from argusvl.manipulation.predict.predictor import Hands
    from argusvl.manipulation.report.drawing import draw_in_space, draw_skeleton, side_by_side

    hands = prediction.hands if isinstance(prediction, Hands) else [prediction]
    picture = open_image(image, exif="upright")
    for hand in reversed(hands):
        picture = draw_skeleton(picture, hand.joints_px)
    size = min(512, picture.height)
    picture = picture.resize((max(1, round(picture.width * size / picture.height)), size))
    told = ", ".join(f"{hand.side} hand" for hand in hands) or "no hand"
    views = [(told, picture)]
    if hands:
        views += [
            ("from the front", draw_in_space(hands[0].joints_m, size)),
            ("from the side", draw_in_space(hands[0].joints_m, size, axes=(2, 1))),
        ]
    return side_by_side(views)
