"""Scores become probabilities: the map recovers them where they are known, and leaves every ranking as it was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax

from argusvl.core.errors import CheckpointError
from argusvl.core.schemas import checked
from argusvl.detection.data.detections import Detections
from argusvl.detection.measure.calibration import Calibration, fit_calibration, measure
from argusvl.detection.measure.evaluation import Truth, evaluate_detections
from argusvl.detection.measure.matched_predictions import MatchedPredictions, correct_predictions
from argusvl.detection.measure.reliability import CALIBRATION, reliability, write_reliability

LABELS = ("screw", "label", "fan")
SIZE = (200, 150)
RandomScenes = Callable[..., tuple[list[Detections], list[Truth]]]


def matched_of(
    scores: np.ndarray, correct: np.ndarray, images: int = 50, types: int = 0, seed: int = 0, **changes: Any
) -> MatchedPredictions:
    """Predictions dealt out over images; ``types`` boxes whose logits are three times too sharp."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 1.5, (types, 3))
    drawn = [rng.choice(3, p=np.exp(row)) for row in log_softmax(honest, axis=1)] if types else []
    made = MatchedPredictions(
        scores=np.asarray(scores, np.float64),
        correct=np.asarray(correct, bool),
        images=np.arange(len(scores)) % images,
        type_logits=3 * honest,
        types=np.array(drawn, np.int64),
        type_images=np.arange(types) % images,
        num_images=images,
        num_objects=max(int(np.sum(correct)), 1),
    )
    return replace(made, **changes)


