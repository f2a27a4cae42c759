"""What `argus serve` answers with a checkpoint of hands: `/v1/hands`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from argusvl.task_parts import Endpoint, Service, Upload

if TYPE_CHECKING:
    from argusvl.manipulation.data.checking import Floats
    from argusvl.manipulation.predict.predictor import CutHand, Hand

_NUMBER = r"-?\d{1,6}(\.\d{1,6})?"
_FOUR = rf"^{_NUMBER}(,{_NUMBER}){{3}}$"


class HandSettings(BaseModel, extra="forbid"):
    """What may be said of the hand."""

    side: Literal["left", "right"] | None = Field(
        None, description="Which hand it is; where not said, the one of which the model is surer."
    )
    box: str | None = Field(
        None,
        pattern=_FOUR,
        description="left,top,right,bottom about one hand, pixels of the upright picture; without it hands are "
        "searched for.",
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
    score: float | None = Field(
        description="How sure it is that there is a hand; null where the box was given."
    )
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
    """The hand that was looked at, or all that were found, the surest first."""

    hands: list[FoundHand]


def load_service(checkpoint: Path, *, device: str) -> Service:
    """Loads a checkpoint of hands to be asked from outside."""
    from argusvl.manipulation.predict.checkpoint import HandAssets

    HandAssets.load(checkpoint)

    from argusvl.manipulation.data.checking import camera_problem
    from argusvl.manipulation.data.records import record_error
    from argusvl.manipulation.predict.finding import HandFinder
    from argusvl.manipulation.predict.predictor import (
        HandPredictor,
        HandQuery,
        four_numbers,
        parse_camera_option,
    )

    predictor = HandPredictor.from_pretrained(checkpoint, device=device)
    finder = HandFinder.from_pretrained(device=device)

    def camera_of(settings: HandSettings) -> Floats | None:
        return None if settings.camera is None else parse_camera_option(settings.camera)

    def prepare(upload: Upload, settings: HandSettings) -> tuple[CutHand, ...] | _Unsearched:
        camera = camera_of(settings)
        if settings.box is None:
            if camera is not None and (problem := camera_problem(camera)) is not None:
                raise record_error(problem, "camera")
            return _Unsearched(upload, finder.look(None, upload.picture()))
        box = four_numbers(settings.box, "box", "write left,top,right,bottom")
        return predictor.cut(upload.picture(), HandQuery(box, settings.side, camera))

    def answer(
        waiting: Sequence[tuple[CutHand, ...] | _Unsearched], settings: Sequence[HandSettings]
    ) -> list[FoundHands]:
        cuts = [one for one in waiting if not isinstance(one, _Unsearched)]
        told = iter(predictor.predict_cuts(cuts) if cuts else [])
        searched = [one for one in waiting if isinstance(one, _Unsearched)]
        boxes = iter(finder.found([one.looked for one in searched]) if searched else [])
        found = []
        for one, asked in zip(waiting, settings, strict=True):
            if isinstance(one, _Unsearched):
                own = next(boxes)
                # Decoded once more, and only where there is a hand: what waits is as small as it was sent.
                picture = one.upload.picture() if own else None
                hands = predictor.at(picture, own, asked.side, camera_of(asked)).hands if picture else ()
            else:
                hands = (next(told),)
            found.append(FoundHands(hands=[found_hand(hand) for hand in hands]))
        return found

    endpoint = Endpoint(
        path="/v1/hands",
        summary="Find hands and the 21 joints of each, in the picture and in space",
        settings=HandSettings,
        found=FoundHands,
        prepare=prepare,
        answer=answer,
        example=_EXAMPLE,
    )
    return Service("manipulation", (endpoint,), tuple(predictor.model.config.objects))


@dataclass(frozen=True, slots=True, eq=False)
class _Unsearched:
    """A picture, and what its finder has to know of it."""

    upload: Upload
    looked: Any


def found_hand(hand: Hand) -> FoundHand:
    """The numbers are those of a line of `argus predict`, but for the wrist, which is taken off."""
    line = hand.to_jsonl("")
    joints_mm = hand.joints_m * 1000
    held = line.get("object")
    return FoundHand(
        box_xyxy_px=tuple(hand.box_xyxy_px.round(2).tolist()),
        side=hand.side,
        score=hand.score,
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
            "score": 0.93,
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
            "note": "no K was given: a focal length of 269 px is assumed, distances are as good as that",
        }
    ]
}
