"""Whether a picture is of any known class: a score that is calibrated on the examples alone.

The score is a soft maximum of the cosines with the classes' centroids. (The margin between the best two is a poor one:
a picture of nothing known may be nearest to one class by far. It tells ambiguity among the known.)

No unknown picture is at hand to calibrate it, so the examples play them. Left out of its class, an example is a new
picture of a known class; with its whole class left out, it is a picture of an unknown one. A logistic curve between
both gives the probability that a picture is known; below ``threshold`` it is called unknown.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from argusvl.core.errors import DataError
from argusvl.recognition.few_shot.classifiers import Labels, centroids
from argusvl.recognition.few_shot.features import Features

UNKNOWN = "Unknown"
"""What a rejected picture is called."""
THRESHOLD = 0.5
"""Probability below which a picture is rejected."""
SOFTNESS = 0.05
"""Difference of two cosines that is a factor e in the soft maximum."""

Scores = NDArray[np.float64]

_PENALTY = 1e-3
"""Of the curve's slope, so that scores that do not overlap do not make it infinitely steep."""
_STEPS = 50


class KnownScore:
    """The probability that a picture is of a known class."""

    def fit(self, support: Features, labels: Labels, classes: int) -> Self:
        """Learns from the examples.

        Args:
            support: ``[N, F]``, rows of length one.
            labels: ``[N]``, each class at least once.
            classes: How many there are.

        Raises:
            DataError: There is one class of one example, from which nothing can be told.
        """
        self._centroids = centroids(support, labels, classes)
        known, unknown = rehearse(support, labels, classes)
        if not known.size and not unknown.size:
            raise DataError(
                "one example of one class says nothing about what is unknown",
                remedy="give two examples, or two classes",
            )
        self._middle, self._slope = _curve(known, unknown)
        return self

    def raw(self, queries: Features) -> Scores:
        """``[M, F]`` → ``[M]``, the soft maximum of the cosines."""
        return soft_maximum(queries @ self._centroids.T)

    def probability(self, queries: Features) -> Scores:
        """``[M, F]`` → ``[M]`` between 0 and 1, in the order of :meth:`raw`."""
        found: Scores = 1 / (
            1 + np.exp(np.clip(-self._slope * (self.raw(queries) - self._middle), -500, 500))
        )
        return found


def rehearse(support: Features, labels: Labels, classes: int) -> tuple[Scores, Scores]:
    """Raw scores of the examples, each left out of its class, and each with its whole class left out.

    Returns:
        Scores as known (examples of classes that have another one) and as unknown (none where there is one class).
    """
    counts = np.bincount(labels, minlength=classes)
    sums = np.stack([support[labels == number].sum(axis=0) for number in range(classes)])
    cosines = support @ centroids(support, labels, classes).T
    own = np.arange(len(support)), labels
    several = counts[labels] > 1
    rest = sums[labels] - support
    lengths = np.linalg.norm(rest, axis=1)
    several &= lengths > 0  # two opposite examples leave nothing to compare with
    as_known = cosines.copy()
    as_known[own] = np.einsum("nf,nf->n", support, rest) / np.where(several, lengths, 1.0)
    known = soft_maximum(as_known[several])
    if classes == 1:
        return known, np.empty(0)
    others = np.ones_like(cosines, dtype=bool)
    others[own] = False
    return known, soft_maximum(cosines[others].reshape(len(support), classes - 1))


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
    is_known = np.repeat([1.0, 0.0], [len(known), len(unknown)])
    weights = np.repeat([0.5 / len(known), 0.5 / len(unknown)], [len(known), len(unknown)])
    mean, spread = float(scores.mean()), max(float(scores.std()), 1e-12)
    x = np.stack([(scores - mean) / spread, np.ones_like(scores)], axis=1)
    penalty = np.diag([_PENALTY, 0.0])
    found = np.zeros(2)
    for _ in range(_STEPS):  # Newton's method; the penalty keeps the maximum finite
        p = 1 / (1 + np.exp(-np.clip(x @ found, -500, 500)))
        gradient = x.T @ (weights * (p - is_known)) + penalty @ found
        curvature = (x * (weights * p * (1 - p))[:, None]).T @ x + penalty
        found = found - np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient)
    slope, offset = float(found[0]), float(found[1])
    # Scores that do not tell known from unknown, or tell the reverse, give a flat curve that still rises.
    slope = max(slope, 1e-6)
    return mean - spread * offset / slope, slope / spread
