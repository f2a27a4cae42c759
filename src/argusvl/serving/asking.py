"""A picture's way through the server: body, header, decoded and prepared, the model's queue, answer."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query
from pydantic import BaseModel, Field, ValidationError, create_model
from starlette.requests import Request
from starlette.responses import Response

from argusvl.core.errors import DataError
from argusvl.core.logging import get_logger
from argusvl.serving.answers import Answer, ModelName, PictureSize, answer_class
from argusvl.serving.hosting import HostedModel
from argusvl.serving.limits import Limits
from argusvl.serving.problems import ProblemError, busy, documented, explained
from argusvl.serving.uploads import FIELD, RAW_TYPES, checked_upload, read_upload
from argusvl.task_parts import Endpoint, Upload

# Without `from __future__ import annotations`: FastAPI reads the annotations of `ask`, whose classes are made here.

_log = get_logger(__name__)

Models = Mapping[str, tuple[HostedModel, Endpoint]]


def add_endpoint(
    app: FastAPI, path: str, models: Models, limits: Limits, decoders: ThreadPoolExecutor
) -> None:
    """Adds ``POST path``.

    Args:
        app: Gets the route.
        path: Of the endpoint.
        models: Those that answer there; the first where a request names none.
        limits: Of pictures and time.
        decoders: Threads for what is done before the model.
    """
    names = tuple(models)
    hosted, endpoint = models[names[0]]
    choice: Any = Literal[names] | None
    described = Field(None, description=f"Which model answers; {names[0]} where not said.")
    name = path.rpartition("/")[2]
    settings_class: Any = create_model(
        f"{name.capitalize()}Query", __base__=endpoint.settings, model=(choice, described)
    )
    answered = answer_class(endpoint)

    async def ask(request: Request, settings: Annotated[settings_class, Query()]) -> Response:
        began = time.monotonic()
        data, fields = await read_upload(request)
        asked = _with_fields(settings, fields)
        model, asked_endpoint = models[getattr(asked, "model", None) or names[0]]
        own = asked_endpoint.settings.model_validate(asked.model_dump(exclude={"model"}, exclude_unset=True))
        upload, found = await within(
            limits.seconds, request, answer_picture(model, asked_endpoint, data, own, limits, decoders)
        )
        width, height = upload.size
        answer = answered(
            model=ModelName(name=model.loaded.name, fingerprint=model.loaded.fingerprint),
            image=PictureSize(width=width, height=height, turned=upload.turned),
            seconds=round(time.monotonic() - began, 4),
            **{name: getattr(found, name) for name in asked_endpoint.found.model_fields},
        )
        return Response(answer.model_dump_json(), media_type="application/json")

    app.post(
        path,
        name=name,
        summary=endpoint.summary,
        description=f"A picture as the multipart field `{FIELD}`, or its bytes.",
        response_model=answered,
        responses=documented(
            *(400, 401, 403, 408, 413, 415, 421, 422, 500, 503), example=example_of(endpoint, hosted)
        ),
        openapi_extra={"requestBody": _REQUEST_BODY},
    )(ask)


async def answer_picture(
    model: HostedModel,
    endpoint: Endpoint,
    data: bytes,
    settings: BaseModel,
    limits: Limits,
    decoders: ThreadPoolExecutor,
) -> tuple[Upload, Any]:
    """What a model says of a picture.

    Raises:
        ProblemError: The picture cannot be used, or the queue is full.
    """
    if model.batcher.is_full:  # before the work of decoding
        raise busy("the queue is full; come again")

    def prepare() -> tuple[Upload, Any]:
        upload = checked_upload(data, limits)
        return upload, endpoint.prepare(upload, settings)

    loop = asyncio.get_running_loop()
    try:
        upload, prepared = await loop.run_in_executor(decoders, prepare)
    except DataError as error:
        raise ProblemError(422, error.what) from None
    return upload, await model.batcher.ask(endpoint, prepared, settings)


async def within(seconds: float, request: Request, work: Any) -> Any:
    """The outcome of some work, which ends where it takes too long or the client has gone.

    Raises:
        ProblemError: It took too long (503), or failed by a mistake of ours (500).
    """
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait({working, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise busy(f"not answered within {seconds:g} seconds; come again")
    except ProblemError:
        raise
    except Exception as error:
        _log.exception("a picture could not be answered")
        raise ProblemError(500, "a mistake of the server; its log says more") from error
    finally:
        for task in (working, gone):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await working


def example_of(endpoint: Endpoint, hosted: HostedModel) -> dict[str, Any]:
    """A whole answer, JSON-ready."""
    answer = Answer(
        model=ModelName(name=hosted.loaded.name, fingerprint=hosted.loaded.fingerprint),
        image=PictureSize(width=224, height=224, turned=False),
        seconds=0.12,
    )
    return answer.model_dump() | dict(endpoint.example)


def _with_fields(settings: BaseModel, fields: Mapping[str, str]) -> BaseModel:
    """The settings of the query, with those that stand in the form."""
    if not fields:
        return settings
    try:
        return type(settings).model_validate(settings.model_dump(exclude_unset=True) | dict(fields))
    except ValidationError as error:
        raise ProblemError(422, explained(error.errors())) from None


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


_BINARY = {"type": "string", "format": "binary"}
_REQUEST_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BINARY}}
        },
        **{kind: {"schema": _BINARY} for kind in RAW_TYPES},
    },
}
