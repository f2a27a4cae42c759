"""`argus data check` on 10,000 photographs, beside the plainest thing that one could do: decoding them one by one.

Cuts BCCD's photographs into 10,000 different ones (random crops, turns, brightness and JPEG qualities, so that many
resemble each other) with their boxes, in a temporary folder. Times `argus data check` on all cores (every image
decoded to its end, boxes, labels, copies by perceptual hash, conversations counted) between two rounds of Pillow
decoding the same files in one thread, in the same run, and writes a dated result. On a machine that others use, too,
the ratio counts.

    python benchmarks/data_check.py
    python benchmarks/data_check.py --images 500   # a trial; nothing is written

Reads ``$ARGUS_SHARED_DATA/bccd`` (default ``../shared/data``), writes ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import PIL
from PIL import Image, ImageEnhance

from argusvl import __version__
from argusvl.core.progress import track
from argusvl.core.threads import usable_cores
from argusvl.core.workers import map_in_order
from argusvl.detection.data.records import ObjectAnnotation, Record, RecordFile, Scene, write_records

RESULTS = Path("benchmarks/results")
IMAGES = 10_000
SEED = 0
LIMITS = ["--min-pixels", "3136", "--max-pixels", "235200"]
LEAST_SIDE = 0.6
"""Of a crop, over the photograph's."""

ARGUS = Path(sys.executable).with_name("argus")


def photographs(folder: Path) -> list[tuple[Path, Scene]]:
    """BCCD's photographs with their boxes."""
    source = Path(os.environ.get("ARGUS_SHARED_DATA", "../shared/data")) / "bccd"
    if not source.is_dir():
        raise SystemExit(f"{source} is not there: set ARGUS_SHARED_DATA to the folder that holds bccd")
    words = [str(ARGUS), "data", "convert", "voc", str(source), str(folder), *LIMITS[:3], "307200"]
    # Exit code 1: two boxes of zero area were refused by name; the rest was used.
    if subprocess.run(words, stderr=subprocess.DEVNULL).returncode not in (0, 1):
        raise SystemExit("BCCD could not be converted")
    files = [RecordFile(folder / f"{split}.jsonl") for split in ("train", "val", "test")]
    return [(file.resolve(r.student.images[0]), r.student) for file in files for r in file]


def make_one(number: int, originals: list[tuple[Path, Scene]], folder: Path) -> Record:
    """A photograph of our own making: a crop of a real one, turned, brightened and encoded again."""
    rng = random.Random(SEED * IMAGES + number)
    path, scene = originals[number % len(originals)]
    image = Image.open(path)
    width, height = (round(side * rng.uniform(LEAST_SIDE, 1)) for side in image.size)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    picture = image.crop((left, top, left + width, top + height))
    turned = rng.random() < 0.5
    if turned:
        picture = picture.transpose(Image.Transpose.ROTATE_180)
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.8, 1.2))
    name = f"images/{number:05d}.jpg"
    picture.save(folder / name, quality=rng.randint(60, 95))
    objects = []
    for one in scene.objects:
        x1, x2 = (min(max(x - left, 0.0), width) for x in (one.bbox_2d[0], one.bbox_2d[2]))
        y1, y2 = (min(max(y - top, 0.0), height) for y in (one.bbox_2d[1], one.bbox_2d[3]))
        if x2 - x1 > 8 and y2 - y1 > 8:
            box = (width - x2, height - y2, width - x1, height - y1) if turned else (x1, y1, x2, y2)
            objects.append(ObjectAnnotation(bbox_2d=box, desc=one.desc))
    return Record(student=Scene(images=(name,), objects=tuple(objects)))


def make(folder: Path, images: int) -> Path:
    """A data folder of so many photographs, nine of ten to train on."""
    originals = photographs(folder / "originals")
    data = folder / "data"
    (data / "images").mkdir(parents=True)
    one = partial(make_one, originals=originals, folder=data)
    records = list(track(map_in_order(one, range(images)), images, "making photographs"))
    held_out = images // 10
    write_records(data / "train.jsonl", records[held_out:])
    write_records(data / "val.jsonl", records[:held_out])
    return data


def check(data: Path) -> dict[str, Any]:
    """One run of the command, as a user starts it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        [ARGUS, "data", "check", data, *LIMITS, "--json"], stdout=subprocess.PIPE, text=True
    )
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise SystemExit(f"argus data check ended with {done.returncode}")
    found = json.loads(done.stdout)
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_memory_mib": round(after.ru_maxrss / 1024),
        "images": sum(found["images"].values()),
        "objects": found["objects"],
        "findings": found["kinds"],
    }


def decode(data: Path) -> dict[str, Any]:
    """The baseline: Pillow opens and decodes every file, one after the other."""
    files = sorted((data / "images").iterdir())
    began, began_cpu = time.perf_counter(), time.process_time()
    for file in files:
        with Image.open(file) as image:
            image.convert("RGB").load()
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1)}


def main() -> None:
    """Makes the photographs, measures, and writes the dated result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=IMAGES)
    asked = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="argus_data_check_") as temporary:
        data = make(Path(temporary), asked.images)
        size = sum(file.stat().st_size for file in (data / "images").iterdir())
        rounds = [decode(data)]
        checked = check(data)
        rounds.append(decode(data))
    mean = {key: sum(one[key] for one in rounds) / len(rounds) for key in ("seconds", "cpu_seconds")}
    result = {
        "date": datetime.date.today().isoformat(),
        "argus": __version__,
        "commit": commit,
        "machine": f"{usable_cores()} cores, {platform.machine()}, no GPU; shared with other work",
        "pillow": PIL.__version__,
        "images": asked.images,
        "megabytes": round(size / 1e6, 1),
        "check": checked | {"images_per_second": round(asked.images / checked["seconds"], 1)},
        "decode_in_one_thread": rounds,
        "times_the_baseline": round(checked["seconds"] / mean["seconds"], 2),
        "times_the_baseline_cpu": round(checked["cpu_seconds"] / mean["cpu_seconds"], 2),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    print(text, end="")
    if asked.images == IMAGES:
        RESULTS.mkdir(parents=True, exist_ok=True)
        file = RESULTS / f"{result['date']}-data-check.json"
        file.write_text(text, encoding="utf-8")
        print(file, file=sys.stderr)


if __name__ == "__main__":
    main()
