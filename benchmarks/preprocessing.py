"""What a backbone's own preprocessing is worth: EfficientNet-Lite0 on CIFAR-10 with other means, filters and crops.

Embeds the 200 support and 1,000 query pictures of the few-shot folder once for each preprocessing, and classifies the
queries by the nearest centroid (cosine) of 1, 5, 10 and 20 shots, drawn 20 times. The weights were trained with mean
and standard deviation 0.5 and bilinear resizing; a loader that takes ImageNet's usual numbers, or bicubic resizing,
fails without a sound, and this is by how much.

    python benchmarks/preprocessing.py
    python benchmarks/preprocessing.py --queries 10   # a trial; nothing is written

Reads ``$ARGUS_SHARED_DATA/cifar10_fewshot`` (default ``../shared/data``), writes ``benchmarks/results/``. A quarter of
an hour on one core.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from argusvl import __version__
from argusvl.core.images import open_image
from argusvl.core.progress import track
from argusvl.recognition.backbones.efficientnet_lite import EfficientNetLite0Backbone

RESULTS = Path("benchmarks/results")
SHOTS = (1, 5, 10, 20)
DRAWS = 20
BATCH = 20

HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
NONE = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
VARIANTS: dict[str, tuple[tuple[Any, Any], Image.Resampling, int]] = {
    "its own: mean and std 0.5, bilinear, 224": (HALF, BILINEAR, 224),
    "ImageNet's mean and std": (IMAGENET, BILINEAR, 224),
    "no mean and std": (NONE, BILINEAR, 224),
    "bicubic": (HALF, BICUBIC, 224),
    "256, centre crop of 224": (HALF, BILINEAR, 256),
    "ImageNet's mean and std, bicubic": (IMAGENET, BICUBIC, 224),
    "no mean and std, bicubic": (NONE, BICUBIC, 224),
}


def pictures(queries: int) -> tuple[list[Path], list[Path], int]:
    """Support files by class and shot, query files by class, and the number of classes."""
    root = (
        Path(os.environ.get("ARGUS_SHARED_DATA", "../shared/data")) / "cifar10_fewshot" / "data" / "cifar10"
    )
    if not root.is_dir():
        raise SystemExit(
            f"{root} is not there: set ARGUS_SHARED_DATA to the folder that holds cifar10_fewshot"
        )
    classes = sorted(p.name for p in (root / "6.preprocessed").iterdir())
    support = [
        next((root / "2.support-set" / f"Class_{c}" / f"shot{k}").iterdir())
        for c in classes
        for k in range(1, max(SHOTS) + 1)
    ]
    query = [f for c in classes for f in sorted((root / "6.preprocessed" / c).iterdir())[:queries]]
    return support, query, len(classes)


def pixels(image: Image.Image, variant: tuple[tuple[Any, Any], Image.Resampling, int]) -> torch.Tensor:
    """A square picture prepared in one of the ways."""
    (mean, std), resample, side = variant
    margin = (side - 224) // 2
    square = image.resize((side, side), resample).crop((margin, margin, margin + 224, margin + 224))
    levels = (np.asarray(square, dtype=np.float64) / 255 - mean) / std
    return torch.from_numpy(levels.astype(np.float32)).permute(2, 0, 1)


def accuracies(vectors: np.ndarray, classes: int) -> dict[str, float]:
    """Percent of queries whose nearest centroid is their class's, by the number of shots."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    count = classes * max(SHOTS)
    support, query = unit[:count].reshape(classes, max(SHOTS), -1), unit[count:]
    truth = np.repeat(np.arange(classes), len(query) // classes)
    found = {}
    for shots in SHOTS:
        right = []
        for seed in range(DRAWS):
            rng = np.random.default_rng(seed)
            centroids = np.stack([s[rng.permutation(max(SHOTS))[:shots]].mean(axis=0) for s in support])
            centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
            right.append(np.mean((query @ centroids.T).argmax(axis=1) == truth))
        found[str(shots)] = round(100 * float(np.mean(right)), 1)
    return found


def main() -> None:
    """Measures every preprocessing and writes the dated result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=100, help="of each class")
    queries = parser.parse_args().queries
    support, query, classes = pictures(queries)
    images = [open_image(file, exif="upright") for file in (*support, *query)]
    backbone = EfficientNetLite0Backbone(device=torch.device("cpu"))
    found = {}
    for name, variant in VARIANTS.items():
        batches, starts = [], range(0, len(images), BATCH)
        for start in track(starts, len(starts), name, unit="batches"):
            batches.append(
                backbone.embed(torch.stack([pixels(i, variant) for i in images[start : start + BATCH]]))
            )
        found[name] = accuracies(torch.cat(batches).numpy(), classes)
        print(f"{name:45s} " + "  ".join(f"{found[name][str(s)]:5.1f}" for s in SHOTS))
    if queries == 100:
        date = datetime.date.today().isoformat()
        result = {
            "date": date,
            "argus": __version__,
            "what": "CIFAR-10, 10 classes, percent of 1,000 queries by the nearest centroid, mean of draws",
            "draws": DRAWS,
            "libraries": dict(backbone.fingerprint.libraries),
            "accuracy_by_shots": found,
        }
        path = RESULTS / f"{date}-preprocessing.json"
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written: {path}")


if __name__ == "__main__":
    main()
