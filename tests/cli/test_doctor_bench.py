"""`argus doctor bench`: refusals, and the result as JSON."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest


def test_a_case_is_measured_and_told(argus: Any) -> None:
    arguments = ["--only-others", "--with", "none", "--case", "wrong-sign-mlp", "--json"]
    output = argus("doctor", "bench", *arguments)
    result = output.json
    assert result["suite"] == "dev"
    assert result["detectors"]["none"]["summary"]["detected"][:2] == [0, 1]
    assert result["detectors"]["none"]["faults"][0]["case"] == "wrong-sign-mlp/11"
    assert "faults detected" in output.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--suite", "test"], "dev, held-out"),
        (["--with", "nobody"], "no detector is called 'nobody'"),
        (["--only-others"], "--with"),
        (["--case", "wrong-sing-mlp"], "did you mean 'wrong-sign-mlp'"),
    ],
)
def test_what_is_not_there_is_refused(argus: Any, arguments: list[str], said: str) -> None:
    assert said in argus("doctor", "bench", *arguments, code=2).err


def test_without_the_folder_of_a_clone_it_says_where_the_benchmark_is(argus: Any, tmp_path: Path) -> None:
    said = argus("doctor", "bench", "--folder", tmp_path, code=2).err
    assert f"{tmp_path}: the doctor's benchmark is not here" in said


def test_an_interrupted_benchmark_says_so_in_a_line_and_leaves_no_process(tmp_path: Path) -> None:
    detector = tmp_path / "waiting_detector.py"
    detector.write_text(
        "import os, time\n"
        "from pathlib import Path\n"
        "class Waiting:\n"
        "    def start(self, model, optimizer, declared):\n"
        "        here = Path(__file__).parent\n"
        "        (here / 'writing').write_text(str(os.getpid()))\n"
        "        (here / 'writing').rename(here / 'pid')\n"
        "        time.sleep(1000)\n"
    )
    command = [sys.executable, "-m", "argusvl", "doctor", "bench", "--only-others", "--workers", "1"]
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [*command, "--with", "waiting_detector:Waiting"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
        start_new_session=True,  # a terminal's Ctrl-C goes to all processes of its group
    )
    pid = tmp_path / "pid"
    while not pid.exists():
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip().splitlines()[-1] == "interrupted" and len(said.strip().splitlines()) <= 3
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
