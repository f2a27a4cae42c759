"""What agents may ask of the hand model: the joints of a hand, in the picture and in space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from argusvl.task_parts import AgentTool, Workplace

if TYPE_CHECKING:
    from argusvl.manipulation.predict.predictor import HandPredictor

TASK = "manipulation"
Four = tuple[float, float, float, float]


class HandRequest(BaseModel, extra="forbid", frozen=True):
    """A picture with a hand in it."""

    image: str = Field(description="Path of the image, in a folder of this server.")
    checkpoint: str | None = Field(
        default=None, description="Name of a hand checkpoint, as list_places says; the first by default."
    )
    box_xyxy_px: Four | None = Field(
        default=None, description="Where the hand is, pixels; without it the hand fills the picture."
    )
    side: Literal["left", "right"] | None = Field(
        default=None, description="Which hand; a right one by default."
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

    image: str
    side: str
    joints: list[HandJoint]
    held: HeldObject | None = None
    note: str = Field(default="", description="What to know of the image.")


def _hands(place: Workplace, request: HandRequest) -> FoundHand:
    image = place.image(request.image)
    folder = place.checkpoint(request.checkpoint, TASK)

    import numpy as np

    from argusvl.manipulation.data.joints import JOINTS
    from argusvl.manipulation.predict.predictor import HandQuery
    from argusvl.synthetic.hands.camera import camera_matrix

    query = HandQuery(
        None if request.box_xyxy_px is None else np.array(request.box_xyxy_px),
        request.side,
        None if request.camera is None else camera_matrix(*request.camera),
    )
    (hand,) = place.loaded(folder, _load).predict([image], [query])
    line = hand.to_jsonl(place.shown(image))
    joints = [
        HandJoint(name=name, xy_px=xy, xyz_mm=xyz, confidence=line["confidence"][name])
        for name, xy, xyz in zip(JOINTS, line["joints_px"], line["joints_mm"], strict=True)
    ]
    held = line.get("object")
    return FoundHand(
        image=line["image"],
        side=hand.side,
        joints=joints,
        held=None if held is None else HeldObject(**held),
        note=hand.note,
    )


def _load(folder: Path) -> HandPredictor:
    from argusvl.manipulation.predict.predictor import HandPredictor

    return HandPredictor.from_pretrained(folder)


TOOLS = (
    AgentTool(
        "find_hand",
        "Find the 21 joints of one hand in an image, in pixels and in millimetres, and what it holds. It looks at "
        "the box that it is given: it does not search the image, and always answers with a hand, whether or not "
        "there is one; confidences tell.",
        HandRequest,
        FoundHand,
        _hands,
    ),
)
