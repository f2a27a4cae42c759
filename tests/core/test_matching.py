from __future__ import annotations

import numpy as np
import pytest
import torch

from argusvl.core.boxes import iou_xyxy
from argusvl.core.matching import match, pairwise_iou


def test_overlaps_are_those_of_the_tensors() -> None:
    rng = np.random.default_rng(0)
    first, second = (np.sort(rng.uniform(0, 50, (n, 2, 2)), axis=1).reshape(n, 4) for n in (7, 9))
    expected = iou_xyxy(torch.from_numpy(first)[:, None], torch.from_numpy(second)).numpy()
    assert pairwise_iou(first, second) == pytest.approx(expected)
    assert pairwise_iou([[0, 0, 10, 10]], [[0, 0, 10, 8], [20, 20, 30, 30]]).tolist() == [[0.8, 0.0]]
    assert pairwise_iou([[3, 3, 3, 3]], [[3, 3, 3, 3]]).tolist() == [[0.0]]  # no area


def test_nothing_matches_nothing() -> None:
    assert pairwise_iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert match(pairwise_iou([[0, 0, 1, 1]], []), 0.5, np.array([])).tolist() == [-1]
    assert match(pairwise_iou([], [[0, 0, 1, 1]]), 0.5).tolist() == []


def test_rows_choose_in_turn_by_score_then_overlap() -> None:
    overlaps = np.array([[0.6, 0.9, 0.7, 0.4], [0.6, 0.9, 0.8, 0.4], [0.6, 0.0, 0.9, 0.4]])
    assert match(overlaps, 0.5).tolist() == [1, 2, 0]
    assert match(overlaps, 0.5, np.array([0.9, 0.1, 0.1, 1.0])).tolist() == [0, 1, 2]
    assert match(overlaps, 0.65).tolist() == [1, 2, -1]
