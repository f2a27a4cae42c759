"""`argus predict FOLDER`: images a second in this process, and by Ray with one worker and with two.

    python benchmarks/predict_batch.py                # writes a dated result
    python benchmarks/predict_batch.py --images 32    # a trial: nothing is written

Each way predicts drawn pictures with the embedded base, one thread a process, in commands of their own, in turns:
once a fifth of the pictures, once all. The rate is that of the difference, so that neither loading nor Ray's start
counts; the seconds of the whole command stand beside it. The lines of all ways are compared. On a machine that others
use, too, the ratios count, and two workers can be no faster than one where a second core is not free.
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
WAYS = {
    "local": [],
    "ray, 1 worker": ["--engine", "ray", "--workers", "1"],
    "ray, 2 workers": ["--engine", "ray", "--workers", "2"],
}


def measure(words: list[str]) -> tuple[list[str], float]:
    """Runs the command; gives its lines, and seconds."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "argusvl", "predict", "argus-tiny", *words],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"predict ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout.splitlines(), time.perf_counter() - begun


def main() -> None:
    """Measures all ways in turns, and writes what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, help="a trial with so many")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    count = options.images or 480
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    same = True
    with tempfile.TemporaryDirectory() as place:
        pictures = Path(place) / "set"
        draw = ["data", "synth", "shapes", str(pictures), "--images", str(count), "--seed", "1"]
        subprocess.run([sys.executable, "-m", "argusvl", *draw], check=True, stdout=subprocess.DEVNULL)
        files = sorted(p for p in pictures.rglob("*") if p.suffix in (".jpg", ".png"))[:count]
        few = files[: count // 5]
        expected: list[str] | None = None
        for _ in range(options.rounds):
            for way, extra in WAYS.items():
                asked = ["--score-threshold", "0.1", *extra]
                _, short = measure([*map(str, few), *asked])
                lines, whole = measure([*map(str, files), *asked])
                if whole <= short:
                    raise SystemExit(
                        f"{way}: all took {whole:.0f} s, a fifth {short:.0f}: the machine is too busy"
                    )
                rate = (len(files) - len(few)) / (whole - short)
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
        "images": len(files),
        "same_lines": same,
        "images_per_second": {way: statistics.median(found) for way, found in rates.items()},
        "of_rounds": rates,
        "seconds_in_all": seconds,
    }
    print(json.dumps(result, indent=1))
    if options.images is None:
        file = RESULTS / f"{result['date']}-predict-batch.json"
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
