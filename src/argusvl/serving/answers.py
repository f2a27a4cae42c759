"""What every answer holds, whatever the task."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

from argusvl.task_parts import Endpoint


class ModelName(BaseModel):
    """Which model has answered."""

    name: str
    fingerprint: str = Field(description="Tells the model's weights and settings from every other's.")


class PictureSize(BaseModel):
    """The picture that boxes and joints are in."""

    width: int = Field(ge=1, description="Pixels of the upright picture.")
    height: int = Field(ge=1, description="Pixels of the upright picture.")
    turned: bool = Field(description="Whether its EXIF tag says that the stored pixels must be turned.")


class Answer(BaseModel):
    """What a model says of a picture."""

    model: ModelName
    image: PictureSize
    seconds: float = Field(ge=0, description="From the whole request to this answer.")


def answer_class(endpoint: Endpoint) -> type[Answer]:
    """An endpoint's answer: what every answer holds, and what was found."""
    name = endpoint.path.rpartition("/")[2].capitalize()
    bases: tuple[Any, ...] = (Answer, endpoint.found)
    made: type[Answer] = create_model(f"{name}Answer", __base__=bases)
    return made


class ModelEntry(BaseModel):
    """A model of this server."""

    name: str = Field(description="For the query parameter `model`.")
    task: str
    endpoints: list[str]
    labels: list[str] = Field(description="What it can name; empty where it names nothing.")
    fingerprint: str


class LimitsEntry(BaseModel):
    """What this server takes."""

    bytes: int = Field(description="Of a request's body.")
    pixels: int = Field(description="Of a picture.")
    seconds: float = Field(description="From a whole request to its answer.")


class ModelList(BaseModel):
    """What this server can do."""

    models: list[ModelEntry]
    limits: LimitsEntry


class Health(BaseModel):
    """How the server is."""

    status: Literal["ok", "ready"]
