"""Photographs of users: how well, in how long, and what each part of the recipe is worth.

    python benchmarks/photographs.py bccd figure --seeds 0 1 2     # the figure; --weights random: without the base
    python benchmarks/photographs.py chess figure --seeds 0 1 2    # or cards
    python benchmarks/photographs.py bccd queries --weights random --steps 800   # learned against proposals
    python benchmarks/photographs.py bccd curve                    # with 10, 25 and 50 of the photographs
    python benchmarks/photographs.py chess ablations               # one part of the recipe changed at a time

Goes the README's way: ``argus data convert``, ``argus init``, ``argus train``, ``argus eval``; what a user would not
write is not written here. The checkpoint is chosen on val and test read once; ablations read val only, since recipes
are chosen by them. ``--base FOLDER`` starts from another base than the package's (the base's own ablations). Each study
writes a dated result. Reads ``$ARGUS_SHARED_DATA`` (default ``../shared/data``), writes ``benchmarks/results/``.
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from argusvl import __version__

WORK = Path("runs/photographs")
RESULTS = Path("benchmarks/results")


@dataclass(frozen=True, slots=True)
class PhotographSet:
    """A folder of ``$ARGUS_SHARED_DATA``.

    Attributes:
        format: Of its annotations, as ``argus data convert`` names it.
        peers: What others measured there, AP50.
    """

    format: str
    peers: dict[str, float]


SETS = {
    "bccd": PhotographSet("voc", {"YOLOv8n (COCO pre-trained)": 0.904, "YOLOv5s (COCO pre-trained)": 0.945}),
    "chess": PhotographSet("coco", {}),
    "cards": PhotographSet("voc", {}),
}
WEIGHTS = ("argus-tiny", "random")
# Learned queries as DETR trains them: exactly one answers for an object.
ONE_TO_ONE = ["detection_queries=learned", "detection_assignment=one_to_one"]
ABLATIONS = {
    "as-shipped": [],
    "no-second-eye": ["detection_second_eye=none"],
    "no-average-of-weights": ["ema_decay=null"],
    "one-sampling-point": ["detection_sampling_points=1"],
    "one-to-one": ["detection_assignment=one_to_one"],
    "two-proposals-an-object": ["detection_positives_per_object=2"],
    "no-scaling": ["scale_min=1", "scale_max=1"],
    "not-turned": ["vertical_flip=0", "rotate90=0"],
    "300-tokens": ["max_pixels=235200"],
}
FEW = (10, 25, 50)
PLAIN = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
"""What makes a machine a plain one."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One training run; with so many photographs of the training split, or all."""

    name: str
    overrides: list[str]
    photographs: int | None = None
    read_test: bool = True


def trials(study: str, seeds: list[int], ablations: list[str]) -> Iterator[Trial]:
    """The runs of a study."""
    for seed in seeds:
        common = [f"seed={seed}"]
        if study == "figure":
            yield Trial(f"seed-{seed}", common)
        elif study == "queries":
            yield Trial(f"proposals-{seed}", common)
            yield Trial(f"learned-{seed}", [*common, *ONE_TO_ONE])
        elif study == "curve":
            for photographs in FEW:
                yield Trial(f"{photographs}-{seed}", common, photographs)
        else:
            for name in ablations:
                yield Trial(f"{name}-{seed}", [*common, *ABLATIONS[name]], read_test=False)


def argus(*arguments: str | Path, accept: tuple[int, ...] = (0,)) -> str:
    """Runs ``argus``; gives its stdout."""
    words = [str(a) for a in arguments]
    print("$ argus", *words, file=sys.stderr, flush=True)
    command = Path(sys.executable).with_name("argus")
    done = subprocess.run([command, *words], stdout=subprocess.PIPE, text=True)
    if done.returncode not in accept:
        raise SystemExit(f"argus {words[0]} ended with {done.returncode}")
    return done.stdout


def prepare(name: str, start: str) -> tuple[Path, Path]:
    """The data set on the training grid, and the configuration that ``argus init`` writes for it."""
    source = Path(os.environ.get("ARGUS_SHARED_DATA", "../shared/data")) / name
    if not source.is_dir():
        raise SystemExit(f"{source} is not there: set ARGUS_SHARED_DATA to the folder that holds {name}")
    data = WORK / name
    # Exit code 1: a box or two were refused by name; the rest was used.
    argus(
        "data",
        "convert",
        SETS[name].format,
        source,
        data,
        "--val-fraction",
        "0.2",
        "--overwrite",
        accept=(0, 1),
    )
    return data, initialised(data, start)


def initialised(data: Path, start: str) -> Path:
    """The configuration that ``argus init`` writes for a data set."""
    config = data.with_suffix(".yaml")
    config.write_text(argus("init", data, "--model", start), encoding="utf-8")
    return config


