"""``argus train --processes``: two processes train one run, are stopped by one request, and go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from argusvl.cli.main import run

ARGUS = [sys.executable, "-c", "from argusvl.cli.main import main; main()"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few drawn records."""
    folder = tmp_path_factory.mktemp("drawn") / "data"
    words = ["--images", "16", "--seed", "0", "--width", "224", "--height", "168"]
    subprocess.run([*ARGUS, "data", "synth", "bbu-room", str(folder), *words], check=True)
    return folder


@pytest.fixture
def command(repository: Path, data: Path, tmp_path: Path) -> list[str]:
    """Trains a small model until ``max_steps``, which is to be added; its output folder is ``run``."""
    overrides = {
        "train": data / "train.jsonl",
        "val": data / "val.jsonl",
        "teacher_pool": data / "teacher_pool.jsonl",
        "output_dir": tmp_path / "run",
        "eval_steps": 2,
        "save_steps": 2,
        "per_device_train_batch_size": 1,
        "detection_num_queries": 40,
    }
    config = str(repository / "configs" / "bbu_room.yaml")
    words = [config, *(f"{key}={value}" for key, value in overrides.items()), "--processes", "2", "--json"]
    return [*ARGUS, "train", *words]


def begin(command: list[str], first: Path) -> subprocess.Popen[str]:
    """A run of 500 steps that has saved its first checkpoint."""
    running = subprocess.Popen(
        [*command, "max_steps=500"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 300
    while not first.is_dir() and running.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    return running


@pytest.mark.timeout(900)  # starts five processes; on a machine with other work that alone can take minutes
def test_two_processes_train_are_interrupted_and_go_on(command: list[str], tmp_path: Path) -> None:
    running = begin(command, tmp_path / "run" / "checkpoint-2")
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=200)
    assert running.returncode == 130, err
    assert err.count("stopped after step") == 1 and "--processes 2 --resume" in err and "Traceback" not in err
    reached = json.loads(out)["steps"]
    assert (tmp_path / "run" / f"checkpoint-{reached}").is_dir()

    done = subprocess.run(
        [*command, f"max_steps={reached + 1}", "--resume"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["steps"] == reached + 1 and result["interrupted"] is False


def test_a_mistake_is_said_once(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str], quiet_logging: None
) -> None:
    (tmp_path / "run" / "checkpoint-2").mkdir(parents=True)
    assert run([*command[len(ARGUS) :], "max_steps=2"]) == 2
    said = capfd.readouterr().err  # of this process and of all that it had started
    assert said.count("error:") == 1 and "already holds checkpoint-2" in said


def test_more_processes_than_gpus_are_refused(
    argus: Any, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    said = argus(*command[len(ARGUS) :], "max_steps=2", "device=auto", code=2).err
    assert "2 processes were asked for and this machine has 1 GPU" in said
    assert "RANK" not in os.environ


@pytest.mark.timeout(900)
def test_a_process_that_is_killed_is_named(command: list[str], tmp_path: Path) -> None:
    running = begin(command, tmp_path / "run" / "checkpoint-2")
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    ranks = {int(_environment(pid).get("RANK", -1)): int(pid) for pid in children}
    os.kill(ranks[1], signal.SIGKILL)
    _, err = running.communicate(timeout=200)
    assert running.returncode == 2, err
    assert "process 1 of 2 was ended by SIGKILL" in err and "--resume" in err
    assert "Traceback" not in err and "mistake in Argus" not in err


def _environment(pid: str) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)
