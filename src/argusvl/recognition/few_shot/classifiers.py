"""Features of a few examples → scores of each class. One table names the classifiers.

All take features of length one (``features.py``), so that an inner product is a cosine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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

Scorer = Callable[[Features], Features]
"""Queries ``[M, F]`` → scores ``[M, classes]``, the largest of which is the answer. Scores are comparable within one
fit only."""

Fit = Callable[[Features, Labels, int], Scorer]
"""Learns from examples ``[N, F]`` with rows of length one, their labels ``[N]``, and how many classes there are, each
of which has an example."""


def centroid(support: Features, labels: Labels, classes: int) -> Scorer:
    """Cosine with the mean of a class's examples (Snell et al., 2017, arXiv 1703.05175)."""
    means = centroids(support, labels, classes)
    return lambda queries: queries @ means.T


def nearest(support: Features, labels: Labels, classes: int) -> Scorer:
    """Cosine with a class's nearest example."""
    by_class = [support[labels == number] for number in range(classes)]
    return lambda queries: np.stack([(queries @ examples.T).max(axis=1) for examples in by_class], axis=1)


def ridge(support: Features, labels: Labels, classes: int) -> Scorer:
    """Least squares onto one-hot classes with a penalty, solved in the space of the examples.

    Unlike centroids, it takes out the directions in which pictures differ within the classes. All classes count the
    same, however many examples they have: else one with few would hardly ever be the answer.
    """
    counts = np.bincount(labels, minlength=classes)
    shares = (len(labels) / (classes * counts))[labels, None]  # [N, 1], their mean is 1
    mean = (shares * support).mean(axis=0)
    centred = np.sqrt(shares) * (support - mean)
    wanted = np.sqrt(shares) * (np.eye(classes)[labels] - 1 / classes)
    rows, width = centred.shape
    if rows <= width:  # both give the same; the smaller system is solved
        weights = centred.T @ np.linalg.solve(centred @ centred.T + RIDGE * np.eye(rows), wanted)
    else:
        weights = np.linalg.solve(centred.T @ centred + RIDGE * np.eye(width), centred.T @ wanted)
    return lambda queries: (queries - mean) @ weights  # [F, classes]


def linear_probe(support: Features, labels: Labels, classes: int) -> Scorer:
    """Logistic regression of scikit-learn on the features; all classes count the same.

    The usual measure of a backbone; scores are log-odds up to a constant.
    """
    from sklearn.linear_model import LogisticRegression

    if classes == 1:  # there is nothing to learn
        return lambda queries: np.zeros((len(queries), 1))
    model = LogisticRegression(C=PROBE_C, max_iter=1000, class_weight="balanced").fit(support, labels)

    def scores(queries: Features) -> Features:
        found: Features = model.decision_function(queries)
        # Of two classes, scikit-learn gives the second's log-odds only.
        return np.stack([-found, found], axis=1) if found.ndim == 1 else found

    return scores


def cache(support: Features, labels: Labels, classes: int) -> Scorer:
    """Tip-Adapter without training (Zhang et al., 2022, arXiv 2207.09519): centroids, and examples by their nearness.

    Where the paper has the text's embedding of a class, which a network without text lacks, stands the centroid.
    """
    means = centroids(support, labels, classes)
    votes = np.eye(classes)[labels] / np.bincount(labels, minlength=classes)[labels, None]

    def scores(queries: Features) -> Features:
        nearness = np.exp(-CACHE_SHARPNESS * (1 - queries @ support.T))
        return queries @ means.T + CACHE_WEIGHT * nearness @ votes

    return scores


def soft_k_means(support: Features, labels: Labels, classes: int) -> Scorer:
    """Centroids moved by the queries themselves (Ren et al., 2018, arXiv 1803.00676): transductive.

    A query's answer depends on the other queries, so that one picture alone gets no better answer than from centroids,
    and figures are not comparable with those of the other classifiers. No balance of the classes is assumed.
    """

    def scores(queries: Features) -> Features:
        mean = np.concatenate([support, queries]).mean(axis=0)
        examples, points = unit(support - mean), unit(queries - mean)
        sums = np.eye(classes)[labels].T @ examples
        found = points @ centroids(examples, labels, classes).T
        for _ in range(ROUNDS):
            weights = np.exp((found - found.max(axis=1, keepdims=True)) / TEMPERATURE)
            weights /= weights.sum(axis=1, keepdims=True)
            found = points @ unit(sums + weights.T @ points).T
        return found

    return scores


@dataclass(frozen=True, slots=True)
class Classifier:
    """A line of the table; of a transductive one, a query's answer depends on the other queries."""

    fit: Fit
    transductive: bool = False


CLASSIFIERS: Mapping[str, Classifier] = {
    "ridge": Classifier(ridge),
    "centroid": Classifier(centroid),
    "nearest": Classifier(nearest),
    "linear-probe": Classifier(linear_probe),
    "cache": Classifier(cache),
    "soft-k-means": Classifier(soft_k_means, transductive=True),
}
"""The classifiers by name; the first is the default, chosen by measurement."""


def find_classifier(name: str, *, transductive: bool = True) -> Classifier:
    """The classifier of this name, which may be ``transductive`` or not.

    Raises:
        ConfigError: None has it, or one that may not be chosen.
    """
    offered = [key for key, one in CLASSIFIERS.items() if transductive or not one.transductive]
    remedy = f"use one of {', '.join(offered)}"
    if name not in CLASSIFIERS:
        raise ConfigError(f"unknown classifier {name!r}{did_you_mean(name, offered)}", remedy=remedy)
    if name not in offered:
        raise ConfigError(
            f"{name} is transductive: a picture's class would depend on the others given with it",
            remedy=f"{remedy}; argus recognize table measures this one",
        )
    return CLASSIFIERS[name]


def centroids(support: Features, labels: Labels, classes: int) -> Features:
    """Means of the classes' examples, of length one, ``[classes, F]``."""
    sums = np.stack([support[labels == number].sum(axis=0) for number in range(classes)])
    return unit(sums)
