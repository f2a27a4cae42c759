"""Photographs to what the vision tower reads: ours against the stock image processor of Qwen2-VL, on the same pictures.

    python benchmarks/pixels.py
    python benchmarks/pixels.py --rounds 1   # a trial; nothing is written

From a decoded picture to patches: resize, normalise, cut. Both take turns picture by picture in one process, on one
thread; the ratio is that of a round, with a 95 % interval over the rounds. Whether both give the same numbers is
compared for each picture to the last bit. The stock processor's other variant needs torchvision, of which there is no
build for a CPU-only torch: it is measured where it can be imported. Reads ``$ARGUS_SHARED_DATA/bccd`` (default
``../shared/data``), writes ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from argusvl import __version__
from argusvl.core.images import open_image
from argusvl.detection.data.sampling.pixels import pixel_values
from argusvl.detection.data.sampling.samples import VisionLimits, prepare_image

RESULTS = Path("benchmarks/results")
MIN_PIXELS, MAX_PIXELS = 3136, 235200
PICTURES, ROUNDS = 40, 9
SIZES = {"resized to 560x420": None, "on the grid already, 560x420": (560, 420)}
"""Photographs of 640 x 480 as they are, and such as need no resizing."""

Way = Callable[[Image.Image], np.ndarray]


def ours(image: Image.Image) -> np.ndarray:
    """``[patches, 1176]`` of a picture by the path that training and prediction share."""
    pixels, _ = prepare_image(image, VisionLimits(MIN_PIXELS, MAX_PIXELS, 400, 400, "refuse"), "a picture")
    return pixel_values([pixels])[0]


def stock(processor: Any) -> Way:
    """The same by a processor of transformers."""
    return lambda image: processor(images=[image], return_tensors="np")["pixel_values"]


def measure(pictures: list[Image.Image], rounds: int) -> dict[str, Any]:
    """Turns of both, and what they differ by."""
    limits = {"min_pixels": MIN_PIXELS, "max_pixels": MAX_PIXELS}
    ways: dict[str, Way] = {
        "argus": ours,
        "Qwen2VLImageProcessorPil": stock(Qwen2VLImageProcessorPil(**limits)),
    }
    if importlib.util.find_spec("torchvision"):
        from transformers import Qwen2VLImageProcessor

        ways["Qwen2VLImageProcessor"] = stock(Qwen2VLImageProcessor(**limits))
    differ = {name: max(difference(ours(p), way(p)) for p in pictures) for name, way in ways.items()}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        total = dict.fromkeys(ways, 0.0)
        for picture in pictures:
            for name, way in ways.items():
                begun = time.process_time()
                way(picture)
                total[name] += time.process_time() - begun
        for name, seconds in total.items():
            taken[name].append(seconds)
    return {
        name: {
            "ms_a_picture": round(1e3 * statistics.median(seconds) / len(pictures), 3),
            "largest_difference": differ[name],
            "argus_times_as_fast": interval([b / a for a, b in zip(taken["argus"], seconds, strict=True)]),
        }
        for name, seconds in taken.items()
    }


def difference(own: np.ndarray, other: np.ndarray) -> float:
    """The largest between two arrays of one shape."""
    assert own.shape == other.shape, (own.shape, other.shape)
    return 0.0 if own.tobytes() == other.tobytes() else float(np.abs(own - other).max())


def interval(ratios: list[float]) -> list[float]:
    """Geometric mean of ratios, and the ends of its 95 % interval (of nine rounds; nothing for one)."""
    logs = [math.log(ratio) for ratio in ratios]
    middle = statistics.fmean(logs)
    either = 2.306 * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) == ROUNDS else 0.0
    return [round(math.exp(value), 2) for value in (middle, middle - either, middle + either)]


def main() -> None:
    """Measures and writes the dated result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    folder = Path(os.environ.get("ARGUS_SHARED_DATA", "../shared/data")) / "bccd"
    files = sorted(folder.rglob("*.jpg"))[:PICTURES]
    if not files:
        raise SystemExit(f"no photograph is in {folder}: set ARGUS_SHARED_DATA to the folder that holds bccd")
    pictures = [open_image(file, exif="upright") for file in files]
    found = {}
    for name, size in SIZES.items():
        found[name] = measure(pictures if size is None else [p.resize(size) for p in pictures], rounds)
        for way, figures in found[name].items():
            print(f"{name}: {way}: {figures}", flush=True)
    if rounds == ROUNDS:
        result = {
            "date": datetime.date.today().isoformat(),
            "argus": __version__,
            "machine": f"{os.cpu_count()} cores, no GPU, 1 thread, transformers {transformers.__version__}",
            "pictures": len(pictures),
            "rounds": rounds,
            "sizes": found,
        }
        file = RESULTS / f"{result['date']}-pixels.json"
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
