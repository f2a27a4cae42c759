"""The two lanes of decoding on BCCD's photographs: how fast each is, and how far the vectors move.

Decodes all 364 photographs (640×480) as they are and enlarged to 1600×1200, in both lanes with each decoder of the
scaled lane, in turns in one thread; then compares what EfficientNet-Lite0 makes of the lanes: the cosine of the
vectors, and how often its first ImageNet class and the nearest neighbour among the other photographs are the same. On a
machine that others use, too, the ratios count.

    python benchmarks/decoding.py
    python benchmarks/decoding.py --images 20   # a trial; nothing is written

Reads ``$ARGUS_SHARED_DATA/bccd`` (default ``../shared/data``), writes ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image

from argusvl import __version__
from argusvl.recognition import decoding
from argusvl.recognition.backbones.efficientnet_lite import EfficientNetLite0Backbone
from argusvl.recognition.decoding import Lane, decode_bytes, decoder_versions

RESULTS = Path("benchmarks/results")
ROUNDS = 5
BATCH = 26
WAYS: dict[str, tuple[Lane, bool]] = {
    "exact": ("exact", True),
    "scaled, simplejpeg": ("scaled", True),
    "scaled, Pillow": ("scaled", False),
}


def enlarged(data: bytes) -> bytes:
    """The photograph at 1600×1200, as a camera of today would give it."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize((1600, 1200), Image.Resampling.BICUBIC).save(
        stream, "JPEG", quality=90
    )
    return stream.getvalue()


def seconds(files: list[bytes], side_px: int) -> dict[str, float]:
    """Median over the rounds of the time for all files, by the way of decoding."""
    simplejpeg = decoding.simplejpeg
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way, (lane, with_simplejpeg) in WAYS.items():
            decoding.simplejpeg = simplejpeg if with_simplejpeg else None
            begun = time.process_time()
            for data in files:
                decode_bytes(data, "a photograph", lane, side_px)
            taken[way].append(time.process_time() - begun)
    decoding.simplejpeg = simplejpeg
    return {way: statistics.median(times) for way, times in taken.items()}


def vectors(files: list[bytes], lane: Lane, backbone: EfficientNetLite0Backbone) -> torch.Tensor:
    """``[N, 1280]`` in one of the lanes."""
    batches = []
    for start in range(0, len(files), BATCH):
        pictures = [
            decode_bytes(d, "a photograph", lane, backbone.decode_side_px)
            for d in files[start : start + BATCH]
        ]
        batches.append(backbone.embed(torch.stack([backbone.preprocess(p) for p in pictures])))
    return torch.cat(batches)


def agreement(files: list[bytes], backbone: EfficientNetLite0Backbone) -> dict[str, float]:
    """How alike the vectors of the two lanes are."""
    exact, scaled = (vectors(files, lane, backbone) for lane in ("exact", "scaled"))
    cosine = F.cosine_similarity(exact, scaled)
    same_class = backbone.logits_of(exact).argmax(dim=1) == backbone.logits_of(scaled).argmax(dim=1)
    unit_exact, unit_scaled = F.normalize(exact, dim=1), F.normalize(scaled, dim=1)
    others = -2 * torch.eye(len(files))  # not the photograph itself
    nearest = (unit_exact @ unit_exact.T + others).argmax(dim=1)
    nearest_of_scaled = (unit_scaled @ unit_exact.T + others).argmax(dim=1)
    return {
        "cosine_mean": round(float(cosine.mean()), 4),
        "cosine_least": round(float(cosine.min()), 4),
        "same_first_class": round(float(same_class.float().mean()), 4),
        "same_nearest_neighbour": round(float((nearest == nearest_of_scaled).float().mean()), 4),
    }


def main() -> None:
    """Measures both sizes and writes the dated result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, help="the first so many photographs only")
    count = parser.parse_args().images
    folder = Path(os.environ.get("ARGUS_SHARED_DATA", "../shared/data")) / "bccd" / "JPEGImages"
    files = [file.read_bytes() for file in sorted(folder.glob("*.jpg"))[:count]]
    if not files:
        raise SystemExit(f"{folder} is not there: set ARGUS_SHARED_DATA to the folder that holds bccd")
    backbone = EfficientNetLite0Backbone(device=torch.device("cpu"))
    found: dict[str, dict[str, Any]] = {}
    for size, data in (("640×480", files), ("1600×1200", [enlarged(d) for d in files])):
        times = seconds(data, backbone.decode_side_px)
        found[size] = {
            "images_per_second": {way: round(len(data) / t, 1) for way, t in times.items()},
            "times_faster_than_exact": {way: round(times["exact"] / t, 2) for way, t in times.items()},
            **agreement(data, backbone),
        }
        print(size, json.dumps(found[size], indent=1, ensure_ascii=False))
    if count is None:
        date = datetime.date.today().isoformat()
        result = {
            "date": date,
            "argus": __version__,
            "what": f"{len(files)} photographs of BCCD, shorter side at least {backbone.decode_side_px} px, "
            "one thread, processor time, median of rounds",
            "rounds": ROUNDS,
            "libraries": decoder_versions("scaled"),
            "sizes": found,
        }
        path = RESULTS / f"{date}-decoding.json"
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written: {path}")


if __name__ == "__main__":
    main()
