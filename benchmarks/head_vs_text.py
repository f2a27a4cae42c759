"""Boxes per second of the detection head against the same model's generated text, on the same pictures.

    python benchmarks/head_vs_text.py runs/demo runs/demo/data/test.jsonl    # what `make demo` leaves
    python benchmarks/head_vs_text.py runs/demo runs/demo/data/test.jsonl --rounds 1   # a trial; nothing is written

The head with type scores, the head with descriptions, and the written answer take turns in one process, so that all
meet the same machine; the ratios of a round are what counts. All is in a turn: opening and resizing the pictures, and
reading the answer. Boxes are those that a caller gets: the head's with a score from 0.3, the objects of the text.
An answer may be as long as the longest true answer of the pictures. It is done as the machine is, and as a machine
with AVX2 and no more. Writes ``benchmarks/results/``.
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
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from argusvl import __version__
from argusvl.core.threads import share_cores, usable_cores

RESULTS = Path("benchmarks/results")
PICTURES, ROUNDS = 8, 3
MACHINES: dict[str, dict[str, str]] = {
    "as it is": {},
    "AVX2 only": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
}
GOALS = {"head": 20, "head with captions": 5}


def measure(checkpoint: str, data: Path, batch_size: int, rounds: int, device: str) -> dict[str, Any]:
    """Turns of all three ways in this process."""
    share_cores()
    from argusvl.detection.data.detections import Detections
    from argusvl.detection.data.records import RecordFile
    from argusvl.detection.data.sampling.answers import answer_entries, answer_text
    from argusvl.detection.data.sampling.samples import load_scene
    from argusvl.detection.predict.predictor import Predictor

    predictor = Predictor.from_pretrained(checkpoint, device=device)
    records = RecordFile(data, max_examples=PICTURES)
    images = [records.resolve(record.student.images[0]) for record in records]
    longest = 0
    for record in records:
        scene = load_scene(record.student, records.root, predictor.assets.limits, record.source)
        grids = [(1, h // 14, w // 14) for h, w, _ in (picture.shape for picture in scene.images)]
        written = predictor.processor.encode(answer_text(answer_entries(scene.objects, grids)))
        longest = max(longest, len(written) + 1)  # and its end
    unfinished: list[int] = []

    def head() -> Sequence[Detections]:
        return predictor.predict_detection(images, captions=False, batch_size=batch_size)

    def captioned() -> Sequence[Detections]:
        return predictor.predict_detection(images, batch_size=batch_size)

    def text() -> Sequence[Detections]:
        answers = predictor.predict_text(images, max_new_tokens=longest, batch_size=batch_size)
        unfinished.append(sum(not answer.complete for answer in answers))
        return [answer.detections for answer in answers]

    ways: dict[str, Callable[[], Sequence[Detections]]] = {
        "head": head,
        "head with captions": captioned,
        "text": text,
    }
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            boxes = sum(len(found) for found in way())
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if number:  # the first round warms up
                turns[name].append({"boxes": boxes, "seconds": wall, "cpu_seconds": cpu})
    ratios = {
        f"{name} / text": {
            by: [
                round(one["boxes"] / one[by] * other[by] / max(other["boxes"], 1), 2)
                for one, other in zip(turns[name], turns["text"], strict=True)
            ]
            for by in ("seconds", "cpu_seconds")
        }
        for name in GOALS
    }
    return {
        "batch_size": batch_size,
        "images": len(images),
        "objects": sum(len(record.student.objects) for record in records),
        "max_new_tokens": longest,
        "answers_unfinished": unfinished[-1],
        "boxes": {name: turns[name][-1]["boxes"] for name in ways},
        "boxes_per_second": {
            name: round(statistics.median(one["boxes"] / one["seconds"] for one in turns[name]), 2)
            for name in ways
        },
        "ratio": {
            name: {by: statistics.median(values) for by, values in both.items()}
            for name, both in ratios.items()
        },
        "ratios_of_rounds": ratios,
    }


def main() -> None:
    """Measures as the machine is and as a plain one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint")
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.in_this_process:
        [size] = asked.batch_sizes
        print(json.dumps(measure(asked.checkpoint, asked.data, size, asked.rounds, asked.device)))
        return
    today = datetime.date.today().isoformat()
    result: dict[str, Any] = {
        "date": today,
        "argus": __version__,
        "machine": f"{usable_cores()} cores, {platform.machine()}, {asked.device}; load {os.getloadavg()[0]:.1f}",
        "checkpoint": asked.checkpoint,
        "rounds": asked.rounds,
        "goals": GOALS,
    }
    for machine, environment in MACHINES.items() if asked.device == "cpu" else [("as it is", {})]:
        for size in asked.batch_sizes:
            command = [sys.executable, __file__, asked.checkpoint, str(asked.data), "--in-this-process"]
            command += ["--rounds", str(asked.rounds), "--device", asked.device, "--batch-sizes", str(size)]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
            )
            found = json.loads(done.stdout.splitlines()[-1])
            result.setdefault(machine, []).append(found)
            speeds = ", ".join(f"{name} {value:g}" for name, value in found["boxes_per_second"].items())
            times = ", ".join(f"{name} {value['seconds']:g}x" for name, value in found["ratio"].items())
            print(f"{machine}, batches of {size}: boxes/s {speeds}; {times}", flush=True)
    if asked.rounds >= ROUNDS:
        file = RESULTS / f"{today}-head-vs-text.json"
        file.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"Written to {file}.")


if __name__ == "__main__":
    main()
