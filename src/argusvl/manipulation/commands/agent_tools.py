"""What agents may ask of the hand model: hands and their joints, in the picture and in space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from argusvl.manipulation.commands.service import FoundHands, found_hand
from argusvl.task_parts import AgentTool, Workplace

if TYPE_CHECKING:
    from argusvl.manipulation.predict.finding import HandFinder
    from argusvl.manipulation.predict.predictor import HandPredictor

TASK = "manipulation"
Four = tuple[float, float, float, float]


class HandRequest(BaseModel, extra="forbid", frozen=True):
    """A picture with hands in it."""

    image: str = Field(description="Path of the image, in a folder of this server.")
    checkpoint: str | None = Field(
        default=None, description="Name of a hand checkpoint, as list_places says; the first by default."
    )
    box_xyxy_px: Four | None = Field(
        default=None, description="Where one hand is, pixels; without it the picture is searched."
    )
    side: Literal["left", "right"] | None = Field(
        default=None, description="Which hand; by default the one of which the model is surer."
    )
    camera: Four | None = Field(
        default=None, description="fx, fy, cx, cy in pixels; a telephone's by default, and distances a guess."
    )


class HandsOfImage(FoundHands, extra="forbid"):
    """The hands of an image, the surest first."""

    image: str
    note: str = Field(default="", description="What to know of the image.")


def _hands(place: Workplace, request: HandRequest) -> HandsOfImage:
    image = place.image(request.image)
    folder = place.checkpoint(request.checkpoint, TASK)

    import numpy as np

    from argusvl.core.images import open_upright
    from argusvl.manipulation.predict.finding import HandBox
    from argusvl.synthetic.hands.camera import camera_matrix

    predictor, finder = place.loaded(folder, _load)
    picture, note = open_upright(image)
    if request.box_xyxy_px is None:
        (boxes,) = finder.found([finder.look(None, picture)])
    else:
        boxes = [HandBox(np.array(request.box_xyxy_px))]
    camera = None if request.camera is None else camera_matrix(*request.camera)
    found = predictor.at(picture, boxes, request.side, camera, note=note)
    hands = [found_hand(hand) for hand in found.hands]
    return HandsOfImage(hands=hands, image=place.shown(image), note=found.note)


def _load(folder: Path) -> tuple[HandPredictor, HandFinder]:
    from argusvl.manipulation.predict.finding import HandFinder
    from argusvl.manipulation.predict.predictor import HandPredictor

    return HandPredictor.from_pretrained(folder), HandFinder.from_pretrained()


TOOLS = (
    AgentTool(
        "find_hands",
        "Find the hands of an image, or one in a given box, and the 21 joints of each, in pixels and in millimetres, "
        "and what it holds. In a given box it always answers with a hand, whether or not there is one; confidences "
        "tell.",
        HandRequest,
        HandsOfImage,
        _hands,
    ),
)
