"""`argus serve` as a process: it says where it listens, ends in order at SIGTERM, and tells a user's mistakes."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def test_it_answers_until_sigterm_and_ends_with_0() -> None:
    words = [sys.executable, "-m", "argusvl", "serve", "argus-hand", "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        address = re.search(r"answering argus-hand on http://127\.0\.0\.1:(\d+)", said)
        assert address is not None, said
        connection = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=20)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 200
        process.send_signal(signal.SIGTERM)
        assert (process.wait(20), process.stderr.read()) == (0, "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "no checkpoint and no store"),
        (["nowhere"], "no such checkpoint"),
        (["argus-hand", "--host", "0.0.0.0", "--port", "0"], "--token-file"),
        (["argus-hand", "--host", "127.0.0.256", "--port", "0"], "--token-file"),
        (["argus-hand", "argus-hand", "--port", "0"], "two models are called argus-hand"),
        (["--store", "nowhere", "--port", "0"], "not a support store"),
        (["argus-hand", "--token-file", "nowhere"], "no such file"),
        (["argus-hand", "--label-studio-files", "nowhere"], "no such folder"),
        (["argus-hand", "--label-studio-files", __file__], "a file, not a folder"),
    ],
)
def test_mistakes_are_told(
    argus: Any, words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in argus("serve", *words, code=2).err.lower()


@pytest.mark.parametrize("token", ["", "short", "two words of some length", "schlüssel-schlüssel-1"])
def test_a_weak_token_is_refused(argus: Any, token: str, tmp_path: Path) -> None:
    file = tmp_path / "token.txt"
    file.write_text(token, encoding="utf-8")
    said = argus("serve", "argus-hand", "--token-file", file, code=2).err
    assert "at least 16" in said and (not token or token not in said)


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(argus: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = argus("serve", "argus-hand", "--port", taken.getsockname()[1], code=2).err
    assert "another port" in said
