"""The HTTP application: routes of the models that are hosted, behind the gate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from argusvl import __version__
from argusvl.serving.answers import Health, LimitsEntry, ModelEntry, ModelList
from argusvl.serving.asking import add_endpoint
from argusvl.serving.batching import Batcher
from argusvl.serving.gate import Gate
from argusvl.serving.hosting import HostedModel, LoadedModel, answering
from argusvl.serving.label_studio import add_backend
from argusvl.serving.limits import Limits
from argusvl.serving.metrics import Metrics
from argusvl.serving.page_files import add_glyphs, page_files
from argusvl.serving.problems import ProblemDetails, ProblemError, documented, explained

DECODERS = 2
"""Threads that decode pictures beside the models; each holds one decoded picture."""

_OPEN = frozenset({"/healthz", "/readyz", "/health"})
"""Answered without a token, besides the page: they tell nothing."""


def make_app(
    models: Sequence[LoadedModel],
    limits: Limits,
    *,
    hosts: Sequence[str] | None = None,
    token: str | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
    label_studio_files: Path | None = None,
) -> Gate:
    """Makes the application.

    Args:
        models: Of different names.
        limits: Of everything.
        hosts: Names in ``Host`` that are answered; ``None``: any.
        token: What clients must show; ``None``: nothing.
        is_stopping: Whether the server takes no more.
        label_studio_files: Folder in which tasks of Label Studio may name pictures; ``None``: they may not.
    """
    metrics = Metrics()
    hosted = [HostedModel(one, Batcher(one.name, limits, metrics)) for one in models]
    decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for one in hosted:
            one.batcher.start()
        yield
        for one in hosted:
            await one.batcher.stop()
        decoders.shutdown(wait=True, cancel_futures=True)
        end_glyphs()

    app = FastAPI(
        title="Argus",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # their scripts come from elsewhere, which the policy of this server forbids
        redoc_url=None,
        redirect_slashes=False,
    )
    for error in (ProblemError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(error, _told)
    _add_state(app, hosted, limits, metrics, is_stopping)
    paths = {endpoint.path for one in hosted for endpoint in one.loaded.service.endpoints}
    for path in sorted(paths):
        add_endpoint(app, path, answering(hosted, path), limits, decoders)
    add_backend(app, hosted, limits, decoders, label_studio_files)
    page = page_files()
    _add_page(app, page)
    end_glyphs = add_glyphs(app)
    _describe(app, secured=token is not None)
    return Gate(
        app,
        limits,
        metrics,
        hosts=hosts,
        token=token,
        open_paths=_OPEN | page.keys(),
        routes=[route.path for route in app.routes if isinstance(route, APIRoute)],
    )


def _add_state(
    app: FastAPI,
    hosted: Sequence[HostedModel],
    limits: Limits,
    metrics: Metrics,
    is_stopping: Callable[[], bool],
) -> None:
    entries = [
        ModelEntry(
            name=one.loaded.name,
            task=one.loaded.service.task,
            endpoints=[endpoint.path for endpoint in one.loaded.service.endpoints],
            labels=list(one.loaded.service.labels),
            fingerprint=one.loaded.fingerprint,
        )
        for one in hosted
    ]
    bounds = LimitsEntry(bytes=limits.bytes, pixels=int(limits.megapixels * 1e6), seconds=limits.seconds)

    @app.get("/v1/models", responses=documented(401, 403, 421))
    async def models() -> ModelList:
        """What this server can do, and what it takes."""
        return ModelList(models=entries, limits=bounds)

    @app.get("/healthz", responses=documented(403, 421))
    async def healthz() -> Health:
        """Whether the process is alive."""
        return Health(status="ok")

    @app.get("/readyz", responses=documented(403, 421, 503))
    async def readyz() -> Health:
        """Whether a picture would be taken now."""
        if is_stopping() or any(one.batcher.is_full for one in hosted):
            raise ProblemError(
                503, "stopping" if is_stopping() else "the queue is full", {"Retry-After": "1"}
            )
        return Health(status="ready")

    @app.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **documented(401, 403, 421),
        },
    )
    async def figures() -> Response:
        """For Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=1.0.0; charset=utf-8")


def _add_page(app: FastAPI, page: dict[str, tuple[bytes, str]]) -> None:
    def serve(path: str, content: bytes, kind: str) -> None:
        @app.get(path, include_in_schema=False)
        async def file() -> Response:
            return Response(content, headers={"content-type": kind, "cache-control": "no-cache"})

    for path, (content, kind) in page.items():
        serve(path, content, kind)


def _describe(app: FastAPI, *, secured: bool) -> None:
    """The OpenAPI document, made once."""
    document = get_openapi(
        title="Argus",
        version=__version__,
        description="Finds and describes what is in a picture.",
        routes=app.routes,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    if secured:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        for path in _OPEN & document["paths"].keys():
            document["paths"][path]["get"]["security"] = []
    app.openapi = lambda: document  # type: ignore[method-assign]


async def _told(_: Request, error: Exception) -> Response:
    """An error as problem details."""
    if isinstance(error, ProblemError):
        problem = error
    elif isinstance(error, RequestValidationError):
        problem = ProblemError(422, explained(error.errors()))
    elif isinstance(error, HTTPException):
        details = {404: "there is nothing here", 405: "this path is asked by another method"}
        problem = ProblemError(
            error.status_code, details.get(error.status_code, str(error.detail)), error.headers
        )
    else:
        problem = ProblemError(500, "a mistake of the server; its log says more")
    return problem.response()
