"""Sets of classes that hold the true one with a stated probability (Vovk et al., 2005; Angelopoulos and Bates, 2021,
arXiv 2107.07511).

What is called strange about a class is how far its score lies below the best one. The set holds all classes that are no
stranger than nearly all true ones were, on examples that were not learned from. If these and the queries come from the
same source, the true class is in the set with at least the stated probability, whatever the classifier.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from argusvl.recognition.few_shot.classifiers import Fit, Labels
from argusvl.recognition.few_shot.features import Features

_FOLDS = 10


def strangeness_limit(scores: Features, labels: Labels, coverage: float) -> float:
    """How strange a class may be to be in a set that holds the true one as often as asked.

    Args:
        scores: ``[N, K]`` of examples that the classifier has not learned from.
        labels: ``[N]``.
        coverage: How often the true class shall be in the set, between 0 and 1.
    """
    strangeness = np.sort(scores.max(axis=1) - scores[np.arange(len(scores)), labels])
    rank = math.ceil((len(scores) + 1) * coverage)
    # With too few examples for the given coverage, only the set of all classes has it.
    return float(strangeness[rank - 1]) if rank <= len(scores) else math.inf


def prediction_sets(scores: Features, limit: float) -> NDArray[np.bool_]:
    """``[M, K]`` → for each class whether it is in the set; the best class always is."""
    found: NDArray[np.bool_] = scores.max(axis=1, keepdims=True) - scores <= limit
    return found


def held_out_scores(fit: Fit, support: Features, labels: Labels, classes: int) -> tuple[Features, Labels]:
    """Scores of examples by classifiers that have not learned from them, for :func:`strangeness_limit`.

    The examples of a class are dealt to at most ten folds; a class's only example is not used. Since all folds but one
    are learned from, the coverage is approximately that of a held-out set (Barber et al., 2021, arXiv 1905.02928, who
    prove at least ``2 · coverage - 1``).

    Returns:
        Scores ``[N', K]`` and labels ``[N']``.
    """
    turn = np.empty(len(labels), dtype=np.int64)
    for number in range(classes):
        rows = np.flatnonzero(labels == number)
        turn[rows] = np.arange(len(rows)) % _FOLDS if len(rows) > 1 else -1
    scores, truths = [np.empty((0, classes))], [np.empty(0, dtype=np.int64)]
    for fold in range(turn.max() + 1):
        held = turn == fold
        scores.append(fit(support[~held], labels[~held], classes)(support[held]))
        truths.append(labels[held])
    return np.concatenate(scores), np.concatenate(truths)
