"""Whether a picture is of any known class: a score that is calibrated on the examples alone.

Two things speak for a picture: that it shows a kind of thing that the known classes show (a soft maximum of the cosines
between kinds, nearly their mean), and that its vector stands out for one class against the others (the largest cosine
with the classes' centroids less the mean). The largest cosine alone is a poorer score: some pictures are near to all
classes. So is the margin between the best two: a picture of nothing known may be nearest to one class by far; it tells
ambiguity among the known.

No unknown picture is at hand to calibrate it, so the examples play them. Left out of its class, an example is a new
picture of a known class; with its whole class left out, it is a picture of an unknown one. A logistic curve between
both gives the probability that a picture is known; below ``threshold`` it is called unknown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from argusvl.core.errors import DataError
from argusvl.recognition.few_shot.classifiers import Labels, centroids
from argusvl.recognition.few_shot.features import Description, Features

UNKNOWN = "Unknown"
"""What a rejected picture is called."""
THRESHOLD = 0.5
"""Probability below which a picture is rejected."""
SOFTNESS = 0.4
"""Difference of two cosines that is a factor e in the soft maximum."""
CONTRAST = 2.0
"""Weight of how far a vector stands out for one class; 1 to 3 give the same AUROC to a point."""

Scores = NDArray[np.float64]

_PENALTY = 1e-3
"""Of the curve's slope, so that scores that do not overlap do not make it infinitely steep."""


class KnownScore:
    """The probability that a picture is of a known class, learned from the examples.

    Args:
        support: Of ``N`` pictures.
        labels: ``[N]``, each class at least once.
        classes: How many there are.

    Raises:
        DataError: There is one class of one example, from which nothing can be told.
    """

    def __init__(self, support: Description, labels: Labels, classes: int) -> None:
        self._vectors = centroids(support.vectors, labels, classes)
        self._kinds = centroids(support.kinds, labels, classes)
        known, unknown = rehearse(support, labels, classes)
        if not known.size and not unknown.size:
            raise DataError(
                "one example of one class says nothing about what is unknown",
                remedy="give two examples, or two classes",
            )
        self._middle, self._slope = _curve(known, unknown)

    def raw(self, queries: Description) -> Scores:
        """Of ``M`` pictures, ``[M]``: what the probability is made of, in the same order."""
        return score(queries.vectors @ self._vectors.T, queries.kinds @ self._kinds.T)

    def probability(self, queries: Description) -> Scores:
        """Of ``M`` pictures, ``[M]`` between 0 and 1, in the order of :meth:`raw`."""
        found: Scores = 1 / (
            1 + np.exp(np.clip(-self._slope * (self.raw(queries) - self._middle), -500, 500))
        )
        return found


def score(vectors: Features, kinds: Features) -> Scores:
    """Cosines with ``K`` classes' centroids, ``[N, K]`` by vectors and by kinds → ``[N]``, larger for the known."""
    stands_out: Scores = vectors.max(axis=1) - vectors.mean(axis=1)
    return soft_maximum(kinds) + CONTRAST * stands_out


def rehearse(support: Description, labels: Labels, classes: int) -> tuple[Scores, Scores]:
    """Raw scores of the examples, each left out of its class, and each with its whole class left out.

    Returns:
        Scores as known (examples of classes that have another one) and as unknown (none where there is one class).
    """
    parts = (support.vectors, support.kinds)
    several, as_known, as_unknown = zip(*(_left_out(part, labels, classes) for part in parts), strict=True)
    both = several[0] & several[1]
    known = score(as_known[0][both], as_known[1][both])
    return known, score(*as_unknown) if classes > 1 else np.empty(0)


def _left_out(
    support: Features, labels: Labels, classes: int
) -> tuple[NDArray[np.bool_], Features, Features]:
    """Cosines of examples with the centroids that are made without them.

    Returns:
        ``[N]``, whether the rest of an example's class has a centroid; ``[N, K]`` cosines, that with its own class by
        the rest of it; ``[N, K - 1]`` cosines with the other classes.
    """
    cosines = support @ centroids(support, labels, classes).T
    own = np.arange(len(support)), labels
    sums = np.stack([support[labels == number].sum(axis=0) for number in range(classes)])
    rest = sums[labels] - support
    lengths = np.linalg.norm(rest, axis=1)
    # Two opposite examples leave nothing to compare with.
    several = (np.bincount(labels, minlength=classes)[labels] > 1) & (lengths > 0)
    as_known = cosines.copy()
    as_known[own] = np.einsum("nf,nf->n", support, rest) / np.where(several, lengths, 1.0)
    others = np.ones_like(cosines, dtype=bool)
    others[own] = False
    return several, as_known, cosines[others].reshape(len(support), classes - 1)


def soft_maximum(cosines: Features) -> Scores:
    """``[N, K]`` → ``[N]``: at most the largest, and the mean where all are equal, for any ``K``."""
    largest = cosines.max(axis=1, keepdims=True) if cosines.size else cosines[:, :1]
    found: Scores = largest[:, 0] + SOFTNESS * np.log(np.exp((cosines - largest) / SOFTNESS).mean(axis=1))
    return found


def _curve(known: Scores, unknown: Scores) -> tuple[float, float]:
    """Middle and slope of the logistic curve between both kinds of scores, which count equally."""
    if not known.size or not unknown.size:
        # With one example a class nothing is known of how alike a class is, with one class nothing of others:
        # what there is stands two standard deviations off the middle.
        there, side = (known, -1.0) if known.size else (unknown, 1.0)
        spread = max(float(there.std()), 1e-3)
        return float(there.mean()) + side * 2 * spread, 1 / spread
    scores = np.concatenate([known, unknown])
    is_known = np.repeat([1, 0], [len(known), len(unknown)])
    weights = np.repeat([0.5 / len(known), 0.5 / len(unknown)], [len(known), len(unknown)])
    mean, spread = float(scores.mean()), max(float(scores.std()), 1e-12)
    fitted = LogisticRegression(C=1 / _PENALTY, solver="newton-cholesky", tol=1e-8)
    fitted.fit((scores[:, None] - mean) / spread, is_known, sample_weight=weights)
    slope, offset = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    # Scores that do not tell known from unknown, or tell the reverse, give a flat curve that still rises.
    slope = max(slope, 1e-6)
    return mean - spread * offset / slope, slope / spread
