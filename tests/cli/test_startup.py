"""What is imported before a verb works: an answer that needs no model does not wait for one."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from argusvl.cli.main import VERBS

RUN_EACH = """
import contextlib, json, os, sys
from argusvl.cli.main import commands, run

code, commands_given = sys.argv[1:]
for words in json.loads(commands_given) or [[*words, "--help"] for words in commands()]:
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        found = run(words)
    assert found == int(code), f"{words} ended with {found}"
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} | set(sys.modules))))
"""


def imported_by(code: int, commands: list[list[str]], folder: Path) -> set[str]:
    """What one process has imported that has run these commands one after the other; the help of all, if none is given.

    Args:
        code: With which each of them must end.
        commands: What follows ``argus``.
        folder: Where it runs.
    """
    child = [sys.executable, "-c", RUN_EACH, str(code), json.dumps(commands)]
    done = subprocess.run(child, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.fixture(scope="module")
def packages(repository: Path) -> set[str]:
    """Top-level modules of all packages that we depend on, extras included."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *(d for e in project["optional-dependencies"].values() for d in e)]
    names = {need.split("[")[0].split(">")[0].lower().replace("_", "-") for need in needed}
    modules = metadata.packages_distributions().items()
    found = {module for module, owners in modules if names & {o.lower().replace("_", "-") for o in owners}}
    assert {"torch", "transformers", "numpy", "PIL", "scipy", "sklearn", "pyarrow", "ray", "yaml"} <= found
    return found


def test_the_help_of_a_verb_needs_nothing_but_the_command_line(packages: set[str], tmp_path: Path) -> None:
    found = imported_by(0, [], tmp_path)
    assert {verb.place.partition(":")[0] for verb in VERBS.values()} <= found
    assert found & packages <= {"typer", "pydantic", "argus_doctor"}  # typer rests on pydantic


def test_the_list_of_verbs_needs_none_of_them(packages: set[str], tmp_path: Path) -> None:
    found = imported_by(0, [["--help"], ["--version"]], tmp_path)
    assert not {verb.place.partition(":")[0] for verb in VERBS.values()} & found
    assert found & packages <= {"typer", "argus_doctor"}


def test_a_wrong_path_is_refused_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    pixels = ["--min-pixels", "3136", "--max-pixels", "50176"]
    record = {"images": ["a.jpg"], "objects": []}
    (tmp_path / "records.jsonl").write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "empty").mkdir()
    found = imported_by(
        2,
        [
            ["init", "nowhere"],
            ["train", "nowhere.yaml"],
            ["eval", "nowhere", "records.jsonl"],
            ["eval", "argus-tiny", "nowhere.jsonl"],
            ["predict", "nowhere", "a.jpg"],
            ["predict", "empty", "a.jpg"],
            ["predict", "argus-tiny", "empty"],
            ["data", "convert", "voc", "nowhere", "out", *pixels],
            ["data", "convert", "vox", "empty", "out", *pixels],
            ["data", "export", "coco", "nowhere", "out"],
            ["data", "check", "nowhere"],
            ["data", "synth", "nothing", "out", "--images", "1", "--seed", "0"],
            ["data", "split", "nowhere", "--val-fraction", "0.5", "--seed", "0"],
            ["data", "pool", "nowhere", "--size", "1"],
            ["inspect", "tokens", "records.jsonl", "--model", "nowhere"],
            ["inspect", "params", "nowhere"],
            ["report", "nowhere"],
            ["recognize", "enroll", "store", "nowhere"],
            ["recognize", "search", "nowhere", "a.jpg"],
        ],
        tmp_path,
    )
    assert not found & {"torch", "transformers", "sklearn", "ray"}


def test_work_on_data_and_configurations_needs_no_torch(repository: Path, tmp_path: Path) -> None:
    size = ["--width", "112", "--height", "112"]
    pixels = ["--min-pixels", "3136", "--max-pixels", "50176"]
    found = imported_by(
        0,
        [
            ["data", "synth", "bbu-room", "drawn", "--images", "10", "--seed", "0", *size],
            ["data", "export", "coco", "drawn", "coco"],
            ["data", "convert", "coco", "coco", "converted", *pixels],
            ["data", "check", "coco", "--format", "coco", *pixels],
            ["data", "split", "converted", "--val-fraction", "0.2", "--seed", "0", "--overwrite"],
            ["data", "pool", "converted", "--size", "8", "--overwrite"],
            ["train", str(repository / "tests" / "config" / "complete.yaml"), "--print-config"],
        ],
        tmp_path,
    )
    assert not found & {"torch", "transformers"}
