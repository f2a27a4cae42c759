"""Conformal sets cover as often as they say, on data where that can be counted."""

from __future__ import annotations

import numpy as np
import pytest

from argusvl.recognition.few_shot.classifiers import Scorer, ridge
from argusvl.recognition.few_shot.conformal import held_out_scores, prediction_sets, strangeness_limit
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
        limit = strangeness_limit(*noisy(rng, number), coverage)
        scores, labels = noisy(rng, 40)
        covered.append(prediction_sets(scores, limit)[np.arange(40), labels].mean())
    # At least as asked, and not by more than a rank of the calibration set.
    assert coverage - 0.01 < np.mean(covered) < coverage + 1 / (number + 1) + 0.01


def test_surer_scores_give_smaller_sets() -> None:
    rng = np.random.default_rng(1)
    scores, labels = noisy(rng, 500)
    loose, sure = (
        prediction_sets(scores, strangeness_limit(learned, labels, 0.9)).sum(axis=1).mean()
        for learned in (scores, scores + 3 * np.eye(8)[labels])
    )
    assert 1 <= sure < loose < 8


def test_the_best_class_is_in_every_set_and_too_few_examples_give_all() -> None:
    scores, labels = noisy(np.random.default_rng(2), 50)
    found = prediction_sets(scores, strangeness_limit(scores, labels, 0.1))
    assert found[np.arange(50), scores.argmax(axis=1)].all()
    for number in (5, 0):
        assert prediction_sets(scores, strangeness_limit(scores[:number], labels[:number], 0.9)).all()


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
        limit = strangeness_limit(*held_out_scores(ridge, support, labels, 5), 0.9)
        found = prediction_sets(ridge(support, labels, 5)(queries), limit)
        covered.append(found[np.arange(200), truths].mean())
        sizes.append(found.sum(axis=1).mean())
    assert 0.87 < np.mean(covered) < 0.95
    assert np.mean(sizes) < 3.5


def test_only_examples_that_were_not_learned_from_are_scored() -> None:
    support = unit(np.random.default_rng(0).normal(size=(7, 4)))
    labels = np.array([0, 0, 0, 1, 1, 1, 2])  # of class 2 nothing would be left

    def spy(examples: np.ndarray, numbers: np.ndarray, classes: int) -> Scorer:
        assert set(numbers) == {0, 1, 2}
        seen = {tuple(row) for row in examples}

        def scores(queries: np.ndarray) -> np.ndarray:
            assert not seen & {tuple(row) for row in queries}
            return np.zeros((len(queries), 3))

        return scores

    scores, truths = held_out_scores(spy, support, labels, 3)
    assert scores.shape == (6, 3)
    assert sorted(truths) == [0, 0, 0, 1, 1, 1]
