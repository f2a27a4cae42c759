"""How long `argus VERB --help` takes, for every verb and sub-verb: what anyone waits who asks how a command is written.

Starts each command afresh, in turns, and takes medians, after one round that is not counted (it fills the disk's cache
and compiles). On a machine that others use, too, the processor time is the fairer figure; the wall time is at least
that. `python -c pass` beside it is what Python alone takes.

    python benchmarks/startup.py
    python benchmarks/startup.py --rounds 1   # a trial; nothing is written

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
import time
from pathlib import Path

from argusvl import __version__
from argusvl.cli.main import VERBS, commands
from argusvl.core.workers import usable_cores

RESULTS = Path("benchmarks/results")
ROUNDS = 5
ARGUS = [sys.executable, "-c", "from argusvl.cli.main import main; main()"]


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
    rounds = parser.parse_args().rounds
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
        date = datetime.date.today().isoformat()
        result = {
            "date": date,
            "argus": __version__,
            "machine": f"{usable_cores()} cores, {platform.machine()}; shared with other work",
            "load_average_15_minutes": round(os.getloadavg()[2], 1),
            "python": platform.python_version(),
            "rounds": rounds,
            "commands": found,
        }
        path = RESULTS / f"{date}-startup.json"
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written: {path}")


if __name__ == "__main__":
    main()
