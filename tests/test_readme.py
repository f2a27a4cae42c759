"""What README.md tells a new user to type exists, and the files that it names are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from argusvl.cli.main import run

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text("utf-8")
COMMANDS = re.findall(r"^ +\.venv/bin/argus (.+)$", TEXT, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_shown_command_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command, comments=True)
    verb = words[:2] if words[0] in ("data", "doctor", "inspect", "recognize") else words[:1]
    task = ["--task", "manipulation"] if {"manipulation", "argus-hand"} & {*words} else []
    assert run([*verb, *task, "--help"]) == 0
    shown = capsys.readouterr().out
    for option in (w for w in words if w.startswith("--")):
        assert re.search(rf"{option}\b", shown), f"{option} is not an option of {' '.join(verb)}"


def test_every_file_that_readme_names_is_there() -> None:
    linked = [t for t in re.findall(r"\]\(([^)#]+)\)", TEXT) if not t.startswith("http")]
    named = re.findall(r"\b(?:configs|benchmarks|docs)/[\w./-]+\w", TEXT)
    assert linked and named
    assert [t for t in {*linked, *named} if not (ROOT / t).exists()] == []
