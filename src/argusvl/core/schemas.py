"""Values that others wrote, compared with a schema: what does not fit is an error that names the field.

A configuration or a checkpoint's ``config.json`` may come from anyone. A model of 10^12 layers would be built for days,
and a size of zero fails somewhere inside the network, without a word about where it was written.

A schema is a pydantic model or a dataclass; types of this module convert nothing: ``"1"`` and ``true`` are no numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from argusvl.core.errors import ArgusError, CheckpointError
from argusvl.core.strict_json import shown

S = TypeVar("S")

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]

Share = Annotated[Number, Field(ge=0, le=1)]

Positive = Annotated[Number, Field(gt=0, le=1e12)]

Count = Annotated[int, Field(strict=True, ge=0)]

Size = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
"""Of a layer, an image or a window."""

Layers = Annotated[int, Field(strict=True, ge=1, le=1000)]

Tokens = Annotated[int, Field(strict=True, ge=0, le=10_000_000)]
"""Their count, or the number of one."""


class ModelShape(BaseModel):
    """Base of schemas of ``config.json``; what a library writes beside is left to the library."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, frozen=True)


def checked(
    value: Any,
    schema: type[S],
    where: Path,
    *,
    remedy: str = "it was changed by hand, or is damaged: copy the checkpoint again",
    error: type[ArgusError] = CheckpointError,
) -> S:
    """The value by its schema.

    Raises:
        CheckpointError: Or ``error``: a field is missing, of another type, or beyond its bounds; the message names
            the first such field.
    """
    try:
        found: S = _adapter(schema).validate_python(value)
    except ValidationError as problem:
        raise error(first_problem(problem), where=where, remedy=remedy) from None
    return found


def first_problem(error: ValidationError) -> str:
    """The first field that does not fit, why, and what was found there."""
    first = error.errors(include_url=False)[0]
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"] if step != "[key]")
    place = "".join(steps).removeprefix(".")
    reason = first["msg"].removeprefix("Value error, ")
    # A field that is missing is known by the object without it, which says nothing.
    found = "" if first["type"] == "missing" else f", found {shown(first['input'], 120)}"
    return f"{f'field {place!r}' if place else 'the whole'}: {reason}{found}"


def plain(value: Any) -> Any:
    """A value of a schema, ready for JSON; fields that hold ``None`` are left out."""
    return _adapter(type(value)).dump_python(value, exclude_none=True)


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(schema: Any) -> TypeAdapter[Any]:
    """Making one takes milliseconds, and lines of a file are checked one by one."""
    if schema not in _adapters:
        _adapters[schema] = TypeAdapter(schema)
    return _adapters[schema]
