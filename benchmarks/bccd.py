"""BCCD blood cells from random weights: how well, in how long, and with which queries.

Converts the photographs (zero-area boxes are refused by name, the rest used), trains on the train split, chooses the
checkpoint on val, reads test once, and writes a dated result. Beside it stand YOLOv8n and YOLOv5s, both pre-trained
on COCO, which ours is not.

    python benchmarks/bccd.py                      # the figure: proposals
    python benchmarks/bccd.py --compare --steps N  # learned against proposals on the same number of steps

Reads ``$ARGUS_SHARED_DATA/bccd`` (default ``../shared/data``), writes ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from argusvl import __version__

CONFIG = Path("configs/bccd.yaml")
WORK = Path("runs/bccd")
RESULTS = Path("benchmarks/results")
# Learned queries as DETR trains them: exactly one answers for an object.
FORMS = {
    "proposals": ["detection_queries=proposals"],
    "learned": ["detection_queries=learned", "detection_assignment=one_to_one"],
}
# AP50 over the three classes; both start from COCO weights.
PEERS = {"YOLOv8n (COCO pre-trained)": 0.904, "YOLOv5s (COCO pre-trained)": 0.945}


def argus(*arguments: str | Path, accept: tuple[int, ...] = (0,)) -> str:
    """Runs ``argus``; gives its stdout."""
    words = [str(a) for a in arguments]
    print("$ argus", *words, file=sys.stderr, flush=True)
    done = subprocess.run(
        [Path(sys.executable).with_name("argus"), *words], stdout=subprocess.PIPE, text=True
    )
    if done.returncode not in accept:
        raise SystemExit(f"argus {words[0]} ended with {done.returncode}")
    return done.stdout


def convert() -> Path:
    """The data set on the training grid; made once."""
    source = Path(os.environ.get("ARGUS_SHARED_DATA", "../shared/data")) / "bccd"
    if not source.is_dir():
        raise SystemExit(f"{source} is not there: set ARGUS_SHARED_DATA to the folder that holds bccd")
    data = WORK / "data"
    # Exit code 1: two boxes of zero area were refused by name; the rest was used.
    argus(
        "data", "convert", "voc", source, data, "--min-pixels", "3136", "--max-pixels", "235200", "--overwrite",
        accept=(0, 1),
    )  # fmt: skip
    refused = json.loads((data / "manifest.json").read_text("utf-8"))["refused"]
    print(f"refused: {len(refused)}", file=sys.stderr)
    return data


def train_and_test(data: Path, name: str, overrides: list[str]) -> dict[str, Any]:
    """One training run and one reading of the test split."""
    run = WORK / name
    began = time.perf_counter()
    trained = json.loads(
        argus(
            "train", CONFIG, f"train={data / 'train.jsonl'}", f"val={data / 'val.jsonl'}",
            f"output_dir={run}", f"run_name=bccd-{name}", "--json", *overrides,
        )
    )  # fmt: skip
    minutes = (time.perf_counter() - began) / 60
    tested = json.loads(
        argus("eval", trained["best_checkpoint"], data / "test.jsonl", "--json", "--out", run / "test")
    )
    return {
        "name": name,
        "overrides": overrides,
        "steps": trained["steps"],
        "wall_minutes": round(minutes, 1),
        "train_minutes": round(trained["train_seconds"] / 60, 1),
        "images_per_second": round(trained["images_per_second"], 2),
        "val_AP50": trained["best_metric"],
        "test": {
            k: tested[k] for k in ("AP50", "AP", "AP75", "AR100", "caption_exact", "recall", "per_class")
        },
    }


def main() -> None:
    """Trains as asked and writes the dated result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--compare", action="store_true", help="train both forms of queries on the same budget"
    )
    parser.add_argument("--steps", type=int, help="optimizer steps instead of the configuration's")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    # Of the code that trains: an hour later the tree may be another.
    commit = subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    data = convert()
    common = [f"seed={asked.seed}"]
    if asked.steps:
        common += [
            f"max_steps={asked.steps}",
            f"eval_steps={max(asked.steps // 4, 1)}",
            f"save_steps={asked.steps}",
        ]
    forms = list(FORMS) if asked.compare else ["proposals"]
    budget = f"-{asked.steps}-steps" if asked.steps else ""
    runs = [train_and_test(data, f"{form}-{asked.seed}{budget}", [*common, *FORMS[form]]) for form in forms]
    today = datetime.date.today().isoformat()
    result = {
        "date": today,
        "argus": __version__,
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU",
        "torch": torch.__version__,
        "config": str(CONFIG),
        "weights": "random",
        "runs": runs,
        "peers_AP50": PEERS,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    kind = "queries" if asked.compare else "random_weights"
    file = RESULTS / f"{today}-bccd-{kind}.json"
    file.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for run in runs:
        print(
            f"{run['name']}: test AP50 {run['test']['AP50']:.3f}, AP {run['test']['AP']:.3f}, {run['wall_minutes']} min"
        )
    for peer, figure in PEERS.items():
        print(f"{peer}: AP50 {figure:.3f}")
    print(file)


if __name__ == "__main__":
    main()
