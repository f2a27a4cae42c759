"""Bad input, each with its status; the server stays up."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from argusvl.serving.limits import Limits

pytestmark = pytest.mark.usefixtures("quiet_logging")


def png(width: int, height: int, pixels: bytes = b"\0") -> bytes:
    """A grey PNG that claims a size; its pixels are whatever is given, packed."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress(pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((200, 200), 80).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("path", ["/v1/detect", "/v1/describe", "/v1/hands"])
@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"", 400, "empty"),
        (b"just a text", 415, "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not an image"),
        (b"%PDF-1.4", 415, "not an image"),
        (png(30_000, 30_000), 413, "pixels"),
        (png(9_000, 9_000, bytes(9_000 * 9_001)), 413, "megapixels"),  # 79 kB of zeros
        (jpeg()[:2000], 422, "truncated"),
        (png(64, 64), 422, "truncated"),
        (jpeg()[:100], 422, "truncated"),
        (jpeg()[:20], 422, "truncated"),
        (png(64, 64)[:20], 422, "truncated"),
        (png(64, 64)[:8], 422, "begins as PNG does"),
    ],
    ids=[
        *("empty", "text", "svg", "pdf", "30000", "bomb", "truncated-jpeg", "truncated-png"),
        *("header-jpeg", "marker-jpeg", "header-png", "signature-png"),
    ],
)
def test_what_is_no_picture_is_refused(shipped: Any, path: str, body: bytes, status: int, told: str) -> None:
    reply = shipped.post(path, body)
    assert (reply.status, reply.is_problem) == (status, True), reply.body
    assert told in reply.json["detail"]


def test_one_pixel_is_a_picture(shipped: Any) -> None:
    reply = shipped.post("/v1/hands", png(1, 1, b"\0\0"))
    assert (reply.status, reply.json["image"]["width"]) == (200, 1)
    assert shipped.post("/v1/detect", png(1, 1, b"\0\0")).status in (200, 422)


@pytest.mark.parametrize(
    "query",
    [
        "threshold=2",
        "threshold=nan",
        "threshold=x",
        "unknown=1",
        "model=argus-hand",
        "model=../../etc/passwd",
    ],
)
def test_settings_out_of_bounds_are_named(shipped: Any, kit: Any, query: str) -> None:
    reply = shipped.post(f"/v1/detect?{query}", kit.picture())
    assert (reply.status, reply.is_problem) == (422, True)
    assert query.partition("=")[0] in reply.json["detail"]


@pytest.mark.parametrize(
    "query", ["side=both", "box=1,2,3", "box=50,50,10,10", "camera=0,0,0,0", "box=1e9,0,0,0"]
)
def test_an_impossible_hand_is_refused(shipped: Any, kit: Any, query: str) -> None:
    reply = shipped.post(f"/v1/hands?{query}", kit.picture())
    assert (reply.status, reply.is_problem) == (422, True), reply.body
    assert r"\d" not in reply.json["detail"], "a regular expression helps only who knows it"


def test_forms_that_are_none(shipped: Any, kit: Any) -> None:
    picture = kit.picture()
    forms = [
        [],
        [kit.text_part("image", "http://example.com/a.png")],
        [kit.file_part(picture, name="other")],
        [kit.file_part(picture), kit.file_part(picture)],
        [kit.file_part(b"")],
        [kit.file_part(picture), *(kit.text_part(f"f{k}", "1") for k in range(30))],
    ]
    for parts in forms:
        reply = shipped.form("/v1/detect", parts)
        assert (reply.status, reply.is_problem) == (400, True), reply.body
    for setting in (("threshold", "7"), ("url", "file:///x")):
        parts = [kit.file_part(picture), kit.text_part(*setting)]
        assert shipped.form("/v1/detect", parts).status == 422
    for kind in ("multipart/form-data", "multipart/form-data; boundary=YY"):
        assert shipped.post("/v1/detect", b"--XX\r\n", kind).status == 400


def test_a_malformed_form_leaves_no_line_in_the_log(kit: Any, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("python_multipart").setLevel(logging.NOTSET)  # as before a server was made
    with kit.serving([kit.Echo().loaded]) as client:
        reply = client.post("/v1/echo", kit.picture(kind="JPEG"), "multipart/form-data; boundary=x")
    assert (reply.status, reply.is_problem) == (400, True)
    assert not caplog.records


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_other_kinds_of_bodies_are_refused(shipped: Any, kit: Any, kind: str) -> None:
    reply = shipped.post("/v1/detect", kit.picture(), kind)
    assert (reply.status, reply.is_problem) == (415, True)


def test_other_paths_and_methods(shipped: Any) -> None:
    assert shipped.get("/v1/nothing").status == 404
    reply = shipped.get("/v1/detect")
    assert (reply.status, reply.is_problem, reply.headers["allow"]) == (405, True, "POST")


def test_a_body_over_the_limit_is_refused_by_its_length_and_by_its_end(kit: Any) -> None:
    with kit.serving([kit.Echo().loaded], Limits(bytes=4096)) as client:
        assert client.post("/v1/echo", kit.grey(7)).status == 200
        reply = client.post("/v1/echo", bytes(5000))
        assert (reply.status, reply.is_problem) == (413, True)
        with client.raw() as connection:
            head = b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.sendall(
                head + b"1000\r\n" + bytes(0x1000) + b"\r\n10\r\n" + bytes(16) + b"\r\n0\r\n\r\n"
            )
            assert connection.recv(4096).startswith(b"HTTP/1.1 413")
        assert client.post("/v1/echo", kit.grey(7)).status == 200
