"""Pictures of an evaluation for the report: the worst hands and some of the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from argusvl.core.files import write_text_atomically
from argusvl.manipulation.data.checking import Floats
from argusvl.manipulation.data.dataset import HandCrop, HandDataset
from argusvl.manipulation.measure.predictions import HandPrediction

GALLERY = "hands"
"""Folder of the pictures beside ``figures.json``."""
LIST = "hands.json"


def write_gallery(
    folder: Path,
    dataset: HandDataset,
    predictions: Sequence[HandPrediction],
    errors_mm: Sequence[Floats],
    most: int,
    draw: Callable[[HandCrop, HandPrediction], Image.Image],
) -> None:
    """Draws ``most`` hands: the worst for half of them, and the rest evenly over the others, best first.

    The folder is made where it is missing; there is a prediction and errors ``[21]`` for each hand of the data set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    means = np.array([np.nan if np.isnan(e).all() else np.nanmean(e) for e in errors_mm])
    order = [int(k) for k in np.argsort(means) if not np.isnan(means[k])]
    worst = order[::-1][: most // 2]
    rest = order[: len(order) - len(worst)]
    places = np.linspace(0, len(rest) - 1, min(len(rest), most - len(worst))).round().astype(int)
    entries = []
    for number, index in enumerate([*(rest[k] for k in places), *worst[::-1]]):
        name, error = f"{number:02}.jpg", round(float(means[index]), 2)
        draw(dataset[index], predictions[index]).save(folder / name, quality=88)
        told = {"picture": name, "source": dataset.sample_name(index), "error_mm": error}
        entries.append(told | {"worst": index in worst})
    write_text_atomically(folder / LIST, json.dumps(entries, ensure_ascii=False, indent=1) + "\n")
