"""What agents may ask of the hand model: hands and their joints, in the picture and in space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from argusvl.task_parts import AgentTool, Workplace

if TYPE_CHECKING:
    from argusvl.manipulation.predict.finding import HandFinder
    from argusvl.manipulation.predict.predictor import Hand, HandPredictor

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


class HandJoint(BaseModel, extra="forbid", frozen=True):
    """A joint."""

    name: str
    xy_px: list[float] = Field(description="In the picture as it is seen, pixels.")
    xyz_mm: list[float] = Field(description="Before the camera, millimetres: right, down, away.")
    confidence: float = Field(description="0 to 1.")


class HeldObject(BaseModel, extra="forbid", frozen=True):
    """What the hand is likely to touch."""

    name: str
    pose_mm: list[list[float]] = Field(description="3 × 4: rotation and translation, object → camera.")


class FoundHand(BaseModel, extra="forbid", frozen=True):
    """The 21 joints of a hand, from the wrist to the little finger's tip."""

    side: str
    box_xyxy_px: list[float] = Field(description="Where it was looked for, pixels.")
    score: float | None = Field(
        description="How sure it is that there is a hand; null where the box was given."
    )
    joints: list[HandJoint]
    held: HeldObject | None = None


class FoundHands(BaseModel, extra="forbid", frozen=True):
    """The hands of an image, the surest first."""

    image: str
    hands: list[FoundHand]
    note: str = Field(default="", description="What to know of the image.")


def _hands(place: Workplace, request: HandRequest) -> FoundHands:
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
    return FoundHands(image=place.shown(image), hands=[_found(hand) for hand in found.hands], note=found.note)


def _found(hand: Hand) -> FoundHand:
    from argusvl.manipulation.data.joints import JOINTS

    line = hand.to_jsonl("")
    joints = [
        HandJoint(name=name, xy_px=xy, xyz_mm=xyz, confidence=line["confidence"][name])
        for name, xy, xyz in zip(JOINTS, line["joints_px"], line["joints_mm"], strict=True)
    ]
    held = line.get("object")
    return FoundHand(
        side=hand.side,
        box_xyxy_px=hand.box_xyxy_px.round(2).tolist(),
        score=hand.score,
        joints=joints,
        held=None if held is None else HeldObject(**held),
    )


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
        FoundHands,
        _hands,
    ),
)
