"""`argus predict FOLDER`: images a second in this process, and by Ray with one worker and with two.

    python benchmarks/predict_batch.py                # writes a dated result
    python benchmarks/predict_batch.py --images 128   # a trial: nothing is written

Each way predicts the same drawn pictures with the embedded base, one thread a process, in commands that take turns.
The clock starts when each worker has had a shard, so that neither loading nor Ray's start counts; the seconds of the
whole command stand beside it. The lines of all ways are compared. On a machine that others use, too, the ratios count,
and two workers can be no faster than one where a second core is not free: the load is noted.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from argusvl import __version__
from argusvl.core.threads import usable_cores

RESULTS = Path("benchmarks/results")
SHARD = 32
"""Images that come back from a worker at a time: four batches of eight."""
WAYS: dict[str, tuple[int, list[str]]] = {
    "local": (1, []),
    "ray, 1 worker": (1, ["--engine", "ray", "--workers", "1"]),
    "ray, 2 workers": (2, ["--engine", "ray", "--workers", "2"]),
}
"""Name → workers, options."""


def measure(words: list[str], workers: int) -> tuple[list[str], float, float]:
    """Runs the command; gives its lines, images/s once all work, and seconds of all of it."""
    begun = time.perf_counter()
    lines: list[str] = []
    times: list[float] = []
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "argusvl", "predict", "argus-tiny", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            times.append(time.perf_counter())
    whole = time.perf_counter() - begun
    if process.returncode:
        raise SystemExit(f"predict ended with {process.returncode}")
    start = workers * SHARD
    return lines, (len(lines) - start) / (times[-1] - times[start - 1]), whole


def main() -> None:
    """Measures all ways in turns, and writes what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, help="a trial with so many")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    count = options.images or 320
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    loads: list[float] = []
    same = True
    with tempfile.TemporaryDirectory() as place:
        pictures = Path(place) / "set"
        draw = ["data", "synth", "shapes", str(pictures), "--images", str(count), "--seed", "1"]
        subprocess.run([sys.executable, "-m", "argusvl", *draw], check=True, stdout=subprocess.DEVNULL)
        files = sorted(p for p in pictures.rglob("*") if p.suffix in (".jpg", ".png"))[:count]
        expected: list[str] | None = None
        for _ in range(options.rounds):
            for way, (workers, extra) in WAYS.items():
                loads.append(round(os.getloadavg()[0], 1))
                words = [*map(str, files), "--score-threshold", "0.1", *extra]
                lines, rate, whole = measure(words, workers)
                expected = expected or lines
                same &= lines == expected
                rates[way].append(round(rate, 2))
                seconds[way].append(round(whole, 1))
                print(f"{way}: {rate:.1f} images/s, {whole:.0f} s in all", flush=True)
    result: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "argus": __version__,
        "machine": {
            "processor": platform.processor(),
            "cores": usable_cores(),
            "load": round(os.getloadavg()[0], 1),
        },
        "load_before_each": loads,
        "images": len(files),
        "same_lines": same,
        "images_per_second": {way: round(statistics.median(found), 1) for way, found in rates.items()},
        "of_rounds": rates,
        "seconds_in_all": seconds,
    }
    print(json.dumps(result, indent=1))
    if options.images is None:
        file = RESULTS / f"{result['date']}-predict-batch.json"
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
