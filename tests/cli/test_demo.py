"""`argus demo`: what it refuses, and what it runs; `scripts/check_wheels.py --install` runs a short one whole."""

from __future__ import annotations

import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from argusvl.cli.main import run
from argusvl.detection.commands import demo
from argusvl.tasks import TASKS, load_run_config


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


def test_an_earlier_demo_with_files_of_others_stays(argus: Any, tmp_path: Path) -> None:
    written: tuple[str, ...] = (
        "demo.yaml",
        "train.log.rank1",
        "data/images/000019.jpg",
        "checkpoint-6/qwen/config.json",
    )
    theirs = ("notes.txt", "data/train.jsonl.bak", "data/images/mine.jpg")
    written += TASKS["detection"].evaluation_files
    for name in (*written, *theirs):
        file = tmp_path / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("", encoding="utf-8")
    said = argus("demo", "--out", "mine", "--overwrite", code=2).err
    assert "holds what no earlier run wrote" in said
    for name in theirs:
        assert name in said
        (tmp_path / "mine" / name).unlink()
    assert all((tmp_path / "mine" / name).is_file() for name in written)
    demo._make_room(tmp_path / "mine", overwrite=True)
    assert not (tmp_path / "mine").exists()


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
