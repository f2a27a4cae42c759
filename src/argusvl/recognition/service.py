"""What `argus serve --store` answers by a support store: `/v1/recognize`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from argusvl.task_parts import Endpoint, Service, Upload


class RecognizeSettings(BaseModel):
    """What may be asked of the store."""

    model_config = ConfigDict(extra="forbid")

    threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Probability of being known below which a picture is Unknown; 0: nothing is.",
    )


class RecognizedClass(BaseModel):
    """Which of the enrolled classes a picture shows."""

    label: str = Field(description="A class, or Unknown.")
    nearest: str = Field(description="The best class in any case.")
    score: float = Field(ge=0, le=1, description="Probability that the picture is of a known class.")
    margin: float = Field(
        description="Between the best two classes; small where they are hard to tell apart."
    )
    possible: list[str] = Field(
        description="Classes that hold the true one nine times out of ten, if the picture is of a known class."
    )
    example_of: str | None = Field(description="The class whose example this very file is.")


def load_service(store: Path, *, backbone: str | None, device: str) -> Service:
    """Loads a support store to be asked from outside, as ``FewShotClassifier.load`` does.

    Raises:
        ArgusError: It is no such store, or its backbone cannot be loaded.
    """
    import numpy as np
    import torch

    from argusvl.recognition.decoding import decode_bytes
    from argusvl.recognition.extraction.shards import Rows
    from argusvl.recognition.few_shot.classification import ClassifyOptions, FewShotClassifier

    options = ClassifyOptions(threshold=0)  # each question has its own
    learned = FewShotClassifier.load(store, options, backbone=backbone, device=device)
    lane, network = learned.store.lane, learned.backbone

    def prepare(upload: Upload, settings: RecognizeSettings) -> tuple[Any, str]:
        picture = decode_bytes(upload.data, "image", lane, network.decode_side_px)
        return network.preprocess(picture), hashlib.sha256(upload.data).hexdigest()

    def recognized(
        asked: Sequence[tuple[Any, str]], settings: Sequence[RecognizeSettings]
    ) -> list[RecognizedClass]:
        pixels, digests = zip(*asked, strict=True)
        vectors = network.embed(torch.stack(pixels)).numpy().astype(np.float32)
        lines = learned.lines(Rows(["image"] * len(asked), list(digests), vectors))
        return [recognized_class(line, own.threshold) for line, own in zip(lines, settings, strict=True)]

    endpoint = Endpoint(
        path="/v1/recognize",
        summary="Recognise what a picture shows, by the examples of a store",
        settings=RecognizeSettings,
        found=RecognizedClass,
        prepare=prepare,
        answer=recognized,
        example=_EXAMPLE,
    )
    return Service("recognition", (endpoint,), tuple(learned.labels))


def recognized_class(line: Mapping[str, Any], threshold: float) -> RecognizedClass:
    """What a line of ``argus recognize classify`` says; less than the threshold: Unknown."""
    from argusvl.recognition.few_shot.unknown import UNKNOWN

    return RecognizedClass(
        label=line["nearest"] if line["score"] >= threshold else UNKNOWN,
        nearest=line["nearest"],
        score=line["score"],
        margin=line["margin"],
        possible=line["set"],
        example_of=line.get("example_of"),
    )


def store_fingerprint(store: Path) -> str:
    """Tells a store from every other: by its examples and by what made their vectors."""
    from argusvl.recognition.few_shot.enrolment import SupportStore

    return hashlib.blake2b(SupportStore.open(store).text().encode(), digest_size=16).hexdigest()


_EXAMPLE = {
    "label": "scratch",
    "nearest": "scratch",
    "score": 0.93,
    "margin": 0.41,
    "possible": ["scratch"],
    "example_of": "scratch",
}
