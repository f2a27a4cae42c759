"""What `argus serve` answers with a checkpoint of hands: `/v1/hands`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from argusvl.task_parts import Endpoint, Service, Upload

if TYPE_CHECKING:
    from argusvl.manipulation.data.checking import Floats
    from argusvl.manipulation.predict.predictor import CutHand, Hand

_NUMBER = r"-?\d{1,6}(\.\d{1,6})?"
_FOUR = rf"^{_NUMBER}(,{_NUMBER}){{3}}$"


class HandSettings(BaseModel):
    """What may be said of the hand."""

    model_config = ConfigDict(extra="forbid")

    side: Literal["left", "right"] | None = Field(None, description="Which hand it is; right where not said.")
    box: str | None = Field(
        None,
        pattern=_FOUR,
        description="left,top,right,bottom about the hand, pixels of the upright picture; all of it where not said.",
    )
    camera: str | None = Field(
        None,
        pattern=_FOUR,
        description="fx,fy,cx,cy of the upright picture, pixels; a telephone's where not said.",
    )


class HeldObject(BaseModel):
    """An object that a hand is likely to touch."""

    name: str
    pose_mm: list[tuple[float, float, float, float]] = Field(
        min_length=3,
        max_length=3,
        description="Rotation and translation, the object's frame to the camera's; millimetres.",
    )
    contact: dict[str, float] = Field(description="Probability, for each joint, that it touches.")


class FoundHand(BaseModel):
    """A hand: 21 joints, from the wrist to the tip of the little finger."""

    box_xyxy_px: tuple[float, float, float, float] = Field(description="The box that was looked at, pixels.")
    side: Literal["left", "right"]
    joints_px: list[tuple[float, float]] = Field(
        min_length=21, max_length=21, description="In pixels of the upright picture."
    )
    joints_mm: list[tuple[float, float, float]] = Field(
        min_length=21, max_length=21, description="Relative to the wrist, along the camera's axes."
    )
    wrist_mm: tuple[float, float, float] = Field(description="Where the wrist is, in the camera's frame.")
    confidence: dict[str, float] = Field(description="From 0 to 1, for each joint by its name.")
    camera: list[tuple[float, float, float]] = Field(description="K, given or assumed.")
    held: HeldObject | None = Field(description="What it holds, where it is likely to touch something.")
    note: str = Field(description="What was assumed.")


class FoundHands(BaseModel):
    """The hand that was looked at."""

    hands: list[FoundHand]


def load_service(checkpoint: Path, *, device: str) -> Service:
    """Loads a checkpoint of hands to be asked from outside."""
    from argusvl.manipulation.predict.checkpoint import HandAssets

    HandAssets.load(checkpoint)

    import numpy as np

    from argusvl.manipulation.predict.predictor import HandPredictor, HandQuery, parse_camera_option

    predictor = HandPredictor.from_pretrained(checkpoint, device=device)

    def cut(upload: Upload, settings: HandSettings) -> tuple[CutHand, Floats]:
        box = None if settings.box is None else np.array([float(part) for part in settings.box.split(",")])
        camera = None if settings.camera is None else parse_camera_option(settings.camera)
        looked_at = np.array([0.0, 0.0, *upload.size]) if box is None else box
        return predictor.cut(upload.picture(), HandQuery(box, settings.side, camera)), looked_at

    def found(cuts: Sequence[tuple[CutHand, Floats]], settings: Sequence[HandSettings]) -> list[FoundHands]:
        hands = predictor.predict_cuts([cut for cut, _ in cuts])
        return [FoundHands(hands=[_found(hand, box)]) for hand, (_, box) in zip(hands, cuts, strict=True)]

    endpoint = Endpoint(
        path="/v1/hands",
        summary="Find the 21 joints of a hand, in the picture and in space",
        settings=HandSettings,
        found=FoundHands,
        prepare=cut,
        answer=found,
        example=_EXAMPLE,
    )
    return Service("manipulation", (endpoint,), tuple(predictor.model.config.objects))


def _found(hand: Hand, box: Floats) -> FoundHand:
    """The numbers are those of a line of `argus predict`, but for the wrist, which is taken off."""
    line = hand.to_jsonl("")
    joints_mm = hand.joints_m * 1000
    held = line.get("object")
    return FoundHand(
        box_xyxy_px=tuple(box.round(2).tolist()),
        side=hand.side,
        joints_px=line["joints_px"],
        joints_mm=(joints_mm - joints_mm[0]).round(2).tolist(),
        wrist_mm=tuple(joints_mm[0].round(2).tolist()),
        confidence=line["confidence"],
        camera=line["K"],
        held=None if held is None else HeldObject(**held, contact=line["contact"]),
        note=hand.note,
    )


_EXAMPLE = {
    "hands": [
        {
            "box_xyxy_px": [0.0, 0.0, 224.0, 224.0],
            "side": "right",
            "joints_px": [[112.0 + k, 150.0 - 4 * k] for k in range(21)],
            "joints_mm": [[2.0 * k, -8.0 * k, 0.5 * k] for k in range(21)],
            "wrist_mm": [0.0, 60.0, 420.0],
            "confidence": {"wrist": 0.98},
            "camera": [[268.8, 0.0, 112.0], [0.0, 268.8, 112.0], [0.0, 0.0, 1.0]],
            "held": {
                "name": "sphere",
                "pose_mm": [[1.0, 0.0, 0.0, 4.0], [0.0, 1.0, 0.0, 20.0], [0.0, 0.0, 1.0, 430.0]],
                "contact": {"thumb_tip": 0.9},
            },
            "note": "no side was given: it is taken for a right hand",
        }
    ]
}
