"""How long `argus VERB --help` takes, for every verb and sub-verb: what anyone waits who asks how a command is written.

Starts each command afresh, in turns, and takes medians, after one round that is not counted (it fills the disk's cache
and compiles). On a machine that others use, too, the processor time is the fairer figure; the wall time is at least
that. `python -c pass` beside it is what Python alone takes.

    python benchmarks/startup.py
    python benchmarks/startup.py --rounds 1   # a trial; nothing is written

With ``--records`` it measures instead how soon training makes its first step, and the most memory that the process
takes until then: from a thousand records and from so many, of a few small pictures, met for the first time and known.

    python benchmarks/startup.py --records 1000000

Writes ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from argusvl import __version__
from argusvl.cli.main import VERBS, commands
from argusvl.core.workers import usable_cores

RESULTS = Path("benchmarks/results")
ROUNDS = 5
ARGUS = [sys.executable, "-c", "from argusvl.cli.main import main; main()"]


FIRST_STEP = """
import json, sys, time
begun = time.perf_counter()
from transformers import TrainerCallback
from argusvl.tasks import load_run_config, task_entry
from argusvl.training.run import run_training

class FirstStep(TrainerCallback):
    def on_step_end(self, *_, **__):
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        megabytes = int(status["VmHWM"].split()[0]) / 1024
        step = time.perf_counter()
        found = {"imports_seconds": imported - begun, "seconds_after": step - imported, "peak_mb": megabytes}
        print(json.dumps({name: round(value, 2) for name, value in found.items()}), flush=True)

imported = time.perf_counter()
config = load_run_config(sys.argv[1], sys.argv[2:])
run_training(task_entry(config.task).task_class()(config), config, callbacks=[FirstStep()])
"""
"""Trains one step, and says when it was done and what it took."""


def write_data(folder: Path, records: int) -> None:
    """Records with three objects each, all in one of sixteen pictures."""
    rng = np.random.default_rng(0)
    for k in range(16):
        Image.fromarray(rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    with (folder / "train.jsonl").open("w", encoding="utf-8") as stream:
        for k in range(records):
            corners = rng.integers(0, 56, (3, 2)).tolist()
            objects = [
                {
                    "bbox_2d": [x, y, x + 40, y + 30 + n],
                    "desc": f"part {(k + n) % 40}/{'ok' if k % 3 else 'loose'}",
                }
                for n, (x, y) in enumerate(corners)
            ]
            stream.write(json.dumps({"images": [f"{k % 16}.png"], "objects": objects}) + "\n")


def first_step(folder: Path, run: str) -> dict[str, float]:
    """Seconds to the first step of a run on the data of a folder, and the process's peak memory."""
    changes = [
        *(
            f"train={folder}/train.jsonl",
            "val=null",
            "teacher_pool=null",
            "teacher_ratio=0",
            "num_teachers=0",
        ),
        *(f"output_dir={folder}/{run}", "max_steps=1", "eval_steps=1", "save_steps=1", "logging_steps=1"),
        *("per_device_train_batch_size=1", "report_to=[]", "device=cpu", "bf16=false"),
    ]
    command = [sys.executable, "-c", FIRST_STEP, "configs/bbu_room.yaml", *changes]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[0])
    return found


def measure_records(records: int) -> None:
    """Measures first steps and writes the dated result."""
    found = {}
    for number in (1000, records):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_data(folder, number)
            times = {met: first_step(folder, met) for met in ("first time", "known", "known again")}
            kept = sum(file.stat().st_size for file in folder.glob("*.facts/*")) / 1e6
            size = (folder / "train.jsonl").stat().st_size / 1e6
        found[f"{number} records"] = {"jsonl_mb": round(size, 1), "kept_mb": round(kept, 1), **times}
        for met, figures in times.items():
            seconds = f"{figures['seconds_after']:7.1f} s after {figures['imports_seconds']:.1f} s of imports"
            print(f"{seconds} {figures['peak_mb']:7.0f} MB  {number} records, {met}")
    write_result(
        "startup-records", {"configuration": "configs/bbu_room.yaml, one sample a step", "starts": found}
    )


def seconds(command: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measures every command and writes the dated result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--records", type=int, help="measure the first step of training with so many instead")
    asked = parser.parse_args()
    if asked.records is not None:
        measure_records(asked.records)
        return
    rounds = asked.rounds
    words = dict.fromkeys([(), *((verb,) for verb in VERBS), *commands()])
    measured = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "argus --version": [*ARGUS, "--version"],
        **{" ".join(["argus", *verb, "--help"]): [*ARGUS, *verb, "--help"] for verb in words},
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in measured}
    for number in range(rounds + 1):
        for name, command in measured.items():
            times = seconds(command)
            if number:
                taken[name].append(times)
    found = {
        name: {
            "wall_seconds": round(statistics.median(wall for wall, _ in times), 2),
            "cpu_seconds": round(statistics.median(cpu for _, cpu in times), 2),
        }
        for name, times in taken.items()
    }
    for name, figures in found.items():
        print(f"{figures['wall_seconds']:6.2f} s wall {figures['cpu_seconds']:6.2f} s cpu  {name}")
    if rounds == ROUNDS:
        write_result("startup", {"rounds": rounds, "commands": found})


def write_result(name: str, figures: dict[str, object]) -> None:
    """Writes figures, with the conditions that they were measured in."""
    date = datetime.date.today().isoformat()
    result = {
        "date": date,
        "argus": __version__,
        "machine": f"{usable_cores()} cores, {platform.machine()}; shared with other work",
        "load_average_15_minutes": round(os.getloadavg()[2], 1),
        "python": platform.python_version(),
        **figures,
    }
    path = RESULTS / f"{date}-{name}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
