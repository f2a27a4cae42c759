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


def test_readme_shows_commands_for_ones_own_photographs_and_for_a_lora() -> None:
    verbs = [verb for verb in (shlex.split(c)[0] for c in COMMANDS) if verb not in ("recognize", "doctor")]
    assert verbs[:5] == ["data", "data", "init", "train", "predict"]
    assert verbs[5:9] == ["predict", "predict", "init", "train"]  # hands
    assert verbs[9:] == ["data", "init", "train", "export"]


def test_readme_shows_the_way_from_a_folder_to_a_table() -> None:
    verbs = [words[1] for words in map(shlex.split, COMMANDS) if words[0] == "recognize"]
    assert verbs[:3] == ["enroll", "classify", "table"]


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


def test_both_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^ +make (\w+)", TEXT, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
