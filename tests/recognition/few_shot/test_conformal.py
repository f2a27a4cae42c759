"""Conformal sets cover as often as they say, on data where that can be counted."""

from __future__ import annotations

import numpy as np
import pytest

from argusvl.core.errors import ConfigError
from argusvl.recognition.few_shot.classifiers import make_classifier
from argusvl.recognition.few_shot.conformal import ConformalSets, held_out_scores
from argusvl.recognition.few_shot.features import unit


def noisy(rng: np.random.Generator, number: int, classes: int = 8) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, classes, number)
    return np.eye(classes)[labels] + rng.normal(0, 0.7, (number, classes)), labels


@pytest.mark.parametrize("coverage", [0.7, 0.8, 0.95])
@pytest.mark.parametrize("number", [25, 200])
def test_the_true_class_is_covered_as_often_as_asked(coverage: float, number: int) -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        sets = ConformalSets(coverage).fit(*noisy(rng, number))
        scores, labels = noisy(rng, 40)
        covered.append(sets.sets(scores)[np.arange(40), labels].mean())
    # At least as asked, and not by more than a rank of the calibration set.
    assert coverage - 0.01 < np.mean(covered) < coverage + 1 / (number + 1) + 0.01


def test_surer_scores_give_smaller_sets() -> None:
    rng = np.random.default_rng(1)
    scores, labels = noisy(rng, 500)
    loose = ConformalSets(0.9).fit(scores, labels).sets(scores).sum(axis=1).mean()
    sure = ConformalSets(0.9).fit(scores + 3 * np.eye(8)[labels], labels).sets(scores).sum(axis=1).mean()
    assert 1 <= sure < loose < 8


def test_the_best_class_is_in_every_set_and_too_few_examples_give_all() -> None:
    scores, labels = noisy(np.random.default_rng(2), 50)
    found = ConformalSets(0.1).fit(scores, labels).sets(scores)
    assert found[np.arange(50), scores.argmax(axis=1)].all()
    assert ConformalSets(0.9).fit(scores[:5], labels[:5]).sets(scores).all()
    assert ConformalSets(0.9).sets(scores).all()  # nothing to learn from


@pytest.mark.parametrize("coverage", [0.0, 1.0, 1.5])
def test_an_impossible_coverage_is_refused(coverage: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ConformalSets(coverage)


def test_sets_from_the_examples_themselves_cover_new_pictures() -> None:
    covered, sizes = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        centres = rng.normal(size=(5, 12))

        def around(
            numbers: np.ndarray, rng: np.random.Generator = rng, c: np.ndarray = centres
        ) -> np.ndarray:
            return unit(c[numbers] + 0.9 * rng.normal(size=(len(numbers), 12)))

        labels, truths = np.repeat(np.arange(5), 12), np.repeat(np.arange(5), 40)
        support, queries = around(labels), around(truths)

        def make() -> object:
            return make_classifier("ridge")

        sets = ConformalSets(0.9).fit(*held_out_scores(make, support, labels, 5))
        found = sets.sets(make().fit(support, labels, 5).scores(queries))
        covered.append(found[np.arange(200), truths].mean())
        sizes.append(found.sum(axis=1).mean())
    assert 0.87 < np.mean(covered) < 0.95
    assert np.mean(sizes) < 3.5


def test_only_examples_that_were_not_learned_from_are_scored() -> None:
    support = unit(np.random.default_rng(0).normal(size=(7, 4)))
    labels = np.array([0, 0, 0, 1, 1, 1, 2])  # of class 2 nothing would be left

    class Spy:
        def fit(self, examples: np.ndarray, numbers: np.ndarray, classes: int) -> Spy:
            assert set(numbers) == {0, 1, 2}
            self.seen = {tuple(row) for row in examples}
            return self

        def scores(self, queries: np.ndarray) -> np.ndarray:
            assert not self.seen & {tuple(row) for row in queries}
            return np.zeros((len(queries), 3))

    scores, truths = held_out_scores(Spy, support, labels, 3)
    assert scores.shape == (6, 3)
    assert sorted(truths) == [0, 0, 0, 1, 1, 1]
