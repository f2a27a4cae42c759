"""The curl commands of docs/serving.md are answered."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
COMMANDS = re.findall(r"^    (curl .*http://127\.0\.0\.1:8000.*)$", TEXT, re.MULTILINE)

pytestmark = pytest.mark.usefixtures("quiet_logging")


def test_the_commands_are_found() -> None:
    assert len(COMMANDS) >= 8
    for path in ("/v1/detect", "/v1/describe", "/v1/hands", "/v1/models"):
        assert any(path in command for command in COMMANDS)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_answered(command: str, shipped: Any, kit: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(kit.picture((64, 64), kind="JPEG"))
    words = command.replace("127.0.0.1:8000", f"127.0.0.1:{shipped.port}").replace("curl ", "curl -sf ", 1)
    done = subprocess.run(words, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "/metrics" in command or json.loads(done.stdout)


def test_each_limit_stands_there_with_its_default() -> None:
    import inspect

    from argusvl.cli.main import VERBS

    command = VERBS["serve"].load("detection")
    for name, parameter in inspect.signature(command).parameters.items():
        if name.startswith("max_") or name == "wait_ms":
            shown = "16 MiB" if name == "max_bytes" else f"{parameter.default:g}"
            assert f"| `--{name.replace('_', '-')}` | {shown} |" in TEXT
