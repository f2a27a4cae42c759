"""Known or not: calibrated on the examples alone, and right on pictures that it has not seen."""

from __future__ import annotations

import numpy as np
import pytest

from argusvl.core.errors import DataError
from argusvl.recognition.few_shot.classifiers import centroids
from argusvl.recognition.few_shot.features import Description, unit
from argusvl.recognition.few_shot.unknown import KnownScore, rehearse, score


def same(rows: np.ndarray) -> Description:
    """Of a network without classes of its own."""
    return Description(rows, rows, rows)


def around(rng: np.random.Generator, centres: np.ndarray, each: int, spread: float) -> Description:
    return same(directions(rng, centres, each, spread))


def directions(rng: np.random.Generator, centres: np.ndarray, each: int, spread: float) -> np.ndarray:
    return unit(
        np.repeat(centres, each, axis=0) + spread * rng.normal(size=(len(centres) * each, centres.shape[1]))
    )


def test_known_pictures_are_accepted_and_unknown_ones_rejected() -> None:
    accepted, rejected = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        centres = rng.normal(size=(12, 20))
        fitted = KnownScore(around(rng, centres[:6], 5, 0.7), np.repeat(np.arange(6), 5), 6)
        accepted.append((fitted.probability(around(rng, centres[:6], 50, 0.7)) >= 0.5).mean())
        rejected.append((fitted.probability(around(rng, centres[6:], 50, 0.7)) < 0.5).mean())
    assert np.mean(accepted) > 0.85
    assert np.mean(rejected) > 0.85


def test_the_probability_keeps_the_order_of_the_raw_score() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 8))
    fitted = KnownScore(around(rng, centres, 3, 0.5), np.repeat(np.arange(4), 3), 4)
    queries = same(unit(rng.normal(size=(200, 8))))
    raw, probability = fitted.raw(queries), fitted.probability(queries)
    order = np.argsort(raw)
    assert (np.diff(probability[order]) >= 0).all()
    assert ((probability > 0) & (probability < 1)).all()


def test_rehearsal_by_hand() -> None:
    rng = np.random.default_rng(1)
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    vectors, kinds = unit(rng.normal(size=(7, 5))), unit(rng.uniform(size=(7, 4)))
    support = Description(vectors, vectors, kinds)
    known, unknown = rehearse(support, labels, 3)
    for n in range(7):
        rest, others = np.delete(np.arange(7), n), np.delete(np.arange(3), labels[n])

        def cosines(rows: np.ndarray, among: np.ndarray, n: int = n) -> np.ndarray:
            return rows[n : n + 1] @ centroids(rows[among], labels[among], 3).T

        parts = support.vectors, support.kinds
        assert known[n] == pytest.approx(score(*(cosines(part, rest) for part in parts))[0])
        everyone = np.arange(7)
        assert unknown[n] == pytest.approx(score(*(cosines(part, everyone)[:, others] for part in parts))[0])


def test_both_parts_of_the_evidence_count() -> None:
    """Four known classes and a fifth: of a kind of its own, or of a known kind and like none of the four."""
    rng = np.random.default_rng(5)
    labels, kind, vector = np.repeat(np.arange(4), 5), np.eye(5), np.eye(6)

    def pictures(kinds: np.ndarray, vectors: np.ndarray) -> Description:
        near = unit(vectors + 0.1 * rng.normal(size=vectors.shape))
        return Description(near, near, unit(kinds + 0.1 * rng.normal(size=kinds.shape)))

    fitted = KnownScore(pictures(kind[labels % 2], vector[labels]), labels, 4)
    known = fitted.raw(pictures(kind[labels % 2], vector[labels]))
    of_another_kind = fitted.raw(pictures(kind[np.full(20, 4)], vector[labels]))
    like_none = fitted.raw(pictures(kind[labels % 2], vector[np.full(20, 5)]))
    assert known.min() > of_another_kind.max()
    assert known.min() > like_none.max()


def test_classes_that_do_not_overlap_at_all_give_finite_probabilities() -> None:
    support = np.repeat(np.eye(4), 3, axis=0)
    fitted = KnownScore(same(support), np.repeat(np.arange(4), 3), 4)
    found = fitted.probability(same(np.concatenate([np.eye(4), -np.eye(4)])))
    assert np.isfinite(found).all()
    assert (found[:4] > 0.9).all() and (found[4:] < 0.1).all()


@pytest.mark.parametrize(("classes", "shots"), [(4, 1), (1, 4), (2, 2)])
def test_few_examples_are_enough_for_a_threshold(classes: int, shots: int) -> None:
    rng = np.random.default_rng(4)
    centres = np.eye(8)[: classes + 1]
    fitted = KnownScore(
        around(rng, centres[:classes], shots, 0.1), np.repeat(np.arange(classes), shots), classes
    )
    inside = fitted.probability(around(rng, centres[:classes], 40, 0.1))
    outside = fitted.probability(around(rng, centres[classes:], 40, 0.1))
    assert np.median(inside) > 0.5 > np.median(outside)


def test_one_example_of_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="two examples, or two classes"):
        KnownScore(same(np.eye(3)[:1]), np.zeros(1, np.int64), 1)
