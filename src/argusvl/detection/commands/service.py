"""What `argus serve` answers with a detection checkpoint: `/v1/detect` by its head, `/v1/describe` by its words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from argusvl.detection.measure.pairing import SCORE_THRESHOLD
from argusvl.task_parts import Endpoint, Service, Upload

if TYPE_CHECKING:
    from argusvl.detection.data.detections import Detections
    from argusvl.detection.predict.inference import Question
    from argusvl.detection.predict.text_path import TextPrediction

MAX_NEW_TOKENS = 1024
"""Longest answer that may be asked for."""

_Box = Annotated[
    tuple[float, float, float, float],
    Field(description="Left, top, right, bottom in pixels of the upright picture."),
]


class DetectSettings(BaseModel, extra="forbid"):
    """What may be asked of the head."""

    threshold: float = Field(
        SCORE_THRESHOLD, ge=0, le=1, allow_inf_nan=False, description="Objects that score less are left out."
    )


class FoundObject(BaseModel):
    """An object that the head has found."""

    box_xyxy_px: _Box
    score: float = Field(
        ge=0, le=1, description="Probability that box and label are right, where scores are calibrated."
    )
    label: str = Field(description="The most probable label of the model's vocabulary.")
    label_score: float = Field(ge=0, le=1, description="Probability of the label among the vocabulary.")
    description: str = Field(description="What the model says of it; its label where it says nothing.")


class FoundObjects(BaseModel):
    """What the head has found, best first."""

    objects: list[FoundObject]


class DescribeSettings(BaseModel, extra="forbid"):
    """What may be asked of the language model."""

    max_new_tokens: int = Field(
        256, ge=1, le=MAX_NEW_TOKENS, description="The answer is cut after so many tokens."
    )


class WrittenObject(BaseModel):
    """An object that the language model has written down."""

    box_xyxy_px: _Box
    description: str


class WrittenObjects(BaseModel):
    """The language model's answer, and what could be read out of it."""

    objects: list[WrittenObject]
    text: str = Field(description="The answer as it was written.")
    complete: bool = Field(description="Whether the answer ended by itself.")
    dropped: list[str] = Field(description="Parts of the answer that are no object, and why.")


def load_service(checkpoint: Path, *, device: str) -> Service:
    """Loads a detection checkpoint to be asked from outside."""
    from argusvl.detection.data.checkpoint_layout import assets_file

    assets_file(checkpoint)

    from argusvl.detection.predict.predictor import Predictor

    predictor = Predictor.from_pretrained(checkpoint, device=device)
    endpoints = []

    def question(upload: Upload, settings: DetectSettings | DescribeSettings) -> Question:
        return predictor.question(upload.picture())

    if predictor.model.config.detection_enabled:
        detect = predictor.detector()

        def found(questions: Sequence[Question], settings: Sequence[DetectSettings]) -> list[FoundObjects]:
            return [found_objects(one) for one in detect(questions, [asked.threshold for asked in settings])]

        endpoints.append(
            Endpoint(
                path="/v1/detect",
                summary="Find and describe the objects of a picture",
                settings=DetectSettings,
                found=FoundObjects,
                prepare=question,
                answer=found,
                example=_FOUND_EXAMPLE,
            )
        )

    def written(questions: Sequence[Question], settings: Sequence[DescribeSettings]) -> list[WrittenObjects]:
        most = settings[0].max_new_tokens  # the same for all, by `together`
        return [_written(one) for one in predictor.write(questions, max_new_tokens=most)]

    endpoints.append(
        Endpoint(
            path="/v1/describe",
            summary="Let the language model write the objects of a picture down",
            settings=DescribeSettings,
            found=WrittenObjects,
            prepare=question,
            answer=written,
            example=_WRITTEN_EXAMPLE,
            together=lambda settings: settings.max_new_tokens,
        )
    )
    return Service("detection", tuple(endpoints), tuple(predictor.assets.labels))


def found_objects(detections: Detections) -> FoundObjects:
    """The numbers are those of a line of `argus predict`."""
    return FoundObjects(
        objects=[
            FoundObject(
                box_xyxy_px=one["bbox_2d"],
                score=one["score"],
                label=one["label"],
                label_score=one["label_score"],
                description=one.get("desc") or one["label"],
            )
            for one in detections.to_jsonl("")["objects"]
        ]
    )


def _written(answer: TextPrediction) -> WrittenObjects:
    lines = answer.detections.to_jsonl("")["objects"]
    return WrittenObjects(
        objects=[WrittenObject(box_xyxy_px=one["bbox_2d"], description=one["desc"]) for one in lines],
        text=answer.text,
        complete=answer.complete,
        dropped=list(answer.dropped),
    )


_FOUND_EXAMPLE = {
    "objects": [
        {
            "box_xyxy_px": [12.5, 40.0, 96.25, 128.0],
            "score": 0.91,
            "label": "十字",
            "label_score": 0.97,
            "description": "十字/红色",
        }
    ]
}
_WRITTEN_EXAMPLE = {
    "objects": [{"box_xyxy_px": [12.0, 40.0, 96.0, 128.0], "description": "十字/红色"}],
    "text": '[{"bbox_2d": [12, 40, 96, 128], "label": "十字/红色"}]',
    "complete": True,
    "dropped": [],
}