def too_modest(
    count: int, seed: int, images: int = 50, types: int = 0
) -> tuple[MatchedPredictions, np.ndarray]:
    """Predictions whose true probability is known: ``logit p = 3.5 · logit s + 1``."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(1.2, 1.5, count).clip(0.001, 0.999)
    true = expit(3.5 * (np.log(scores) - np.log1p(-scores)) + 1)
    return matched_of(scores, rng.random(count) < true, images, types, seed), true


# The map


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_true_probabilities_of_miscalibrated_scores_are_recovered(seed: int) -> None:
    matched, true = too_modest(20_000, seed)
    fit = fit_calibration(matched)
    assert fit.calibration is not None
    error = np.abs(fit.calibration.probabilities(matched.scores) - true)
    assert error.max() < 0.03 and error.mean() < 0.01
    assert "20000 predictions in 50 held-out images" in fit.note


@pytest.mark.parametrize("sharpness", [0.3, 3.0])
def test_the_error_falls_on_images_that_were_not_fitted(sharpness: float) -> None:
    rng = np.random.default_rng(7)

    def sample() -> MatchedPredictions:
        true = rng.beta(0.7, 0.7, 3000).clip(0.001, 0.999)
        scores = expit(sharpness * (np.log(true) - np.log1p(-true)) - 0.8)
        return matched_of(scores, rng.random(3000) < true, types=600, seed=int(rng.integers(99)))

    fit = fit_calibration(sample())
    assert fit.calibration is not None
    report = measure(sample(), fit.calibration)
    for one in (report, fit.report):  # a split of its own, and the others' fifths
        assert one.ece is not None and one.ece_before is not None
        assert one.ece < 0.04 < 0.1 < one.ece_before
    assert (report.types.ece or 1) < 0.05 < 0.1 < (report.types.ece_before or 0)
    assert fit.calibration.type_temperature == pytest.approx(3, rel=0.25)


def test_a_few_predictions_on_one_side_of_a_score_give_a_finite_map() -> None:
    scores = np.concatenate([np.linspace(0.1, 0.4, 30), np.linspace(0.6, 0.9, 30)])
    fit = fit_calibration(matched_of(scores, scores > 0.5, images=10))
    assert fit.calibration is not None
    assert all(math.isfinite(v) for v in asdict(fit.calibration).values())
    assert 0 < fit.calibration.probabilities(np.array([0.0]))[0] < 0.5
    assert 0.5 < fit.calibration.probabilities(np.array([1.0]))[0] <= 1


MAPS = st.builds(
    Calibration,
    low=st.floats(0.01, 5),
    high=st.floats(0.01, 5),
    bias=st.floats(-5, 5),
    type_temperature=st.floats(0.1, 10),
    images=st.just(9),
    predictions=st.just(99),
)


@settings(max_examples=100, deadline=None)
@given(MAPS, st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_no_pair_of_scores_changes_places(calibration: Calibration, scores: list[float]) -> None:
    ordered = np.sort(np.array(scores))
    mapped = calibration.probabilities(ordered)
    assert np.isfinite(mapped).all() and ((mapped >= 0) & (mapped <= 1)).all()
    assert (np.diff(mapped) >= 0).all()
    # Scores of single precision stay apart in it, where they were not next to each other.
    distinct = np.unique(ordered.round(4))
    assert (np.diff(calibration.probabilities(distinct).astype(np.float32)) > 0).all()


@pytest.mark.parametrize(
    "calibration",
    [Calibration(3.5, 3.5, 1.0, 1.0, 9, 99), Calibration(0.01, 7.0, -5.7, 0.5, 9, 99)],
    ids=["Platt", "beta"],
)
def test_every_figure_of_an_evaluation_is_what_it_was(
    random_scenes: RandomScenes, calibration: Calibration
) -> None:
    predictions, truth = random_scenes(3, 12, LABELS)
    mapped = [calibration.apply(p) for p in predictions]
    assert any(abs(a.scores - b.scores).max() > 0.1 for a, b in zip(mapped, predictions, strict=True))
    before = evaluate_detections(predictions, truth, labels=LABELS, vocabulary="closed")
    after = evaluate_detections(mapped, truth, labels=LABELS, vocabulary="closed")
    assert after.scalars() == before.scalars()
    assert 0.1 < before.AP50 < 0.9


# What it cannot be fitted on


@pytest.mark.parametrize(
    ("matched", "reason"),
    [
        (MatchedPredictions.joined([]), "show no object"),
        (matched_of(np.full(500, 0.4), np.zeros(500), num_objects=0), "show no object"),
        (matched_of(np.full(500, 0.4), np.zeros(500)), "0 of 500 held-out predictions are right"),
        (matched_of(np.full(500, 0.9), np.ones(500)), "0 of 500 held-out predictions are wrong"),
        (matched_of(np.linspace(0, 1, 90), np.linspace(0, 1, 90) > 0.5, images=1), "1 held-out image:"),
        (matched_of(np.zeros(0), np.zeros(0), num_objects=7), "0 of 0 held-out predictions are right"),
        (matched_of(np.full(90, np.nan), np.arange(90) < 40), "not finite"),
        # Nothing to learn: right and wrong as if by lot, and the scores say so already.
        (matched_of(np.full(90, 0.5), np.arange(90) % 2 == 0, images=9), "does not improve"),
    ],
)
def test_a_bad_held_out_set_leaves_scores_alone(matched: MatchedPredictions, reason: str) -> None:
    fit = fit_calibration(matched)
    assert fit.calibration is None
    assert reason in fit.note
    written = json.dumps(asdict(fit.report), allow_nan=False) if "finite" not in reason else "{}"
    assert json.loads(written).get("ece_before") is None


def test_images_without_objects_or_predictions_are_no_hindrance(random_scenes: RandomScenes) -> None:
    rng = np.random.default_rng(0)
    predictions, truth = random_scenes(0, 20, LABELS)
    predictions[2::4] = [Detections.empty(SIZE)] * 5
    truth[1::4] = [Truth(np.zeros((0, 4)), ())] * 5
    parts = [
        MatchedPredictions.of_image(found, wanted, rng.normal(size=(len(found), 3)), LABELS, "closed")
        for found, wanted in zip(predictions, truth, strict=True)
    ]
    whole = MatchedPredictions.joined(parts)
    assert (whole.num_images, whole.num_objects) == (20, sum(map(len, truth)))
    assert set(whole.images) == {k for k in range(20) if k % 4 != 2}
    assert not whole.correct[np.isin(whole.images, [1, 5, 9])].any()
    fit = fit_calibration(whole)
    assert fit.note and (fit.calibration is None or math.isfinite(fit.calibration.bias))


# Which predictions are right


def test_right_is_what_average_precision_takes_for_right(random_scenes: RandomScenes) -> None:
    """With one class and one image precision and recall at the end of the list are counts of right predictions."""
    for predictions, truth in zip(*random_scenes(5, 20, LABELS), strict=True):
        correct = correct_predictions(truth, predictions, "closed")
        for name in LABELS:
            of_class = np.array([label == name for label in predictions.labels])
            objects = truth.descriptions.count(name)
            if not objects:
                assert not correct[of_class].any()
                continue
            figures = evaluate_detections([predictions], [truth], labels=LABELS, vocabulary="closed")
            ranking = np.argsort(-predictions.scores[of_class], kind="stable")
            hits = np.cumsum(correct[of_class][ranking])
            precision, recall = hits / np.arange(1, len(hits) + 1), hits / objects
            best = [precision[recall >= r - 1e-9].max(initial=0) for r in np.linspace(0, 1, 101)]
            assert pytest.approx(np.mean(best)) == figures.per_class[name].AP50


def test_types_are_learned_from_boxes_that_fit_whatever_their_label() -> None:
    truth = Truth(np.array([[0.0, 0, 20, 20], [50, 50, 90, 90]]), ("screw/tight", "nothing known"))
    boxes = np.array([[50, 50, 90, 90], [0, 0, 20, 21], [120, 120, 140, 140]])
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    found = Detections(boxes, scores, ("fan", "fan", "fan"), scores, SIZE, queries=np.arange(3))
    logits = np.arange(9.0).reshape(3, 3)
    matched = MatchedPredictions.of_image(found, truth, logits, LABELS, "open")
    assert matched.correct.tolist() == [False, False, False]
    assert matched.types.tolist() == [0]
    assert matched.type_logits.tolist() == [[3.0, 4.0, 5.0]]


# Figures


def test_bins_count_what_they_hold_and_the_error_is_their_mean_distance() -> None:
    confidence = np.array([0.05, 0.15, 0.15, 0.95, 1.0])
    correct = np.array([False, True, False, True, True])
    found = reliability(confidence, correct)
    bins, error = found.bins, found.ece
    assert [(b.confidence, b.accuracy, b.count) for b in bins] == [
        (0.05, 0.0, 1),
        (0.15, 0.5, 2),
        (0.975, 1.0, 2),
    ]
    assert error == pytest.approx((0.05 + 2 * 0.35 + 2 * 0.025) / 5)
    nothing = reliability(np.zeros(0), np.zeros(0, bool))
    assert nothing.bins == () and nothing.ece is None


def test_background_that_nobody_sees_does_not_make_scores_look_reliable() -> None:
    matched, _ = too_modest(2000, 0)
    background = matched_of(np.full(100_000, 1e-4), np.zeros(100_000))
    alone = measure(matched, None).ece
    assert measure(MatchedPredictions.joined([matched, background]), None).ece == pytest.approx(alone)


def test_the_file_holds_bins_before_and_after_for_the_same_predictions(tmp_path: Path) -> None:
    matched, _ = too_modest(3000, 1, types=300)
    fit = fit_calibration(matched)
    write_reliability(tmp_path, fit.report, "test.jsonl")
    written = json.loads((tmp_path / CALIBRATION).read_text("utf-8"))
    assert set(written) == {"bins", "ece", "bins_before", "ece_before", "types", "measured_on"}
    assert set(written["bins"][0]) == {"confidence", "accuracy", "count"}
    count = sum(b["count"] for b in written["bins"])
    assert count == sum(b["count"] for b in written["bins_before"]) <= 3000
    assert written["ece"] < written["ece_before"]
    write_reliability(tmp_path, measure(matched, None), "test.jsonl")
    written = json.loads((tmp_path / CALIBRATION).read_text("utf-8"))
    assert written["bins_before"] is None and written["ece_before"] is None and written["ece"] > 0.1


@pytest.mark.parametrize("change", [{"low": 0.0}, {"bias": math.nan}, {"images": "ten"}, {"more": 1.0}])
def test_a_damaged_calibration_is_refused_by_name(tmp_path: Path, change: dict[str, Any]) -> None:
    value = asdict(Calibration(1.0, 2.0, 0.5, 1.0, 9, 99))
    assert asdict(checked(value, Calibration, tmp_path)) == value
    with pytest.raises(CheckpointError, match=f"field '{next(iter(change))}': "):
        checked({**value, **change}, Calibration, tmp_path)
