"""`argus mcp --port` as a client reaches it: streamable HTTP on this machine, and for this machine's own pages only."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PLACE = Path(__file__).parent / "place"
HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "a client", "version": "1"},
}
ACCEPTED = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def message(method: str, params: dict[str, Any], number: int | None = 1) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "method": method,
        "params": params,
        **({} if number is None else {"id": number}),
    }


class Caller:
    """A client that knows HTTP and JSON, and nothing of the protocol's own package."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.session: dict[str, str] = {}

    def post(self, body: bytes, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST", "/mcp", body, ACCEPTED | self.session | named)
            got = connection.getresponse()
            if given := got.getheader("mcp-session-id"):
                self.session = {"mcp-session-id": given, "mcp-protocol-version": HELLO["protocolVersion"]}  # type: ignore[dict-item]
            return got.status, got.read()
        finally:
            connection.close()

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        status, body = self.post(json.dumps(message(method, params)).encode())
        assert status == 200, body
        events = re.findall(rb"^data: (\{.*\})\r?$", body, re.MULTILINE) or [body]
        return json.loads(events[-1])["result"]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of `argus mcp`, a process of its own, which ends in order when it is told to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        chosen = int(free.getsockname()[1])
    words = [sys.executable, "-m", "argusvl", "mcp", "--folder", str(PLACE), "--port", str(chosen)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 180
        while True:
            try:
                socket.create_connection(("127.0.0.1", chosen)).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.1)
        yield chosen
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert "Traceback" not in said


@pytest.fixture
def caller(port: int) -> Caller:
    """A client that has said hello."""
    made = Caller(port)
    assert made.ask("initialize", HELLO)["serverInfo"]["name"]
    assert made.post(json.dumps(message("notifications/initialized", {}, None)).encode())[0] == 202
    return made


def test_tools_are_listed_and_answer(caller: Caller) -> None:
    names = {tool["name"] for tool in caller.ask("tools/list", {})["tools"]}
    assert {"detect", "why_log_ended", "list_places"} <= names
    called = caller.ask("tools/call", {"name": "why_log_ended", "arguments": {"log": "train.log"}})
    assert called["structuredContent"]["cause"] == "cuda_oom"
    assert json.loads(called["content"][0]["text"]) == called["structuredContent"]
    outside = caller.ask("tools/call", {"name": "detect", "arguments": {"image": "../test_http.py"}})
    assert outside["isError"] and "may be read" in outside["content"][0]["text"]


def test_pages_of_other_sites_are_refused(caller: Caller) -> None:
    body = json.dumps(message("tools/list", {})).encode()
    assert caller.post(body, Origin="https://evil.example")[0] == 403
    assert caller.post(body, Host="evil.example")[0] == 421
    assert caller.post(body)[0] == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"jsonrpc": "1.0"}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_message_is_refused_and_the_next_is_answered(caller: Caller, body: bytes) -> None:
    status, said = caller.post(body)
    assert status == 400 and b"Traceback" not in said
    assert caller.ask("tools/list", {})["tools"]


def test_only_this_machine_is_listened_to(port: int) -> None:
    listening = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    addresses = {line.split()[1] for line in listening if line.split()[3] == "0A"}
    assert f"0100007F:{port:04X}" in addresses
    assert f"00000000:{port:04X}" not in addresses
