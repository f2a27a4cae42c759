"""Who asks, how much at once, how long: the server refuses, and goes on answering the others."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from argusvl.serving.limits import Limits

pytestmark = pytest.mark.usefixtures("quiet_logging")

TOKEN = "correct-horse-battery"


def read_all(connection: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            got += part
    return got


def wait(until: Callable[[], object]) -> None:
    """Waits for what comes in a moment, ten seconds at most."""
    end = time.monotonic() + 10
    while not until() and time.monotonic() < end:
        time.sleep(0.01)


def head(path: str = "/v1/echo", length: int = 100) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: image/png")
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def test_a_token_is_asked_for(kit: Any) -> None:
    with kit.serving([kit.Echo().loaded], token=TOKEN) as client:
        basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
        for shown in (f"Bearer {TOKEN}", f"bearer {TOKEN}", f"Basic {basic}"):
            assert client.post("/v1/echo", kit.grey(5), authorization=shown).status == 200
        for shown in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Basic ===", f"Bearer {TOKEN}x"):
            reply = client.post("/v1/echo", kit.grey(5), authorization=shown)
            assert (reply.status, reply.is_problem) == (401, True)
            assert reply.headers["www-authenticate"] == "Bearer"
        assert [client.get(path).status for path in ("/v1/models", "/metrics", "/openapi.json")] == [401] * 3
        assert [client.get(path).status for path in ("/healthz", "/readyz")] == [200] * 2


def test_other_sites_do_not_reach_it(kit: Any) -> None:
    with kit.serving([kit.Echo().loaded]) as client:
        for host in ("localhost", "127.0.0.1:9", "[::1]:80", f"LOCALHOST:{client.port}"):
            assert client.get("/healthz", host=host).status == 200
        for host in ("evil.example", "localhost.evil.example", "10.0.0.1", "evil.example:80", ""):
            assert client.get("/healthz", host=host).status == 421
        cross = {"sec-fetch-site": "cross-site"}
        assert client.post("/v1/echo", kit.grey(5), **cross).status == 403
        preflight = client.send("OPTIONS", "/v1/echo", headers={"Origin": "https://evil.example"})
        assert preflight.status == 405 and not any("access-control" in name for name in preflight.headers)


def test_slow_heads_and_bodies_end(kit: Any) -> None:
    with kit.serving([kit.Echo().loaded], Limits(body_seconds=0.4)) as client:
        with client.raw() as silent, client.raw() as slow_head, client.raw() as slow_body:
            slow_head.sendall(b"POST /v1/echo HTTP/1.1\r\nHo")
            slow_body.sendall(head() + b"abc")
            began = time.monotonic()
            assert read_all(silent) == b"" and read_all(slow_head) == b""
            assert read_all(slow_body).startswith(b"HTTP/1.1 408")
            assert time.monotonic() - began < 5
        with client.raw() as again:  # the second request of a connection is bounded as the first
            again.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got = b""
            while not got.endswith(b'{"status":"ok"}'):
                got += again.recv(65536)
            again.sendall(b"GET /heal")
            assert read_all(again) == b""
        assert client.post("/v1/echo", kit.grey(5)).status == 200


def test_a_head_of_a_megabyte_is_refused(kit: Any) -> None:
    with kit.serving([kit.Echo().loaded]) as client:
        with client.raw() as connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * (1 << 20))
            assert read_all(connection).startswith(b"HTTP/1.1 400")
        with client.raw() as connection:
            connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
            assert b"application/problem+json" in read_all(connection)
        assert client.get("/healthz").status == 200


def test_who_goes_is_not_waited_for(kit: Any) -> None:
    echo = kit.Echo()
    with kit.serving([echo.loaded], Limits(requests=3, batch=1, wait_ms=0)) as client:
        echo.go_on.clear()
        body = kit.grey(9)
        first, half = client.raw(), client.raw()
        first.sendall(head(length=len(body)) + body)
        half.sendall(head(length=len(body)) + body[:20])
        wait(lambda: echo.batches)
        second = client.raw()
        second.sendall(head(length=len(body)) + body)
        time.sleep(0.2)
        for connection in (first, second, half):
            connection.close()
        time.sleep(0.3)
        echo.go_on.set()
        assert client.post("/v1/echo", body).json["mean"] == 9
        assert echo.batches == [1, 1]  # the second picture's client had gone before its turn


def test_what_is_too_much_at_once_is_told_to_come_again(kit: Any) -> None:
    echo = kit.Echo()
    with kit.serving([echo.loaded], Limits(queue=4, batch=2, wait_ms=0, seconds=20)) as client:
        echo.go_on.clear()
        with ThreadPoolExecutor(12) as pool:
            replies = [pool.submit(client.post, "/v1/echo", kit.grey(k)) for k in range(12)]
            wait(lambda: sum(reply.done() for reply in replies) >= 6)
            assert client.get("/readyz").status == 503
            echo.go_on.set()
            got = [reply.result() for reply in replies]
        refused = [reply for reply in got if reply.status == 503]
        assert 6 <= len(refused) <= 8
        assert all(reply.is_problem and reply.headers["retry-after"] == "1" for reply in refused)
        assert all(reply.json["mean"] == k for k, reply in enumerate(got) if reply.status == 200)


def test_a_thousand_at_once_are_answered_or_refused(kit: Any) -> None:
    with kit.serving([kit.Echo().loaded], Limits(requests=32, connections=200)) as client:
        body = kit.grey(3)
        closing = head(length=len(body)).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

        def ask(_: int) -> int:
            try:
                with client.raw() as connection:
                    connection.sendall(closing + body)
                    got = read_all(connection)
            except (ConnectionResetError, BrokenPipeError):
                return 0
            return int(got[9:12]) if got else 0

        files = len(list(Path("/proc/self/fd").iterdir()))
        with ThreadPoolExecutor(250) as pool:
            statuses = list(pool.map(ask, range(1000)))
        assert set(statuses) <= {200, 503, 0} and statuses.count(200) > 50
        assert statuses.count(0) < 100
        time.sleep(0.3)
        assert len(list(Path("/proc/self/fd").iterdir())) <= files + 5
        assert client.post("/v1/echo", body).status == 200


def test_a_model_that_is_too_slow_is_not_waited_for(kit: Any) -> None:
    echo = kit.Echo()
    with kit.serving([echo.loaded], Limits(seconds=0.3)) as client:
        echo.go_on.clear()
        reply = client.post("/v1/echo", kit.grey(1))
        assert (reply.status, reply.is_problem, reply.headers["retry-after"]) == (503, True, "1")
        echo.go_on.set()
        assert client.post("/v1/echo", kit.grey(1)).status == 200


def test_a_failing_model_tells_nothing_of_itself(kit: Any) -> None:
    with kit.serving([kit.Echo(fails_on=lambda means: True).loaded]) as client:
        reply = client.post("/v1/echo", kit.grey(1))
        assert (reply.status, reply.is_problem) == (500, True)
        assert b"somebody" not in reply.body
        assert client.get("/healthz").status == 200


def test_one_picture_too_much_costs_only_its_own_answer(kit: Any) -> None:
    echo = kit.Echo(fails_on=lambda means: 66.0 in means)
    with kit.serving([echo.loaded], Limits(batch=4, wait_ms=500)) as client, ThreadPoolExecutor(4) as pool:
        values = (1, 66, 3, 4)
        replies = list(pool.map(lambda value: client.post("/v1/echo", kit.grey(value)), values))
        assert [reply.status for reply in replies] == [200, 500, 200, 200]
        assert echo.batches[0] == 4


def test_the_server_finishes_what_it_has_taken(kit: Any) -> None:
    echo = kit.Echo()
    with kit.serving([echo.loaded], Limits(batch=1, wait_ms=0)) as client, ThreadPoolExecutor(3) as pool:
        echo.go_on.clear()
        taken = [pool.submit(client.post, "/v1/echo", kit.grey(k)) for k in range(3)]
        wait(lambda: b"argus_requests_at_once 3.0" in client.get("/metrics").body)
        client.server.should_exit = True
        time.sleep(0.5)
        with pytest.raises(ConnectionError):
            client.post("/v1/echo", kit.grey(9))
        threading.Timer(0.1, echo.go_on.set).start()
        assert [reply.result().json["mean"] for reply in taken] == [0, 1, 2]


def test_memory_does_not_hold_what_was_refused(kit: Any) -> None:
    from argusvl.core.memory_slope import settled_resident_bytes

    with kit.serving([kit.Echo().loaded], Limits(bytes=1 << 18)) as client:
        too_much, no_picture = bytes(1 << 19), bytes(1 << 18)
        for _ in range(5):
            client.post("/v1/echo", too_much), client.post("/v1/echo", no_picture)
        before = settled_resident_bytes()
        for _ in range(40):
            client.post("/v1/echo", no_picture)
        assert settled_resident_bytes() - before < 4 << 20


def test_nothing_of_a_request_is_opened(kit: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(kit.grey(200))
    with kit.serving([kit.Echo().loaded]) as client:
        part = kit.file_part(kit.grey(5), filename=f"../../../..{secret}")
        assert client.form("/v1/echo", [part]).json["mean"] == 5
        for body in (str(secret).encode(), f"file://{secret}".encode()):
            assert client.post("/v1/echo", body).status == 415
