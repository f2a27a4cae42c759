"""Whether demonstrations pay: the demo's recipe with teachers before none, a third and most of its samples.

    python benchmarks/teachers.py                      # ratios 0, 0.35 and 0.7, three seeds: nine runs
    python benchmarks/teachers.py --ratios 0 --seeds 0

Each run is ``configs/bbu_room.yaml`` with another ``teacher_ratio``; the held-out pictures are then measured without
demonstrations and after one. Writes ``benchmarks/results/<date>-teachers.json``, which grows with each run.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from argusvl import __version__

WORK = Path("runs/teachers")
CONFIG = "configs/bbu_room.yaml"
FIGURES = ("AP50", "AP", "caption_exact", "recall")


def argus(*arguments: object) -> str:
    """Runs a verb; what it prints."""
    command = [str(Path(sys.executable).with_name("argus")), *map(str, arguments)]
    print("$ argus", *command[1:], file=sys.stderr, flush=True)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def trial(ratio: float, seed: int, steps: int | None) -> dict[str, Any]:
    """One run, measured without demonstrations and after one."""
    run, data = WORK / f"{ratio:g}-{seed}", WORK / "data"
    overrides = [f"teacher_ratio={ratio}", "num_teachers=1", f"seed={seed}", f"output_dir={run}"]
    overrides += [f"{key}={data}/{name}.jsonl" for key, name in (("train", "train"), ("val", "val"))]
    overrides += [f"teacher_pool={data}/teacher_pool.jsonl"] + (
        [] if steps is None else [f"max_steps={steps}"]
    )
    processes = ["--processes", 2, "per_device_train_batch_size=4"]  # as `make demo` trains on two cores
    trained = json.loads(argus("train", CONFIG, "--json", *processes, *overrides))
    history = json.loads((run / "trainer_state.json").read_text("utf-8"))["log_history"]
    written = [entry["student_lm_loss"] for entry in history if "student_lm_loss" in entry][-5:]
    measured = json.loads(argus("eval", run, data / "test.jsonl", "--teachers", 1, "--json"))
    return {
        "teacher_ratio": ratio,
        "seed": seed,
        "steps": trained["steps"],
        "train_minutes": round(trained["train_seconds"] / 60, 1),
        "student_lm_loss": fmean(written) if written else None,
        "measured": measured,
    }


def main() -> None:
    """All runs, and their table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.0, 0.35, 0.7])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="optimizer steps; the demo's if not given")
    asked = parser.parse_args()
    if not (WORK / "data" / "train.jsonl").is_file():
        argus("data", "synth", "bbu-room", WORK / "data", "--images", 1000, "--seed", 1)
    today = datetime.date.today().isoformat()
    result: dict[str, Any] = {
        "date": today,
        "argus": __version__,
        "machine": f"{os.cpu_count()} cores, no GPU",
        "config": CONFIG,
        "runs": [],
    }
    file = Path("benchmarks/results") / f"{today}-teachers.json"
    for seed in asked.seeds:
        for ratio in asked.ratios:
            result["runs"].append(trial(ratio, seed, asked.steps))
            file.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for ratio in asked.ratios:
        runs = [run for run in result["runs"] if run["teacher_ratio"] == ratio]
        for name in FIGURES:
            values = [run["measured"][name] for run in runs]
            spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
            print(f"teacher_ratio {ratio:g}: {name} {fmean(values):.3f}{spread}")


if __name__ == "__main__":
    main()
