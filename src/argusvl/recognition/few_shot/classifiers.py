"""Features of a few examples → scores of each class. One table names the classifiers.

All take features of length one (``features.py``), so that an inner product is a cosine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from argus_doctor.wording import did_you_mean
from argusvl.core.errors import ConfigError
from argusvl.recognition.few_shot.features import Features, unit

Labels = NDArray[np.int64]

RIDGE = 0.5
"""Strength of the ridge. 0.1 to 1 give the same accuracy to half a point at 1 to 20 shots."""
PROBE_C = 10.0
"""Inverse strength of the linear probe's penalty."""
CACHE_SHARPNESS, CACHE_WEIGHT = 5.5, 1.0
"""As in Tip-Adapter's paper."""
ROUNDS, TEMPERATURE = 2, 0.05
"""Of soft k-means: passes over the queries, and the difference of two cosines that is a factor e in the weights. More
passes let the queries outweigh the examples: at 5 shots and more they cost accuracy, at 1 they gain 5 points."""


class Classifier(Protocol):
    """What gives scores; they are comparable within one fit only."""

    def fit(self, support: Features, labels: Labels, classes: int) -> Self:
        """Learns from examples.

        Args:
            support: ``[N, F]``, rows of length one.
            labels: ``[N]``, each class at least once.
            classes: How many there are.
        """
        ...

    def scores(self, queries: Features) -> Features:
        """``[M, F]`` → ``[M, classes]``; the largest is the answer."""
        ...


class Centroid:
    """Cosine with the mean of a class's examples (Snell et al., 2017, arXiv 1703.05175)."""

    def fit(self, support: Features, labels: Labels, classes: int) -> Self:
        """Computes the classes' mean vectors."""
        self._centroids = centroids(support, labels, classes)
        return self

    def scores(self, queries: Features) -> Features:
        """Cosines with the means."""
        return queries @ self._centroids.T


class Nearest:
    """Cosine with a class's nearest example."""

    def fit(self, support: Features, labels: Labels, classes: int) -> Self:
        """Keeps the examples by class."""
        self._examples = [support[labels == number] for number in range(classes)]
        return self

    def scores(self, queries: Features) -> Features:
        """Cosines with each class's nearest example."""
        return np.stack([(queries @ examples.T).max(axis=1) for examples in self._examples], axis=1)


class Ridge:
    """Least squares onto one-hot classes with a penalty, solved in the space of the examples.

    Unlike centroids, it takes out the directions in which pictures differ within the classes. All classes count the
    same, however many examples they have: else one with few would hardly ever be the answer.
    """

    def fit(self, support: Features, labels: Labels, classes: int) -> Self:
        """Solves for the weights."""
        counts = np.bincount(labels, minlength=classes)
        weights = (len(labels) / (classes * counts))[labels, None]  # [N, 1], their mean is 1
        self._mean = (weights * support).mean(axis=0)
        centred = np.sqrt(weights) * (support - self._mean)
        wanted = np.sqrt(weights) * (np.eye(classes)[labels] - 1 / classes)
        rows, width = centred.shape
        if rows <= width:  # both give the same; the smaller system is solved
            found = centred.T @ np.linalg.solve(centred @ centred.T + RIDGE * np.eye(rows), wanted)
        else:
            found = np.linalg.solve(centred.T @ centred + RIDGE * np.eye(width), centred.T @ wanted)
        self._weights = found  # [F, classes]
        return self

    def scores(self, queries: Features) -> Features:
        """Values of the linear map."""
        found: Features = (queries - self._mean) @ self._weights
        return found


class LinearProbe:
    """Logistic regression of scikit-learn on the features; all classes count the same.

    The usual measure of a backbone; scores are log-odds up to a constant.
    """

    def fit(self, support: Features, labels: Labels, classes: int) -> Self:
        """Fits the logistic regression."""
        from sklearn.linear_model import LogisticRegression

        # Of one class there is nothing to learn.
        self._model = (
            LogisticRegression(C=PROBE_C, max_iter=1000, class_weight="balanced").fit(support, labels)
            if classes > 1
            else None
        )
        return self

    def scores(self, queries: Features) -> Features:
        """Log-odds."""
        if self._model is None:
            return np.zeros((len(queries), 1))
        found: Features = self._model.decision_function(queries)
        # Of two classes, scikit-learn gives the second's log-odds only.
        return np.stack([-found, found], axis=1) if found.ndim == 1 else found


