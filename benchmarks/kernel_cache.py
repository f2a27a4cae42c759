"""How much a training's memory grows by the kernels that oneDNN keeps, and what keeping fewer costs.

Trains the demo's model on drawn scenes in bfloat16, once for each number of kernels (the variable
``ONEDNN_PRIMITIVE_CACHE_CAPACITY``; 1,024 is oneDNN's own, 128 what ``argus`` sets), and reads the resident memory of
the process as the steps pass.

    python benchmarks/kernel_cache.py

Writes ``benchmarks/results/``. Speeds are of runs after one another: on a machine that others use they say little.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from argusvl import __version__

RESULTS = Path("benchmarks/results")
CONFIG = Path("configs/bbu_room.yaml")
ARGUS = str(Path(sys.executable).with_name("argus"))
KERNELS = (1024, 128, 16)


def memory_by_step(data: Path, out: Path, kernels: int, steps: int) -> dict[str, object]:
    """Resident MiB at some steps of one training, its highest, and the images a second."""
    words = [ARGUS, "train", str(CONFIG), f"output_dir={out}", f"max_steps={steps}", "bf16=true"]
    words += [f"data.{name}={data / name}.jsonl" for name in ("train", "val", "teacher_pool")]
    words += [f"eval_steps={10 * steps}", f"save_steps={10 * steps}", "logging_steps=5"]
    environment = os.environ | {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(kernels)}
    log, curve = out.with_suffix(".log"), {}
    with log.open("wb") as stderr:
        process = subprocess.Popen(words, stderr=stderr, stdout=subprocess.DEVNULL, env=environment)
        while process.poll() is None:
            time.sleep(2)
            told = re.findall(rf"step (\d+)/{steps}.* ([\d.]+) samples/s", log.read_text(encoding="utf-8"))
            status = Path(f"/proc/{process.pid}/status")
            if told and status.exists() and (rss := re.search(r"VmRSS:\s+(\d+)", status.read_text())):
                curve[int(told[-1][0])] = int(rss[1]) // 1024
    if process.returncode:
        raise SystemExit(log.read_text(encoding="utf-8"))
    return {
        "resident_mib": curve,
        "highest_mib": max(curve.values()),
        "samples_per_second": float(told[-1][1]),
    }


def main() -> None:
    """All numbers of kernels, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        subprocess.run(
            [ARGUS, "data", "synth", "bbu-room", data, "--images", "400", "--seed", "1"], check=True
        )
        for kernels in KERNELS:
            results[str(kernels)] = memory_by_step(data, Path(folder) / f"run-{kernels}", kernels, steps)
            print(kernels, results[str(kernels)])
    from argusvl.core.environment import environment

    today = datetime.date.today().isoformat()
    file = RESULTS / f"{today}-kernel-cache.json"
    machine = {"processor": platform.processor(), "argusvl": __version__, **environment()}
    file.write_text(json.dumps({"machine": machine, "steps": steps, "kernels": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
