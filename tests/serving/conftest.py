"""Servers on a free port of this machine, and clients that speak to them as any program does."""

from __future__ import annotations

import http.client
import importlib.util
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from pydantic import BaseModel, ConfigDict

from argusvl.core import precision
from argusvl.serving.app import make_app
from argusvl.serving.hosting import LoadedModel, load_model
from argusvl.serving.limits import Limits
from argusvl.serving.server import Server, allowed_hosts, listen, make_server
from argusvl.task_parts import Endpoint, Service, Upload


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_problem(self) -> bool:
        """Whether it is a problem as RFC 9457 has it, which tells nothing of the inside."""
        told = self.json
        assert not {"Traceback", "/home", "/tmp", "argusvl"} & set(self.body.decode().split())
        return (
            self.headers["content-type"] == "application/problem+json"
            and told["status"] == self.status
            and {"type", "title", "detail"} <= told.keys()
        )


@dataclass
class Client:
    port: int
    server: Server

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            got = connection.getresponse()
            return Reply(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, body: bytes, kind: str = "image/png", **headers: str) -> Reply:
        return self.send("POST", path, body, {"content-type": kind, **headers})

    def form(self, path: str, parts: Sequence[bytes]) -> Reply:
        body = b"".join(b"--XX\r\n" + part + b"\r\n" for part in parts) + b"--XX--\r\n"
        return self.post(path, body, "multipart/form-data; boundary=XX")

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


def file_part(data: bytes, name: str = "image", filename: str = "a.png") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: image/png\r\n\r\n'
    return head.encode() + data


def text_part(name: str, value: str) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()


@contextmanager
def serving(models: Sequence[LoadedModel], limits: Limits | None = None, **options: Any) -> Iterator[Client]:
    """A server in a thread; it has ended when the block has."""
    limits = limits or Limits()
    bound = listen("127.0.0.1", 0)
    gate = make_app(
        models,
        limits,
        hosts=allowed_hosts("127.0.0.1", ()),
        is_stopping=lambda: server.should_exit,
        **options,
    )
    server = make_server(gate, limits)
    thread = threading.Thread(target=server.run, args=([bound],))
    thread.start()
    try:
        until = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        yield Client(bound.getsockname()[1], server)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
        bound.close()


class EchoSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    factor: int = 1


class Echoed(BaseModel):
    mean: float


@dataclass
class Echo:
    """A model that says the mean of a picture's pixels, and can be held up."""

    go_on: threading.Event = field(default_factory=threading.Event)
    batches: list[int] = field(default_factory=list)
    fails_on: Callable[[Sequence[float]], bool] = lambda means: False

    def __post_init__(self) -> None:
        self.go_on.set()

    def _prepare(self, upload: Upload, settings: EchoSettings) -> float:
        return float(np.asarray(upload.picture()).mean()) * settings.factor

    def _answer(self, means: Sequence[float], settings: Sequence[EchoSettings]) -> list[Echoed]:
        self.batches.append(len(means))
        assert self.go_on.wait(20)
        if self.fails_on(means):
            raise RuntimeError("no memory at /home/somebody")
        return [Echoed(mean=mean) for mean in means]

    @property
    def loaded(self) -> LoadedModel:
        endpoint = Endpoint(
            "/v1/echo", "The mean", EchoSettings, Echoed, self._prepare, self._answer, {"mean": 1.0}
        )
        return LoadedModel("echo", "f" * 32, Service("echo", (endpoint,)))


def picture(
    size: tuple[int, int] = (64, 48), seed: int = 0, kind: str = "PNG", orientation: int | None = None
) -> bytes:
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    out = io.BytesIO()
    image.save(out, kind, exif=exif)
    return out.getvalue()


def grey(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (value, value, value)).save(out, "PNG")
    return out.getvalue()


def _loaded(name: str) -> LoadedModel:
    """In float32, as what each test loads by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "cpu_speed", lambda: 0.5)
        return load_model(Path(name), device="cpu")


@pytest.fixture(scope="session")
def tiny() -> LoadedModel:
    return _loaded("argus-tiny")


@pytest.fixture(scope="session")
def hand() -> LoadedModel:
    return _loaded("argus-hand")


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """What tests make servers and requests of."""
    return SimpleNamespace(
        serving=serving, Echo=Echo, picture=picture, grey=grey, file_part=file_part, text_part=text_part
    )


@pytest.fixture(scope="session")
def shipped(tiny: LoadedModel, hand: LoadedModel) -> Iterator[Client]:
    """A server of what ships."""
    with serving([tiny, hand]) as client:
        yield client


def _load(folder: str) -> ModuleType:
    place = Path(__file__).parents[1] / folder / "conftest.py"
    spec = importlib.util.spec_from_file_location(f"{folder.replace('/', '_')}_fixtures", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_few_shot = _load("recognition/few_shot")
few_shot = _few_shot.few_shot
tiny_backbone = _few_shot.tiny_backbone
