"""Whether `argus data next` is worth its name: AP50 over the number of labelled pictures, against random choice.

    python benchmarks/active_labelling.py chess --seeds 0 1 2
    python benchmarks/active_labelling.py bccd --seeds 0 1 2      # begins with 5 pictures: 20 are nearly all it takes
    python benchmarks/active_labelling.py shapes --seeds 0 1 2    # drawn by `argus data synth`
    python benchmarks/active_labelling.py --summary benchmarks/results/DATE-active-labelling-*.json

For each seed a model learns from a few pictures drawn by chance. Then either ``argus data next`` or chance chooses as
many again, and twice as many after that; each time a model is trained from argus-tiny on all that is labelled by then,
with the same seed and the same steps. All pictures not learned from and not held out are there to choose from. Held out
are val and test together; they are read once, at the end of each training, and choose nothing. Trainings are short
(see STEPS) and pictures small (at most 100,352 pixels), so that the study takes an hour; absolute figures are those of
such trainings. Reads ``$ARGUS_SHARED_DATA`` (default ``../shared/data``), writes ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

WORK = Path("runs/active")
RESULTS = Path("benchmarks/results")
SETS = {"chess": ("coco", 10), "bccd": ("voc", 5), "shapes": (None, 10)}
"""Name → format in ``$ARGUS_SHARED_DATA``, and how many pictures are labelled at first."""
STEPS = (60, 80, 120)
"""Optimizer steps of 4 pictures: of the first training, and after each round of labelling."""
DRAWN = ["--images", "260", "--seed", "1", "--language", "en", "--width", "224", "--height", "168"]


def argus(*words: object, accept: tuple[int, ...] = (0,)) -> str:
    """Runs ``argus``; gives its stdout."""
    command = [sys.executable, "-m", "argusvl", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in accept:
        raise SystemExit(f"argus {words[0]} ended with {done.returncode}: {done.stderr[-3000:]}")
    return done.stdout


def prepare(name: str, folder: Path) -> tuple[list[dict[str, Any]], Path]:
    """The pool's records, and the configuration with all classes named: who labels knows what there is to label."""
    data = folder / "data"
    kind, _ = SETS[name]
    if not data.exists():
        if kind is None:
            argus("data", "synth", name, data, *DRAWN)
        else:
            source = Path(os.environ.get("ARGUS_SHARED_DATA", "../shared/data")) / name
            limits = ("--min-pixels", "3136", "--max-pixels", "100352")
            argus("data", "convert", kind, source, data, *limits, accept=(0, 1))
    held = "".join((data / f"{split}.jsonl").read_text("utf-8") for split in ("val", "test"))
    (data / "held_out.jsonl").write_text(held, "utf-8")
    (data / "all.jsonl").write_text((data / "train.jsonl").read_text("utf-8") + held, "utf-8")
    config = yaml.safe_load(argus("init", data))
    records = [json.loads(line) for line in (data / "all.jsonl").read_text("utf-8").splitlines()]
    descriptions = {one["desc"] for record in records for one in record["objects"]}
    closed = config["data"]["vocabulary"] == "closed"
    labels = sorted({one if closed else one.split("/")[0] for one in descriptions})
    config["data"] |= {"labels": labels, "val": str(data / "held_out.jsonl"), "teacher_pool": None}
    config["data"] |= {"teacher_ratio": 0.0, "num_teachers": 0}
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    lines = (data / "train.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines], file


def train(
    folder: Path, config: Path, records: list[dict[str, Any]], steps: int, seed: int
) -> tuple[Path, dict[str, Any]]:
    """Trains on these records; gives the run and what it came to."""
    data = config.parent / "data"
    file = data / f"labelled-{folder.name}.jsonl"
    file.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    overrides = {
        "train": file,
        "output_dir": folder,
        "run_name": folder.name,
        "seed": seed,
        "max_steps": steps,
    }
    overrides |= {"eval_steps": steps, "save_steps": steps, "per_device_train_batch_size": 4}
    overrides["metric_for_best_model"] = "AP50"
    began, used = time.perf_counter(), os.times().children_user
    done = json.loads(argus("train", config, *(f"{k}={v}" for k, v in overrides.items()), "--json"))
    return folder, {
        "images": len(records),
        "objects": sum(len(one["objects"]) for one in records),
        "labels": len({o["desc"] for one in records for o in one["objects"]}),
        "AP50": done["best_metric"],
        "cpu_seconds": round(os.times().children_user - used, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def ask(run: Path, pool: Path, count: int, labelled: Path) -> list[str]:
    """The file names that ``argus data next`` chooses."""
    answer = argus("data", "next", run, pool, "--count", count, "--labelled", labelled, "--json")
    return [Path(one["image"]).name for one in json.loads(answer)]


def study(name: str, seed: int, folder: Path, records: list[dict[str, Any]], config: Path) -> dict[str, Any]:
    """One seed: what each way of choosing came to after each round."""
    start = SETS[name][1]
    order = list(range(len(records)))
    random.Random(seed).shuffle(order)
    name_of = [Path(one["images"][0]).name for one in records]
    first = [records[k] for k in order[:start]]
    begun, at_first = train(folder / f"{seed}-first", config, first, STEPS[0], seed)
    outcome: dict[str, Any] = {"seed": seed, "chance": [at_first], "next": [at_first]}
    for way in ("next", "chance"):
        labelled, run = order[:start], begun
        for number, (steps, count) in enumerate(zip(STEPS[1:], (start, 2 * start), strict=True), start=1):
            left = [k for k in order if k not in labelled]
            if way == "next":
                pool = folder / f"pool-{seed}"
                shutil.rmtree(pool, ignore_errors=True)
                pool.mkdir(parents=True)
                for k in left:
                    os.link(config.parent / "data" / records[k]["images"][0], pool / name_of[k])
                known = config.parent / "data" / f"labelled-{run.name}.jsonl"
                chosen = ask(run, pool, count, known)
                taken = [next(k for k in left if name_of[k] == one) for one in chosen]
            else:
                taken = left[:count]
            labelled = [*labelled, *taken]
            run, came_to = train(
                folder / f"{seed}-{way}-{number}", config, [records[k] for k in labelled], steps, seed
            )
            outcome[way].append(came_to)
            print(name, seed, way, came_to, flush=True)
    return outcome


def summarise(files: list[Path]) -> None:
    """Means over the seeds, and in how many of them the choice was better than chance."""
    for file in files:
        result = json.loads(file.read_text("utf-8"))
        print(result["set"])
        for k in range(len(STEPS)):
            pairs = [(one["chance"][k]["AP50"], one["next"][k]["AP50"]) for one in result["runs"]]
            chance, chosen = (mean(side) for side in zip(*pairs, strict=True))
            better = sum(b > a for a, b in pairs)
            images = result["runs"][0]["chance"][k]["images"]
            objects = [mean(one[way][k]["objects"] for one in result["runs"]) for way in ("chance", "next")]
            print(
                f"  {images:3d} pictures: chance {chance:.3f} ({objects[0]:.0f} objects), next {chosen:.3f} "
                f"({objects[1]:.0f}), better in {better} of {len(pairs)}"
            )


def main() -> None:
    """Runs the study of a set and writes its dated result, which grows with each seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", choices=SETS, nargs="?")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--summary", type=Path, nargs="+", help="only show what these results come to")
    asked = parser.parse_args()
    if asked.summary:
        summarise(asked.summary)
        return
    folder = WORK / asked.set
    folder.mkdir(parents=True, exist_ok=True)
    records, config = prepare(asked.set, folder)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    result: dict[str, Any] = {
        "set": asked.set,
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU",
        "steps": STEPS,
        "pool": len(records),
        "runs": [],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{result['date']}-active-labelling-{asked.set}.json"
    for seed in asked.seeds:
        result["runs"].append(study(asked.set, seed, folder, records, config))
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    summarise([file])


if __name__ == "__main__":
    main()
