"""What a checkpoint's ``config.json`` may say: a schema with bounds, asked before a model is built by it.

A configuration may come from anyone. A model of 10^12 layers would be built for days, and a size of zero fails
somewhere inside the network, without a word about where it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from argusvl.core.errors import CheckpointError

Size = Annotated[int, Field(ge=1, le=1_000_000)]
"""Of a layer, an image or a window."""

Layers = Annotated[int, Field(ge=1, le=1000)]

Count = Annotated[int, Field(ge=0, le=10_000_000)]
"""Of tokens, or the number of one."""

Share = Annotated[float, Field(ge=0, le=1)]

Positive = Annotated[float, Field(gt=0, le=1e12)]


class ModelShape(BaseModel):
    """Base of such schemas; what a library writes beside is left to the library."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, frozen=True)


def check_shape(value: Mapping[str, Any], schema: type[ModelShape], where: Path) -> None:
    """Compares a configuration with its schema.

    Raises:
        CheckpointError: A key is missing, of another type, or beyond its bounds; the message names it.
    """
    try:
        schema.model_validate(dict(value))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        found = "" if first["type"] == "missing" else f", found {first['input']!r:.80}"
        raise CheckpointError(
            f"key {key!r}: {first['msg']}{found}",
            where=where,
            remedy="it was changed by hand, or is damaged: copy the checkpoint again",
        ) from None
