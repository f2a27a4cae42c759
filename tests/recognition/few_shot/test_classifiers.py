"""What every classifier of the table keeps to, and each against an independent reference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ortho_group
from sklearn.linear_model import Ridge as ReferenceRidge
from sklearn.metrics.pairwise import cosine_similarity

from argusvl.recognition.few_shot import classifiers
from argusvl.recognition.few_shot.classifiers import CLASSIFIERS, find_classifier
from argusvl.recognition.few_shot.features import unit

Sample = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def clusters(seed: int = 0, classes: int = 4, shots: int = 5, spread: float = 0.6, width: int = 16) -> Sample:
    """Support, its labels, queries, their labels: directions around one centre a class."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, width))
    labels, truths = np.repeat(np.arange(classes), shots), np.repeat(np.arange(classes), 30)

    def around(numbers: np.ndarray) -> np.ndarray:
        return unit(centres[numbers] + spread * rng.normal(size=(len(numbers), width)))

    return around(labels), labels, around(truths), truths


@pytest.mark.parametrize("name", CLASSIFIERS)
class TestEvery:
    def test_tells_clear_classes_apart(self, name: str) -> None:
        support, labels, queries, truths = clusters()
        scores = find_classifier(name).fit(support, labels, 4)(queries)
        assert scores.shape == (120, 4)
        assert (scores.argmax(axis=1) == truths).mean() > 0.85

    @pytest.mark.parametrize("changed", ["the order of the examples", "the axes", "the names of the classes"])
    def test_some_things_do_not_matter(self, name: str, changed: str) -> None:
        support, labels, queries, _ = clusters(1)
        order, turn, rename = np.arange(len(labels)), np.eye(16), np.arange(4)
        if changed == "the axes":
            turn = ortho_group.rvs(16, random_state=3)
        elif changed == "the names of the classes":
            rename = np.array([2, 0, 3, 1])
        else:
            order = np.random.default_rng(0).permutation(order)
        one = find_classifier(name).fit(support, labels, 4)(queries)
        other = find_classifier(name).fit(support[order] @ turn, rename[labels[order]], 4)(queries @ turn)
        assert np.allclose(one, other[:, rename], atol=1e-3 if name == "linear-probe" else 1e-10)

    def test_one_example_a_class_and_two_classes_are_enough(self, name: str) -> None:
        support, labels, queries, truths = clusters(4, classes=2, shots=1, spread=0.3)
        scores = find_classifier(name).fit(support, labels, 2)(queries)
        assert scores.shape == (60, 2)
        assert (scores.argmax(axis=1) == truths).mean() > 0.9

    def test_the_answer_depends_on_other_queries_only_where_the_table_says_so(self, name: str) -> None:
        support, labels, queries, _ = clusters(5)
        fitted = find_classifier(name).fit(support, labels, 4)
        same = np.allclose(fitted(queries)[:3], fitted(queries[:3]), atol=1e-12)
        assert same is not CLASSIFIERS[name].transductive


def test_centroid_against_scikit_learn() -> None:
    support, labels, queries, _ = clusters(6)
    found = find_classifier("centroid").fit(support, labels, 4)(queries)
    means = [support[labels == k].mean(axis=0) for k in range(4)]
    assert np.allclose(found, cosine_similarity(queries, means))


def test_nearest_by_hand() -> None:
    support = unit(np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]))
    found = find_classifier("nearest").fit(support, np.array([0, 0, 1]), 2)(np.array([[0.8, 0.6]]))
    assert np.allclose(found, [[0.96, 0.6]])


@pytest.mark.parametrize("shots", [2, 30])  # fewer examples than features, and more
def test_ridge_against_scikit_learn(shots: int) -> None:
    support, labels, queries, _ = clusters(7, shots=shots)
    found = find_classifier("ridge").fit(support, labels, 4)(queries)
    model = ReferenceRidge(alpha=classifiers.RIDGE).fit(support, np.eye(4)[labels] - 0.25)
    reference = model.predict(queries) - model.intercept_ - support.mean(axis=0) @ model.coef_.T * -1
    offset = reference - found
    assert np.allclose(offset, offset[0], atol=1e-8)  # up to the constant of each class …
    assert np.allclose(np.eye(4)[labels].mean(axis=0), 0.25)  # … which is the same here


def test_cache_weighs_examples_by_their_nearness() -> None:
    support, labels, queries, _ = clusters(9, classes=2, shots=2)
    found = find_classifier("cache").fit(support, labels, 2)(queries[:1])
    nearness = np.exp(-classifiers.CACHE_SHARPNESS * (1 - support @ queries[0]))
    centroid = unit(np.stack([support[:2].sum(axis=0), support[2:].sum(axis=0)])) @ queries[0]
    assert np.allclose(found[0], centroid + np.array([nearness[:2].mean(), nearness[2:].mean()]))


def test_the_queries_help_where_one_example_is_at_a_class_s_edge() -> None:
    gains = []
    for seed in range(20):
        support, labels, queries, truths = clusters(100 + seed, shots=1, spread=0.8)
        right = {
            name: (find_classifier(name).fit(support, labels, 4)(queries).argmax(axis=1) == truths).mean()
            for name in ("soft-k-means", "centroid")
        }
        gains.append(right["soft-k-means"] - right["centroid"])
    assert np.mean(gains) > 0.02


def test_one_class_has_scores() -> None:
    support, _, queries, _ = clusters(10)
    for name in CLASSIFIERS:
        assert find_classifier(name).fit(support, np.zeros(20, np.int64), 1)(queries).shape == (120, 1)
