"""Pictures that nobody drew: objects and predictions by lot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from argusvl.detection.data.detections import Detections
from argusvl.detection.measure.evaluation import Truth

SIZE = (200, 200)


def _random_scenes(
    seed: int, images: int, labels: Sequence[str], *, most: int = 20, decimals: int = 2
) -> tuple[list[Detections], list[Truth]]:
    """Truth, and predictions that hit some of it with jitter, confuse some labels and invent some boxes."""
    rng = np.random.default_rng(seed)
    predictions, truths = [], []
    for _ in range(images):
        count = int(rng.integers(0, 12))
        corners = rng.uniform(0, 150, (count, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(5, 50, (count, 2))], axis=1)
        names = rng.choice(np.array(labels), count)
        truths.append(Truth(boxes, tuple(names.tolist())))
        source = rng.integers(0, count, most) if count else np.zeros(0, dtype=int)
        jittered = boxes[source] + rng.normal(0, 2, (len(source), 4))
        invented = rng.uniform(0, 100, (10, 2))
        boxes_found = np.concatenate([jittered, np.concatenate([invented, invented + 30], axis=1)])
        boxes_found[:, 2:] = np.maximum(boxes_found[:, 2:], boxes_found[:, :2] + 1)
        n = len(boxes_found)
        guesses = np.concatenate([names[source], rng.choice(np.array(labels), 10)])
        confused = rng.uniform(size=n) < 0.2
        guesses[confused] = rng.choice(np.array(labels), int(confused.sum()))
        # Scores in steps, so that there are ties (of two decimals; of six none).
        scores = np.round(rng.uniform(0.01, 1, n), decimals)
        found = Detections(boxes_found, scores, tuple(guesses.tolist()), scores, SIZE, queries=np.arange(n))  # type: ignore[arg-type]
        predictions.append(found)
    return predictions, truths


@pytest.fixture(scope="session")
def random_scenes() -> Callable[..., tuple[list[Detections], list[Truth]]]:
    return _random_scenes
