"""Errors as problem details (RFC 9457): what was wrong with the request, and nothing of the inside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"

_MOST_TOLD = 5
"""Of several mistakes in a request."""
_PLAINER = {
    "extra_forbidden": "there is no such setting; /openapi.json lists those that there are",
    "string_pattern_mismatch": "is not of the form that /openapi.json describes",
}
"""Of pydantic's kinds of errors, those whose own words help only who knows the source."""


class ProblemDetails(BaseModel):
    """A problem, as RFC 9457 has it."""

    type: str = Field("about:blank", description="What kind of problem: the status says it.")
    title: str = Field(description="The status in words.")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What was wrong with this request, and what to do.")


class ProblemError(Exception):
    """A request that is not answered as it was meant."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})

    def response(self) -> Response:
        """The answer."""
        return Response(self.body(), self.status, self.headers, MEDIA_TYPE)

    def body(self) -> bytes:
        """The answer's JSON."""
        title = HTTPStatus(self.status).phrase
        problem = ProblemDetails(type="about:blank", title=title, status=self.status, detail=self.detail)
        return json.dumps(problem.model_dump(), ensure_ascii=False).encode()


def busy(detail: str) -> ProblemError:
    """The server has enough to do: the same request may be answered a second later."""
    return ProblemError(503, detail, {"Retry-After": "1"})


def documented(*statuses: int, example: Mapping[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of an OpenAPI operation: problems of some statuses, and an example of its answer."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    told: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }
    if example is not None:
        told[200] = {"content": {"application/json": {"example": dict(example)}}}
    return told


def explained(errors: Sequence[Any]) -> str:
    """What pydantic found, in a line: which setting, and what it should be."""
    told = []
    for error in errors[:_MOST_TOLD]:
        place = ".".join(str(part) for part in error["loc"] if part not in ("query", "body"))
        says = _PLAINER.get(error["type"], error["msg"])
        told.append(f"{place[:80]}: {says}" if place else str(says))
    return "; ".join(told)
