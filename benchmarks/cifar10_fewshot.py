"""Few-shot recognition on CIFAR-10 with EfficientNet-Lite0, 1, 5, 10 and 20 shots: accuracy, and what is unknown.

    python benchmarks/cifar10_fewshot.py

1. ``argus recognize table``, as a user gives it, three times: with nothing computed before, from the cache, and with
   nothing computed again. The bytes must be the same.
2. The classifiers and features beside each other, on the same draws.
3. Six known and four unknown classes, all 210 choices of them: AUROC beside that of the largest cosine of plain vectors
   with the classes' centroids. How well the unknown can be told depends on the choice by far more than on the score.

The recipe (features, strengths, weights) was chosen on other draws of the same pictures; the query pictures of all
classes took part in that choice.

Reads ``$ARGUS_SHARED_DATA/cifar10_fewshot`` (default ``../shared/data``), writes ``benchmarks/results/``. Eight minutes
on two cores.
"""

from __future__ import annotations

import datetime
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch

from argusvl import __version__
from argusvl.core.progress import track
from argusvl.core.threads import usable_cores
from argusvl.recognition.backbones.views import load_with_views
from argusvl.recognition.few_shot.classifiers import centroids
from argusvl.recognition.few_shot.embeddings import embed_pictures
from argusvl.recognition.few_shot.evaluation import CategoryFeatures, Protocol, draw, evaluate, make_features
from argusvl.recognition.few_shot.features import FeatureMap
from argusvl.recognition.few_shot.layout import Category, parse_layout, read_layout
from argusvl.recognition.few_shot.measurement import Recipe, measure
from argusvl.recognition.few_shot.measures import auroc

BACKBONE = "efficientnet-lite0"
SHOTS = (1, 5, 10, 20)
SEEDS = 10
UNKNOWN = 4
WAYS = (
    ("ridge", Recipe("rich", "four")),
    ("centroid", Recipe("rich", "four")),
    ("linear-probe", Recipe("rich", "four")),
    ("cache", Recipe("rich", "four")),
    ("soft-k-means", Recipe("rich", "four")),
    ("ridge", Recipe("plain", "one")),
    ("centroid", Recipe("plain", "one")),
    ("nearest", Recipe("plain", "one")),
    ("linear-probe", Recipe("plain", "one")),
)
RESULTS = Path("benchmarks/results")


def command(data: Path, caches: Path) -> dict[str, Any]:
    """The table by the command line, three times."""
    words = [
        str(Path(sys.executable).with_name("argus")),
        "recognize",
        "table",
        str(data),
        "--backbone",
        BACKBONE,
    ]
    words += ["--shots", ",".join(map(str, SHOTS)), "--seeds", str(SEEDS), "--json"]
    texts, seconds = [], []
    for cache in ("one", "one", "two"):
        began = time.perf_counter()
        done = subprocess.run([*words, "--cache", str(caches / cache)], stdout=subprocess.PIPE, check=True)
        seconds.append(round(time.perf_counter() - began, 1))
        texts.append(done.stdout)
    rows = json.loads(texts[0])["rows"]
    return {
        "accuracy": {row["shots"]: row["accuracy"] for row in rows},
        "std": {row["shots"]: row["std"] for row in rows},
        "seconds_first_cached_first": seconds,
        "identical_bytes": texts[0] == texts[1] == texts[2],
    }


def ways(data: Path, cache: Path) -> list[dict[str, Any]]:
    """Accuracy of classifiers and features."""
    found = []
    for classifier, recipe in WAYS:
        protocol = Protocol(SHOTS, SEEDS, classifier)
        measured = measure(data, [BACKBONE], protocol, recipe, layout=parse_layout("argus"), cache=cache)
        rows = [row for row in measured.rows if row.category is not None]
        found.append(
            {
                "classifier": classifier,
                "features": recipe.features,
                "views": recipe.views,
                "accuracy": {row.shots: round(row.figures["accuracy"].mean, 4) for row in rows},
            }
        )
    return found


def features_of(category: Category, cache: Path, recipe: Recipe) -> CategoryFeatures:
    """Features of all pictures."""
    backbone = load_with_views(BACKBONE, recipe.views, device="cpu")
    files = [file for examples in category.classes.values() for file in examples]
    files += [query.path for query in category.queries]
    return make_features(
        category, embed_pictures(files, backbone, cache), FeatureMap(recipe.features, backbone)
    )


def unknowns(data: Path, cache: Path) -> dict[str, Any]:
    """AUROC over all choices of unknown classes."""
    (category,) = read_layout(data)
    rich, plain = (features_of(category, cache, recipe) for recipe in (Recipe(), Recipe("plain", "one")))
    choices = list(itertools.combinations(sorted(category.classes), UNKNOWN))
    found: dict[str, dict[int, list[float]]] = {"argus": {}, "largest cosine": {}}
    for choice in track(choices, len(choices), "Choosing", unit="choices"):
        protocol = Protocol(SHOTS, SEEDS, "ridge", unknown=choice)
        for row in evaluate(BACKBONE, [rich], protocol):
            if row.category is not None:
                found["argus"].setdefault(row.shots, []).append(row.figures["auroc"].mean)
        for shots in SHOTS:
            found["largest cosine"].setdefault(shots, []).append(largest_cosine(plain, choice, shots))
    return {
        "known": len(category.classes) - UNKNOWN,
        "unknown": UNKNOWN,
        "choices": len(choices),
        "seeds": SEEDS,
        "auroc": {
            name: {shots: round(fmean(values), 4) for shots, values in by_shots.items()}
            for name, by_shots in found.items()
        },
        "std_over_choices": {
            name: {shots: round(stdev(values), 4) for shots, values in by_shots.items()}
            for name, by_shots in found.items()
        },
    }


def largest_cosine(plain: CategoryFeatures, choice: tuple[str, ...], shots: int) -> float:
    """AUROC of the usual score on the same draws."""
    known = [label for label in sorted(plain.support) if label not in choice]
    is_known = np.array([truth in known for truth in plain.truths])
    labels = np.repeat(np.arange(len(known)), shots)
    found = []
    for seed in range(SEEDS):
        drawn = [
            plain.support[label].features[draw(seed, plain.name, label, len(plain.support[label]), shots)]
            for label in known
        ]
        scores = (plain.queries.features @ centroids(np.concatenate(drawn), labels, len(known)).T).max(axis=1)
        found.append(auroc(scores[is_known], scores[~is_known]))
    return fmean(found)


def main() -> None:
    """Measures and writes the dated result."""
    data = Path(os.environ.get("ARGUS_SHARED_DATA", "../shared/data")) / "cifar10_fewshot" / "data"
    if not data.is_dir():
        raise SystemExit(
            f"{data} is not there: set ARGUS_SHARED_DATA to the folder that holds cifar10_fewshot"
        )
    commit = subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as temporary:
        caches = Path(temporary)
        result = {
            "date": datetime.date.today().isoformat(),
            "argus": __version__,
            "commit": commit,
            "machine": f"{usable_cores()} cores, {platform.machine()}, no GPU",
            "torch": torch.__version__,
            "command": command(data, caches),
            "ways": ways(data, caches / "one"),
            "unknown": unknowns(data, caches / "one"),
        }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    print(text, end="")
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{result['date']}-cifar10-fewshot.json"
    file.write_text(text, encoding="utf-8")
    print(file)


if __name__ == "__main__":
    main()
