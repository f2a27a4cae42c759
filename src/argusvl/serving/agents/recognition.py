"""What agents may ask of a support store: the class of an image by a few examples, or that it is unknown."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

from pydantic import BaseModel, Field

from argusvl.core.errors import ArgusError, ImageError
from argusvl.serving.agents.workplace import LocalWorkplace
from argusvl.task_parts import AgentTool, Workplace


class RecognizeRequest(BaseModel, extra="forbid", frozen=True):
    """An image to sort."""

    image: str = Field(description="Path of the image, in a folder of this server.")
    store: str | None = Field(
        default=None, description="Name of a support store, as list_places says; the first by default."
    )


class Recognized(BaseModel, extra="forbid", frozen=True):
    """What an image is of."""

    image: str
    label: str = Field(description="The class, or Unknown.")
    nearest: str = Field(description="The best class in any case.")
    known: float = Field(description="Probability that the picture is of a known class at all.")
    margin: float = Field(
        description="Between the best two classes; small where they are hard to tell apart."
    )
    possible: list[str] = Field(description="Classes that hold the right one nine times in ten.")


def _recognize(place: Workplace, request: RecognizeRequest) -> Recognized:
    stores = cast(LocalWorkplace, place).stores
    name = request.store or next(iter(stores))
    if name not in stores:
        raise ArgusError(f"there is no support store {name!r}", remedy=f"name one of: {', '.join(stores)}")
    image = place.image(request.image)

    from argusvl.recognition.few_shot.classification import ClassifyOptions, FewShotClassifier, classify
    from argusvl.recognition.few_shot.embeddings import query_vectors

    learned = place.loaded(stores[name], lambda store: FewShotClassifier.load(store, ClassifyOptions()))
    with tempfile.TemporaryDirectory(prefix="argus-agents-") as cache:
        lane = learned.store.lane
        queries = query_vectors([image], learned.backbone, lane, Path(cache), workers=1, progress=False)
        (line,) = classify(learned, queries.store)
    if "error" in line:
        raise ImageError(str(line["error"]), where=place.shown(image), remedy="name another image")
    return Recognized(
        image=place.shown(image),
        label=line["class"],
        nearest=line["nearest"],
        known=line["score"],
        margin=line["margin"],
        possible=line["set"],
    )


TOOLS = (
    AgentTool(
        "recognize",
        "Say which class an image is of, by the few examples of a support store, or that it is of none of them.",
        RecognizeRequest,
        Recognized,
        _recognize,
    ),
)
