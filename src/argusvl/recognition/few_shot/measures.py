"""How well known pictures are separated from unknown ones: AUROC, FPR95, OSCR. Larger scores mean known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc, roc_auc_score

Scores = NDArray[np.float64]


def auroc(known: Scores, unknown: Scores) -> float:
    """Probability that a known picture scores above an unknown one; ties count half.

    Args:
        known: ``[N]``, at least one.
        unknown: ``[M]``, at least one.
    """
    truth = np.repeat([1, 0], [len(known), len(unknown)])
    return float(roc_auc_score(truth, np.concatenate([known, unknown])))


def fpr95(known: Scores, unknown: Scores) -> float:
    """Share of the unknown that is accepted at the largest threshold that accepts at least 95 % of the known."""
    threshold = np.sort(known)[len(known) - int(np.ceil(0.95 * len(known)))]
    return float((unknown >= threshold).mean())


def oscr(known: Scores, correct: NDArray[np.bool_], unknown: Scores) -> float:
    """Area under the open-set classification rate (Dhamija et al., 2018, arXiv 1811.04110).

    At each threshold, the share of the known pictures that are accepted and classified correctly stands over the share
    of the unknown ones that are accepted. With a perfect score it is the accuracy; with perfect classes, the AUROC.

    Args:
        known: ``[N]`` scores of known pictures.
        correct: ``[N]``, whether their class was right.
        unknown: ``[M]`` scores of unknown pictures.
    """
    thresholds = np.unique(np.concatenate([known, unknown]))[::-1]
    right, accepted = (
        (len(scores) - np.searchsorted(np.sort(scores), thresholds)) / number
        for scores, number in ((known[correct], len(known)), (unknown, len(unknown)))
    )
    return float(auc([0.0, *accepted], [0.0, *right]))  # trapezia: ties count half
