"""Label Studio's machine-learning backend: `/health`, `/setup`, `/predict`.

A task names its picture. Followed are only ``data:`` URLs, whose content is in the request, and names of files in a
folder that whoever started the server has given; an address of the network never is.
"""

# Without `from __future__ import annotations`: FastAPI reads the annotations of the routes.

import asyncio
import base64
import binascii
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from argusvl.core.errors import ArgusError
from argusvl.core.files import path_inside, read_bytes
from argusvl.serving.asking import answer_picture, within
from argusvl.serving.hosting import HostedModel, answering
from argusvl.serving.limits import Limits
from argusvl.serving.problems import ProblemError, documented
from argusvl.task_parts import Upload

_DETECT = "/v1/detect"
MOST_TASKS = 64
"""Of a request; Label Studio sends them in groups."""

_CONTROL = "RectangleLabels"


class SetupRequest(BaseModel):
    """What Label Studio says when a project takes this backend; other members are not looked at."""

    model_config = ConfigDict(extra="ignore")
    label_config: str | None = Field(None, alias="schema")


class LabelTask(BaseModel):
    """A task: what is to be labelled."""

    model_config = ConfigDict(extra="ignore")
    data: dict[str, Any]


class PredictRequest(BaseModel):
    """Tasks to be labelled beforehand; other members are not looked at."""

    model_config = ConfigDict(extra="ignore")
    tasks: list[LabelTask] = Field(max_length=MOST_TASKS)
    label_config: str | None = None


class BackendHealth(BaseModel):
    """How the backend is."""

    status: str
    model_class: str


class BackendVersion(BaseModel):
    """Which model labels."""

    model_version: str


class Region(BaseModel):
    """A box, in percent of the picture, as Label Studio draws it."""

    id: str
    type: str
    from_name: str
    to_name: str
    original_width: int
    original_height: int
    image_rotation: int
    value: dict[str, Any]
    score: float


class TaskPrediction(BaseModel):
    """The boxes of a task."""

    result: list[Region]
    score: float
    model_version: str


class PredictAnswer(BaseModel):
    """For each task its boxes."""

    results: list[TaskPrediction]


def add_backend(
    app: FastAPI,
    hosted: Sequence[HostedModel],
    limits: Limits,
    decoders: ThreadPoolExecutor,
    files: Path | None,
) -> None:
    """Adds the backend's routes, if a model detects; tasks may name pictures in the folder ``files``."""
    detecting = list(answering(hosted, _DETECT).values())
    if not detecting:
        return
    model, endpoint = detecting[0]
    version = f"{model.loaded.name}-{model.loaded.fingerprint[:12]}"
    at_once = asyncio.Semaphore(limits.batch)

    @app.get("/health", responses=documented(403, 421))
    async def health() -> BackendHealth:
        """For Label Studio: whether this backend is there."""
        return BackendHealth(status="UP", model_class="argus")

    @app.post("/setup", responses=documented(400, 401, 403, 408, 413, 421, 422, 503))
    async def setup(request: SetupRequest) -> BackendVersion:
        """For Label Studio: which model this is."""
        if request.label_config is not None:
            _Control.of(request.label_config)
        return BackendVersion(model_version=version)

    async def one(task: LabelTask, number: int, control: _Control) -> TaskPrediction:
        data = _picture(task, control.key, f"task {number}", limits, files)
        async with at_once:
            upload, found = await answer_picture(model, endpoint, data, endpoint.settings(), limits, decoders)
        regions = control.regions(upload, found.objects, str(number))
        mean = sum(region.score for region in regions) / len(regions) if regions else 0.0
        return TaskPrediction(result=regions, score=round(mean, 5), model_version=version)

    @app.post("/predict", responses=documented(400, 401, 403, 408, 413, 415, 421, 422, 500, 503))
    async def predict(asked: PredictRequest, request: Request) -> PredictAnswer:
        """For Label Studio: boxes for tasks whose pictures are in the request or in the server's folder."""
        control = _Control.of(asked.label_config)
        work = asyncio.gather(*(one(task, number, control) for number, task in enumerate(asked.tasks, 1)))
        return PredictAnswer(results=await within(limits.seconds, request, work))


