"""Figures of many draws: of the pictures as they are COCO's, of a draw those of the pictures it repeats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from argusvl.detection.data.detections import Detections
from argusvl.detection.measure.evaluation import Truth, evaluate_detections
from argusvl.detection.measure.pairing import LabelledBox, pair_up
from argusvl.detection.measure.resampled import average_precisions, shares

LABELS = ("ace", "king", "ten")
Scenes = tuple[list[Detections], list[Truth]]


def by_coco(found: list[Detections], truth: list[Truth]) -> dict[str, float]:
    figures = evaluate_detections(found, truth, labels=LABELS, vocabulary="closed")
    return {name: one.AP50 for name, one in figures.per_class.items()}


@pytest.mark.parametrize("seed", range(5))
def test_ap_is_cocos_and_a_weight_is_a_repetition(random_scenes: Callable[..., Scenes], seed: int) -> None:
    found, truth = random_scenes(seed, 12, LABELS, decimals=6)
    times = np.random.default_rng(seed).integers(0, 3, 12)
    repeated = [k for k, n in enumerate(times) for _ in range(n)]
    wanted = [list(map(LabelledBox, map(tuple, t.boxes_xyxy_px), t.descriptions)) for t in truth]
    predicted = [
        list(map(LabelledBox, map(tuple, d.boxes_xyxy_px), d.labels, d.scores.tolist())) for d in found
    ]
    figures = average_precisions(wanted, predicted, np.stack([np.ones(12), times]).astype(float))
    as_they_are = by_coco(found, truth)
    again = by_coco([found[k] for k in repeated], [truth[k] for k in repeated])
    for name, values in figures.items():
        # COCO keeps scores in single precision.
        assert values[0] == pytest.approx(as_they_are[name], abs=1e-6)
        assert values[1] == pytest.approx(again[name], abs=1e-6)


def test_shares_count_classes_boxes_and_texts() -> None:
    box, far = (0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 60.0, 60.0)
    truth = [LabelledBox(box, "ace/red"), LabelledBox(far, "ten")]
    found = [LabelledBox(box, "ace/blue", 0.9), LabelledBox((80.0, 0.0, 90.0, 9.0), "ten", 0.8)]
    figures = shares([pair_up(truth, found)], np.ones((1, 1)))
    assert {name: float(value[0]) for name, value in figures.items()} == {
        "F1": 0.5,
        "precision": 0.5,
        "recall": 0.5,
        "described exactly": 0.0,
    }
    assert np.isnan(shares([[]], np.ones((1, 1)))["F1"][0])
