"""FPR95 against the whole curve, OSCR by hand and by its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from argusvl.recognition.few_shot.measures import auroc, fpr95, oscr

# Few different values, so that ties are common.
scores = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=30).map(np.array)


@settings(max_examples=40)
@given(scores, scores)
def test_fpr95_is_that_of_the_curve(known: np.ndarray, unknown: np.ndarray) -> None:
    truth = np.repeat([1, 0], [len(known), len(unknown)])
    both = np.concatenate([known, unknown])
    accepted, kept, _ = roc_curve(truth, both, drop_intermediate=False)
    assert fpr95(known, unknown) == pytest.approx(accepted[kept >= 0.95 - 1e-12][0])


def test_oscr_by_hand() -> None:
    # Thresholds from above: 0.9 known right, 0.8 unknown, 0.7 known wrong, 0.6 known right, 0.5 unknown.
    known, correct = np.array([0.9, 0.7, 0.6]), np.array([True, False, True])
    unknown = np.array([0.8, 0.5])
    # From no unknown to one of two, a third is right; from one to both, two thirds.
    assert oscr(known, correct, unknown) == pytest.approx(0.5 * 1 / 3 + 0.5 * 2 / 3)


@settings(max_examples=40)
@given(scores, scores)
def test_oscr_with_perfect_classes_is_auroc(known: np.ndarray, unknown: np.ndarray) -> None:
    assert oscr(known, np.ones(len(known), bool), unknown) == pytest.approx(auroc(known, unknown))


def test_oscr_with_a_perfect_score_is_accuracy() -> None:
    correct = np.array([True, False, True, True])
    assert oscr(np.ones(4), correct, np.zeros(3)) == pytest.approx(0.75)
