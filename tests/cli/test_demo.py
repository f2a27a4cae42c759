"""`argus demo`: what it refuses, and what it runs; `scripts/check_wheels.py --install` runs a short one whole."""

from __future__ import annotations

import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from argusvl.cli.main import run
from argusvl.tasks import load_run_config


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_folder_that_is_no_demo_stays(argus: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years", encoding="utf-8")
    said = argus("demo", "--out", "mine", "--overwrite", code=2).err
    assert "mine: is there already, and is no demo" in said
    assert (tmp_path / "mine" / "thesis.txt").read_text("utf-8") == "years"


def test_an_earlier_demo_is_replaced_only_when_asked(argus: Any, tmp_path: Path) -> None:
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "demo.yaml").write_text("", encoding="utf-8")
    assert "add --overwrite" in argus("demo", code=2).err


def test_its_configuration_is_of_its_folder_and_a_command_that_fails_ends_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **o: real([*command, "--nonsense"], **o))
    assert run(["demo", "--out", "new place/板", "--images", "20", "--steps", "6"]) == 2
    assert "No such option" in capfd.readouterr().err
    config = load_run_config("new place/板/demo.yaml")
    assert config.training.output_dir == Path("new place/板")
    assert config.data.train == Path("new place/板/data/train.jsonl")
    assert (config.training.max_steps, config.training.eval_steps) == (6, 6)


def test_it_trains_the_shipped_configuration(repository: Path) -> None:
    packed = files("argusvl.detection.commands").joinpath("demo.yaml").read_text("utf-8")
    assert packed == (repository / "configs" / "bbu_room.yaml").read_text("utf-8")
    assert load_run_config(repository / "configs" / "bbu_room.yaml").training.output_dir == Path("runs/demo")