def few_of(data: Path, photographs: int) -> Path:
    """The data set with so many training photographs, chosen by chance; a larger number holds a smaller one's."""
    lines = (data / "train.jsonl").read_text("utf-8").splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    few = data.with_name(f"{data.name}-{photographs}")
    shutil.rmtree(few, ignore_errors=True)
    shutil.copytree(data, few)
    (few / "train.jsonl").write_text("".join(lines[:photographs]), encoding="utf-8")
    return few


def held_out(run: Path, checkpoint: str) -> dict[str, float]:
    """AP50 and AP of val at a checkpoint, as training measured them."""
    history = json.loads((run / "trainer_state.json").read_text("utf-8"))["log_history"]
    step = int(checkpoint.removeprefix("checkpoint-"))
    (entry,) = (one for one in history if one.get("step") == step and "eval_AP50" in one)
    return {f"val_{name}": entry[f"eval_{name}"] for name in ("AP50", "AP")}


def run_trial(
    trial: Trial, config: Path, data: Path, folder: Path, common: list[str], processes: int, start: str
) -> dict[str, Any]:
    """Trains, and reads the test split once."""
    run = folder / trial.name
    if trial.photographs is not None:
        data = few_of(data, trial.photographs)
        config = initialised(data, start)
    overrides = [*common, *trial.overrides]
    began = time.perf_counter()
    trained = json.loads(
        argus(
            "train", config, f"output_dir={run}", f"run_name={folder.name}-{trial.name}",
            "--processes", str(processes), "--json", *overrides,
        )
    )  # fmt: skip
    result = {
        "name": trial.name,
        "overrides": overrides,
        "processes": processes,
        "images": sum(1 for _ in (data / "train.jsonl").open(encoding="utf-8")),
        "steps": trained["steps"],
        "wall_minutes": round((time.perf_counter() - began) / 60, 1),
        "train_minutes": round(trained["train_seconds"] / 60, 1),
        "images_per_second": round(trained["images_per_second"], 2),
        **held_out(run, Path(trained["best_checkpoint"]).name),
        "best_checkpoint": Path(trained["best_checkpoint"]).name,
    }
    if trial.read_test:
        tested = json.loads(
            argus("eval", trained["best_checkpoint"], data / "test.jsonl", "--json", "--out", run / "test")
        )
        names = (
            "AP50",
            "AP",
            "AP75",
            "AP50_agnostic",
            "AR100",
            "caption_exact",
            "recall",
            "ece",
            "per_class",
        )
        result["test"] = {name: tested[name] for name in names}
    return result


def main() -> None:
    """Runs a study and writes its dated result, which grows with each run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", choices=SETS)
    parser.add_argument("study", choices=("figure", "queries", "curve", "ablations"))
    parser.add_argument("--weights", choices=WEIGHTS, default="argus-tiny", help="what training starts from")
    parser.add_argument("--base", help="start from this checkpoint instead, named so in the result")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--only", nargs="+", choices=ABLATIONS, default=list(ABLATIONS), help="these ablations alone"
    )
    parser.add_argument(
        "--steps", type=int, help="optimizer steps; those that `argus init` chooses if not given"
    )
    parser.add_argument(
        "--processes", type=int, choices=(1, 2, 4, 8), default=1, help="that share each batch of 8"
    )
    asked = parser.parse_args()
    # Of the code that trains: hours later the tree may be another.
    commit = subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    start = asked.base or asked.weights
    data, config = prepare(asked.set, start)
    common = [f"per_device_train_batch_size={8 // asked.processes}"]
    if asked.steps:
        interval = max(asked.steps // 7, 1)
        common += [f"max_steps={asked.steps}", f"eval_steps={interval}", f"save_steps={interval}"]
    name = f"{asked.set}-{asked.study}-{Path(start).name.replace('-', '_')}"
    today = datetime.date.today().isoformat()
    result = {
        "date": today,
        "argus": __version__,
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU",
        "torch": torch.__version__,
        "config": config.read_text("utf-8"),
        "weights": start,
        "environment": {k: v for k, v in os.environ.items() if k in PLAIN},
        "runs": [],
        "peers_AP50": SETS[asked.set].peers,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{today}-{name}.json"
    for trial in trials(asked.study, asked.seeds, asked.only):
        done = run_trial(trial, config, data, WORK / name, common, asked.processes, start)
        result["runs"].append(done)
        file.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        test = (
            f", test AP50 {done['test']['AP50']:.3f}, AP {done['test']['AP']:.3f}" if "test" in done else ""
        )
        print(f"{trial.name}: val AP50 {done['val_AP50']:.3f}{test}, {done['wall_minutes']} min", flush=True)
    print(file)


if __name__ == "__main__":
    main()