class Cache:
    """Tip-Adapter without training (Zhang et al., 2022, arXiv 2207.09519): centroids, and examples by their nearness.

    Where the paper has the text's embedding of a class, which a network without text lacks, stands the centroid.
    """

    def fit(self, support: Features, labels: Labels, classes: int) -> Self:
        """Keeps the examples and their classes' means."""
        self._centroids = centroids(support, labels, classes)
        self._support = support
        counts = np.bincount(labels, minlength=classes)
        self._votes = np.eye(classes)[labels] / counts[labels, None]
        return self

    def scores(self, queries: Features) -> Features:
        """Cosines with the means, plus the examples' votes."""
        nearness = np.exp(-CACHE_SHARPNESS * (1 - queries @ self._support.T))
        return queries @ self._centroids.T + CACHE_WEIGHT * nearness @ self._votes


class SoftKMeans:
    """Centroids moved by the queries themselves (Ren et al., 2018, arXiv 1803.00676): transductive.

    A query's answer depends on the other queries, so that one picture alone gets no better answer than from centroids,
    and figures are not comparable with those of the other classifiers. No balance of the classes is assumed.
    """

    def fit(self, support: Features, labels: Labels, classes: int) -> Self:
        """Keeps the examples; the clustering needs the queries."""
        self._support, self._labels, self._classes = support, labels, classes
        self._mean = support.mean(axis=0)
        return self

    def scores(self, queries: Features) -> Features:
        """Cosines with the moved centroids; all queries at once."""
        mean = np.concatenate([self._support, queries]).mean(axis=0)
        support, points = unit(self._support - mean), unit(queries - mean)
        sums = np.eye(self._classes)[self._labels].T @ support
        found = points @ centroids(support, self._labels, self._classes).T
        for _ in range(ROUNDS):
            weights = np.exp((found - found.max(axis=1, keepdims=True)) / TEMPERATURE)
            weights /= weights.sum(axis=1, keepdims=True)
            found = points @ unit(sums + weights.T @ points).T
        return found


@dataclass(frozen=True, slots=True)
class ClassifierKind:
    """A line of the table; of a transductive one, a query's answer depends on the other queries."""

    make: Callable[[], Classifier]
    summary: str
    transductive: bool = False


CLASSIFIERS: Mapping[str, ClassifierKind] = {
    "ridge": ClassifierKind(Ridge, "least squares with a penalty"),
    "centroid": ClassifierKind(Centroid, "cosine with the mean of the examples"),
    "nearest": ClassifierKind(Nearest, "cosine with the nearest example"),
    "linear-probe": ClassifierKind(LinearProbe, "logistic regression"),
    "cache": ClassifierKind(Cache, "Tip-Adapter without training"),
    "soft-k-means": ClassifierKind(
        SoftKMeans, "transductive: the queries move the centroids", transductive=True
    ),
}
"""The classifiers by name; the first is the default, chosen by measurement."""


def make_classifier(name: str) -> Classifier:
    """A new classifier.

    Raises:
        ConfigError: None has this name.
    """
    if name not in CLASSIFIERS:
        raise ConfigError(
            f"unknown classifier {name!r}{did_you_mean(name, CLASSIFIERS)}",
            remedy=f"use one of {', '.join(CLASSIFIERS)}",
        )
    return CLASSIFIERS[name].make()


def centroids(support: Features, labels: Labels, classes: int) -> Features:
    """Means of the classes' examples, of length one, ``[classes, F]``."""
    sums = np.stack([support[labels == number].sum(axis=0) for number in range(classes)])
    return unit(sums)
