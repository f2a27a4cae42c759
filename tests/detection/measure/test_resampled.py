"""Figures of many draws: of the pictures as they are COCO's, of a draw those of the pictures it repeats."""

from __future__ import annotations

import numpy as np
import pytest

from argusvl.detection.data.detections import Detections
from argusvl.detection.measure.evaluation import Truth, evaluate_detections
from argusvl.detection.measure.pairing import LabelledBox, pair_up
from argusvl.detection.measure.resampled import average_precisions, shares

LABELS = ("ace", "king", "ten")
Pictures = list[list[LabelledBox]]


def drawn(count: int, seed: int) -> tuple[Pictures, Pictures]:
    random = np.random.default_rng(seed)
    truth: Pictures = []
    found: Pictures = []
    for _ in range(count):
        corners = random.uniform(0, 80, (4, 2)).round(1)
        boxes = [(float(x), float(y), float(x) + 20, float(y) + 20) for x, y in corners]
        truth.append([LabelledBox(box, LABELS[random.integers(3)]) for box in boxes])
        moved = [
            tuple(float(v) for v in np.array(box) + random.normal(0, 3)) for box in boxes for _ in range(2)
        ]
        found.append(
            [
                LabelledBox((b[0], b[1], b[2], b[3]), LABELS[random.integers(3)], float(random.random()))
                for b in moved
            ]
        )
    return truth, found


def by_coco(truth: Pictures, found: Pictures) -> dict[str, float]:
    detections = [
        Detections(
            np.array([b.box_xyxy_px for b in boxes], np.float32),
            np.array([b.score for b in boxes], np.float32),
            tuple(b.label for b in boxes),
            np.ones(len(boxes), np.float32),
            (200, 200),
        )
        for boxes in found
    ]
    wanted = [Truth(np.array([b.box_xyxy_px for b in t]), tuple(b.label for b in t)) for t in truth]
    figures = evaluate_detections(detections, wanted, labels=LABELS, vocabulary="closed")
    return {name: one.AP50 for name, one in figures.per_class.items()}


@pytest.mark.parametrize("seed", range(5))
def test_ap_is_cocos_and_a_weight_is_a_repetition(seed: int) -> None:
    truth, found = drawn(12, seed)
    times = np.random.default_rng(seed).integers(0, 3, 12)
    repeated = [k for k, n in enumerate(times) for _ in range(n)]
    figures = average_precisions(truth, found, np.stack([np.ones(12), times]).astype(float))
    as_they_are = by_coco(truth, found)
    again = by_coco([truth[k] for k in repeated], [found[k] for k in repeated])
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