def _picture(task: LabelTask, key: str, where: str, limits: Limits, files: Path | None) -> bytes:
    named = task.data.get(key)
    if not isinstance(named, str):
        raise ProblemError(422, f"{where}: data.{key} is no text")
    if named[:5].lower() == "data:":
        return _of_data_url(named, where)
    try:
        parts = urlsplit(named)
    except ValueError:
        raise ProblemError(422, f"{where}: data.{key} cannot be read") from None
    if parts.scheme or parts.netloc or named.startswith(("//", "\\")):
        raise ProblemError(422, f"{where}: addresses are not followed; use a data: URL or a local file")
    if files is None:
        raise ProblemError(422, f"{where}: this server was started without --label-studio-files")
    try:
        file = path_inside(files, _local_name(parts.path, parts.query), stated_in=where, links=False)
        return read_bytes(file, most_bytes=limits.bytes)
    except (ArgusError, OSError, ValueError):
        raise ProblemError(422, f"{where}: no such picture in the server's folder") from None


@dataclass(frozen=True, slots=True)
class _Control:
    """Where boxes go in a project's labelling configuration; by default under Label Studio's usual names.

    Attributes:
        key: Of the picture in a task's data.
        labels: Those that the project has; ``None``: any.
    """

    name: str = "label"
    to_name: str = "image"
    key: str = "image"
    labels: frozenset[str] | None = None

    @classmethod
    def of(cls, label_config: str | None) -> "_Control":
        """Reads the configuration, where there is one. No boxes or no XML: ``ProblemError`` (422)."""
        if not label_config:
            return cls()
        try:
            root = fromstring(label_config)
        except (ParseError, DefusedXmlException, ValueError):
            raise ProblemError(422, "label_config is no XML, or not of a plain kind") from None
        control = next(root.iter(_CONTROL), None)
        if control is None:
            raise ProblemError(422, f"label_config has no {_CONTROL}")
        to_name = control.get("toName", "image")
        image = next((one for one in root.iter("Image") if one.get("name") == to_name), None)
        key = "image" if image is None else image.get("value", "$image").lstrip("$")
        labels = frozenset(one.get("value", "") for one in control.iter("Label"))
        return cls(control.get("name", "label"), to_name, key, labels or None)

    def regions(self, upload: Upload, objects: Sequence[Any], task: str) -> list[Region]:
        """Boxes in percent; those whose label the project lacks are left out."""
        width, height = upload.size
        regions = []
        for number, found in enumerate(objects):
            if self.labels is not None and found.label not in self.labels:
                continue
            x1, y1, x2, y2 = found.box_xyxy_px
            value = {
                "x": round(100 * x1 / width, 4),
                "y": round(100 * y1 / height, 4),
                "width": round(100 * (x2 - x1) / width, 4),
                "height": round(100 * (y2 - y1) / height, 4),
                "rotation": 0,
                _CONTROL.lower(): [found.label],
            }
            regions.append(
                Region(
                    id=f"argus-{task}-{number}",
                    type=_CONTROL.lower(),
                    from_name=self.name,
                    to_name=self.to_name,
                    original_width=width,
                    original_height=height,
                    image_rotation=0,
                    value=value,
                    score=found.score,
                )
            )
        return regions


def _of_data_url(url: str, where: str) -> bytes:
    head, comma, content = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise ProblemError(422, f"{where}: a data: URL must be of the form data:image/…;base64,…")
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise ProblemError(422, f"{where}: the data: URL is no base64") from None


def _local_name(path: str, query: str) -> str:
    """Label Studio's ``/data/local-files/?d=NAME`` and ``/data/upload/NAME``, or a name as it is."""
    if re.fullmatch(r"/data/local-files/?", path):
        return parse_qs(query).get("d", [""])[0]
    return unquote(path).removeprefix("/data/").lstrip("/")
