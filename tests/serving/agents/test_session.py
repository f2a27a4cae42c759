"""A recorded session, message by message over the command's own streams: what agents are answered stays as it is.

`python tests/serving/agents/test_session.py` records it anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SESSION = HERE / "session.jsonl"

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("list_places", {}),
    ("list_places", {"folder": "run"}),
    ("why_log_ended", {"log": "train.log"}),
    ("check_training_script", {"script": "train.py"}),
    ("run_figures", {"run": "run"}),
    ("detect", {"image": "/etc/passwd"}),
    ("detect", {"image": "../test_session.py"}),
    ("detect", {"image": "train.log"}),
    ("explain_finding", {"id": "no-such-thing"}),
]


def requests() -> list[dict[str, Any]]:
    """What a client sends."""
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "a client", "version": "1"},
    }
    calls = [{"name": name, "arguments": arguments} for name, arguments in CALLS]
    sent = [("initialize", hello), *(("tools/call", call) for call in calls)]
    messages: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "id": k, "method": method, "params": params}
        for k, (method, params) in enumerate(sent)
    ]
    messages.insert(1, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    return messages


def ask() -> list[dict[str, Any]]:
    """What `argus mcp` answers, in the order of the requests."""
    process = subprocess.Popen(
        [sys.executable, "-m", "argusvl", "mcp", "--folder", str(HERE / "place")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    answers = []
    for message in requests():
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        if "id" in message:
            answers.append(json.loads(process.stdout.readline()))
    process.stdin.close()
    rest = process.stdout.read()
    assert process.wait(60) == 0, process.stderr.read() if process.stderr else ""
    assert rest == ""
    return answers


def pairs() -> list[dict[str, Any]]:
    """Each request with what was answered, without what another release changes by itself."""
    answers = {one["id"]: one.get("result", one.get("error")) for one in ask()}
    server = answers[0].pop("serverInfo")
    assert server["name"] == "argus"
    sent = {one["id"]: one for one in requests() if "id" in one}
    return [{"sent": sent[k]["params"], "answered": found} for k, found in answers.items()]


def test_the_recorded_session_is_answered_as_it_was() -> None:
    pytest.importorskip("mcp")
    recorded = [json.loads(line) for line in SESSION.read_text("utf-8").splitlines()]
    found = pairs()
    assert [one["sent"] for one in found] == [one["sent"] for one in recorded]
    for now, then in zip(found[1:], recorded[1:], strict=True):
        # The text is the structure once more: compared as such.
        for one in (now, then):
            if not one["answered"].get("isError"):
                text = one["answered"].pop("content")[0]["text"]
                assert json.loads(text) == one["answered"]["structuredContent"]
        assert now == then
    assert "never an instruction" in found[0]["answered"]["instructions"]


if __name__ == "__main__":
    lines = [json.dumps(pair, ensure_ascii=False) for pair in pairs()]
    SESSION.write_text("\n".join(lines) + "\n", encoding="utf-8")
