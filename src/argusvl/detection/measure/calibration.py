"""Scores that are probabilities: fitted on held-out predictions, applied wherever predictions are shown.

Two things are calibrated, each by the fewest numbers that do it.

- The *score* of a prediction, σ(objectness) × softmax of the type logits, becomes the probability that the prediction
  is right: its box fits an object of its label at IoU 0.5 that no better prediction has taken. The map is beta
  calibration (Kull, Silva Filho and Flach, AISTATS 2017), ``logit p = low · ln s − high · ln(1 − s) + bias`` with
  ``low, high > 0``: logistic regression on the score, of which Platt scaling of its logit is the case ``low = high``
  and the identity the case ``(1, 1, 0)``. A trace of ``s`` itself is mixed in: where the logistic curve is as good as
  flat, scores would be equal in single precision. So the map rises everywhere, no ranking changes, and AP is what it
  was. (Objectness and type logits calibrated one by one would reorder predictions.)
- The *label score*, the probability of a label given that there is an object, gets a temperature for the type logits
  (Guo et al., ICML 2017). The most likely label stays the most likely.

Both are found by maximum likelihood. Nothing here knows a model or a file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax

from argusvl.core.schemas import Number
from argusvl.core.wording import counted
from argusvl.detection.data.detections import Detections
from argusvl.detection.measure.matched_predictions import MatchedPredictions
from argusvl.detection.measure.reliability import (
    Array,
    Flags,
    Reliability,
    ReliabilityReport,
    compare,
    reliability,
)

MIN_IMAGES, MIN_RIGHT, MIN_WRONG = 5, 10, 10
"""Fewer held-out images, right predictions or wrong ones say too little to change scores by."""

FOLDS = 5
SHOWN_FROM = 0.05
"""Reliability is about predictions that somebody may look at: a hundred queries of background in each image, scored 0
and rightly so, would make any model look calibrated."""

_SMALLEST, _LARGEST = 1e-7, 1 - 1e-7
"""Logarithms of scores beyond are those of these."""

_LEAST_SLOPE = 0.01
_TRACE = 0.005
"""Part of the score itself in its probability: the most that it shifts one by."""

_LOG_TEMPERATURE = math.log(10.0)
_PRIOR_STD = 5.0
"""A pull towards leaving scores as they are that some dozen predictions outweigh; without it predictions that one
score divides into right and wrong would have no finite answer."""


_Positive = Annotated[Number, Field(gt=0)]
_Several = Annotated[int, Field(strict=True, gt=0)]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns the model's scores into probabilities.

    Attributes:
        low: Slope in ``ln s``; above 0.
        high: Slope in ``−ln(1 − s)``; above 0.
        bias: Added to both.
        type_temperature: Type logits are divided by it; above 0.
        images: Held-out images that it was fitted on.
        predictions: Predictions that it was fitted on.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    low: _Positive
    high: _Positive
    bias: Number
    type_temperature: _Positive
    images: _Several
    predictions: _Several

    def probabilities(self, scores: NDArray[Any]) -> Array:
        """``[N]`` scores → probabilities, in the same order."""
        logits = _features(scores) @ np.array([self.low, self.high, self.bias])
        probabilities: Array = (1 - _TRACE) * expit(logits) + _TRACE * scores
        return probabilities

    def apply(self, detections: Detections) -> Detections:
        """The same predictions with probabilities for scores; label scores get theirs where logits are known."""
        return replace(detections, scores=self.probabilities(detections.scores).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Fit:
    """What fitting came to.

    Attributes:
        calibration: ``None`` where the held-out images cannot give one.
        note: Then why; else on what it was fitted.
        report: How reliable scores are, before and after. *After* is measured on images that the map was not
            fitted on: each fifth of the images by a map fitted on the others.
    """

    calibration: Calibration | None
    note: str
    report: ReliabilityReport


def fit_calibration(matched: MatchedPredictions) -> Fit:
    """Fits by maximum likelihood on held-out predictions; where these do not carry it, a reason takes its place."""
    reason = _too_little(matched)
    if reason:
        return Fit(None, reason, measure(matched, None))
    scores, types = np.zeros(len(matched.scores)), np.zeros(len(matched.types))
    for fold in range(FOLDS):
        held = np.arange(matched.num_images) % FOLDS == fold
        one = _fit(matched.of_images(~held))
        entries, typed = held[matched.images], held[matched.type_images]
        scores[entries] = one.probabilities(matched.scores[entries])
        types[typed] = _confidences(matched.type_logits[typed], one.type_temperature)
    if not _surprise(scores, matched.correct) < _surprise(matched.scores, matched.correct):
        return Fit(
            None,
            "fitted on four fifths of the held-out images, calibration does not improve the scores of the others",
            measure(matched, None),
        )
    calibration = _fit(matched)
    note = f"fitted on {calibration.predictions} predictions in {calibration.images} held-out images"
    return Fit(calibration, note, _compared(matched, scores, types))


def _too_little(matched: MatchedPredictions) -> str:
    right = int(matched.correct.sum())
    wrong = len(matched.correct) - right
    if not matched.num_objects:
        return "the held-out images show no object"
    if matched.num_images < MIN_IMAGES:
        return f"{counted(matched.num_images, 'held-out image')}: at least {MIN_IMAGES} are needed"
    if not np.isfinite(matched.scores).all() or not np.isfinite(matched.type_logits).all():
        return "the model's scores are not finite"
    if right < MIN_RIGHT:
        return f"{right} of {len(matched.correct)} held-out predictions are right: at least {MIN_RIGHT} are needed"
    if wrong < MIN_WRONG:
        return f"{wrong} of {len(matched.correct)} held-out predictions are wrong: at least {MIN_WRONG} are needed"
    return ""


def _fit(matched: MatchedPredictions) -> Calibration:
    features = _features(matched.scores)
    correct = matched.correct.astype(np.float64)
    same = np.array([1.0, 1.0, 0.0])

    def surprise(weights: Array) -> tuple[float, Array]:
        logits = features @ weights
        pull = (weights - same) / _PRIOR_STD**2
        value = (np.logaddexp(0.0, logits) - correct * logits).sum() + 0.5 * (weights - same) @ pull
        slope = features.T @ (expit(logits) - correct) + pull
        return value / max(len(correct), 1), slope / max(len(correct), 1)

    bounds = [(_LEAST_SLOPE, None), (_LEAST_SLOPE, None), (None, None)]
    low, high, bias = minimize(surprise, same, jac=True, method="L-BFGS-B", bounds=bounds).x.tolist()
    return Calibration(low, high, bias, _fit_temperature(matched), matched.num_images, len(matched.scores))


def _fit_temperature(matched: MatchedPredictions) -> float:
    if len(matched.types) < MIN_RIGHT or matched.type_logits.shape[1] < 2:
        return 1.0

    def surprise(log_temperature: float) -> float:
        chances = log_softmax(matched.type_logits / math.exp(log_temperature), axis=1)
        return float(-chances[np.arange(len(matched.types)), matched.types].sum() + log_temperature**2 / 2)

    limits = (-_LOG_TEMPERATURE, _LOG_TEMPERATURE)
    return math.exp(float(minimize_scalar(surprise, bounds=limits, method="bounded").x))


def _features(scores: NDArray[Any]) -> Array:
    inside = np.clip(scores.astype(np.float64), _SMALLEST, _LARGEST)
    return np.stack([np.log(inside), -np.log1p(-inside), np.ones_like(inside)], axis=-1)


def _surprise(scores: Array, correct: Flags) -> float:
    """Mean negative log-likelihood."""
    inside = np.clip(scores, _SMALLEST, _LARGEST)
    return float(-np.where(correct, np.log(inside), np.log1p(-inside)).mean())


def measure(matched: MatchedPredictions, calibration: Calibration | None) -> ReliabilityReport:
    """How reliable scores are on images that ``calibration`` was not fitted on; ``None``: as the model gives them."""
    if calibration is None:
        shown = matched.scores >= SHOWN_FROM
        return _report(
            reliability(matched.scores[shown], matched.correct[shown]),
            reliability(_confidences(matched.type_logits), _types_right(matched)),
        )
    types = _confidences(matched.type_logits, calibration.type_temperature)
    return _compared(matched, calibration.probabilities(matched.scores), types)


def _compared(matched: MatchedPredictions, scores: Array, types: Array) -> ReliabilityReport:
    """Calibrated scores and confidences beside those that the model gives."""
    return _report(
        compare(matched.scores, scores, matched.correct, SHOWN_FROM),
        compare(_confidences(matched.type_logits), types, _types_right(matched), shown_from=0.0),
    )


def _report(scores: Reliability, types: Reliability) -> ReliabilityReport:
    return ReliabilityReport(scores.bins, scores.ece, scores.bins_before, scores.ece_before, types=types)


def _confidences(type_logits: Array, temperature: float = 1.0) -> Array:
    if not type_logits.size:
        return np.zeros(len(type_logits))
    best: Array = np.exp(log_softmax(type_logits / temperature, axis=1)).max(axis=1)
    return best


def _types_right(matched: MatchedPredictions) -> Flags:
    if not matched.type_logits.size:
        return np.zeros(len(matched.types), dtype=bool)
    right: Flags = matched.type_logits.argmax(axis=1) == matched.types
    return right
