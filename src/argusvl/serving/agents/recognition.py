"""What agents may ask of a support store: the class of an image by a few examples, or that it is unknown."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

from pydantic import BaseModel, Field

from argusvl.core.errors import ArgusError, ImageError
from argusvl.recognition.service import RecognizedClass, recognized_class
from argusvl.serving.agents.workplace import LocalWorkplace
from argusvl.task_parts import AgentTool, Workplace


class RecognizeRequest(BaseModel, extra="forbid", frozen=True):
    """An image to sort."""

    image: str = Field(description="Path of the image, in a folder of this server.")
    store: str | None = Field(
        default=None, description="Name of a support store, as list_places says; the first by default."
    )


class ClassOfImage(RecognizedClass, extra="forbid"):
    """Which of the enrolled classes an image shows."""

    image: str


def _recognize(place: Workplace, request: RecognizeRequest) -> ClassOfImage:
    stores = cast(LocalWorkplace, place).stores
    name = request.store or next(iter(stores))
    if name not in stores:
        raise ArgusError(f"there is no support store {name!r}", remedy=f"name one of: {', '.join(stores)}")
    image = place.image(request.image)

    from argusvl.recognition.few_shot.classification import ClassifyOptions, FewShotClassifier, classify
    from argusvl.recognition.few_shot.embeddings import query_vectors

    options = ClassifyOptions()
    learned = place.loaded(stores[name], lambda store: FewShotClassifier.load(store, options))
    with tempfile.TemporaryDirectory(prefix="argus-agents-") as cache:
        lane = learned.store.lane
        queries = query_vectors([image], learned.backbone, lane, Path(cache), workers=1, progress=False)
        (line,) = classify(learned, queries.store)
    if "error" in line:
        raise ImageError(str(line["error"]), where=place.shown(image), remedy="name another image")
    return ClassOfImage(**dict(recognized_class(line, options.threshold)), image=place.shown(image))


TOOLS = (
    AgentTool(
        "recognize",
        "Say which class an image is of, by the few examples of a support store, or that it is of none of them.",
        RecognizeRequest,
        ClassOfImage,
        _recognize,
    ),
)
