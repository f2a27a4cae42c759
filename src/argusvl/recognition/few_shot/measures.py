"""How well known pictures are separated from unknown ones: AUROC, FPR95, OSCR. Larger scores mean known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def auroc(known: Scores, unknown: Scores) -> float:
    """Probability that a known picture scores above an unknown one; ties count half.

    Args:
        known: ``[N]``, at least one.
        unknown: ``[M]``, at least one.
    """
    ordered = np.sort(unknown)
    below = np.searchsorted(ordered, known, side="left")
    not_above = np.searchsorted(ordered, known, side="right")
    return float((below + not_above).sum() / (2 * len(known) * len(unknown)))


def fpr95(known: Scores, unknown: Scores) -> float:
    """Share of the unknown that is accepted at the largest threshold that accepts at least 95 % of the known."""
    accepted = int(np.ceil(0.95 * len(known)))
    threshold = np.sort(known)[::-1][accepted - 1]
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
    right = np.sort(known[correct])
    rates = (len(right) - np.searchsorted(right, thresholds, side="left")) / len(known)
    ordered = np.sort(unknown)
    accepted = (len(ordered) - np.searchsorted(ordered, thresholds, side="left")) / len(ordered)
    rates, accepted = np.concatenate([[0.0], rates]), np.concatenate([[0.0], accepted])
    return float(np.sum(np.diff(accepted) * (rates[1:] + rates[:-1]) / 2))  # trapezia: ties count half
