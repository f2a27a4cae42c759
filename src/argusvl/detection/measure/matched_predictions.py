"""Predictions of which it is known whether they are right: what calibration is fitted and measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argusvl.core.matching import match, pairwise_iou
from argusvl.detection.data.detections import Detections
from argusvl.detection.data.labels import Vocabulary
from argusvl.detection.measure.evaluation import Truth, claim, class_of
from argusvl.detection.measure.pairing import MIN_IOU
from argusvl.detection.measure.reliability import Array, Flags

Numbers = NDArray[np.int64]

_ENTRIES, _TYPED = ("scores", "correct", "images"), ("type_logits", "types", "type_images")
"""Arrays with a row for each prediction; for each whose box is an object's."""


@dataclass(frozen=True, slots=True, eq=False)
class MatchedPredictions:
    """Predictions of which it is known whether they are right; scores as the model gives them.

    Attributes:
        scores: ``[N]``, best first within an image.
        correct: ``[N]``.
        images: ``[N]``, the number of each prediction's image.
        type_logits: ``[K, V]`` of predictions whose box is an object's, whatever their label.
        types: ``[K]``, the object's label.
        type_images: ``[K]``.
        num_images: Images in all, those without predictions included.
        num_objects: Truth objects in all.
    """

    scores: Array
    correct: Flags
    images: Numbers
    type_logits: Array
    types: Numbers
    type_images: Numbers
    num_images: int
    num_objects: int

    @classmethod
    def of_image(
        cls,
        predictions: Detections,
        truth: Truth,
        type_logits: NDArray[Any],
        labels: Sequence[str],
        vocabulary: Vocabulary,
    ) -> MatchedPredictions:
        """What one image teaches: predictions of one entry a query, and ``type_logits`` ``[N, V]`` of the same."""
        numbers = {class_of(label, "closed"): k for k, label in enumerate(labels)}
        claimed = claim(truth, predictions)
        pairs = [
            (entry, numbers[name])
            for entry, text in zip(claimed.tolist(), truth.descriptions, strict=True)
            if entry >= 0 and (name := class_of(text, vocabulary)) in numbers
        ]
        return cls(
            scores=predictions.scores.astype(np.float64),
            correct=correct_predictions(truth, predictions, vocabulary),
            images=np.zeros(len(predictions), np.int64),
            type_logits=np.asarray(type_logits, np.float64)[[entry for entry, _ in pairs]].reshape(
                -1, len(labels)
            ),
            types=np.array([label for _, label in pairs], np.int64),
            type_images=np.zeros(len(pairs), np.int64),
            num_images=1,
            num_objects=len(truth),
        )

    @classmethod
    def joined(cls, parts: Sequence[MatchedPredictions]) -> MatchedPredictions:
        """Predictions of several images or sets of them, numbered on."""
        if not parts:
            none = np.zeros(0)
            whole = none.astype(np.int64)
            return cls(none, none.astype(bool), whole, none.reshape(0, 0), whole, whole, 0, 0)
        starts = np.cumsum([0, *(p.num_images for p in parts[:-1])])
        numbered = [
            replace(p, images=p.images + start, type_images=p.type_images + start)
            for p, start in zip(parts, starts, strict=True)
        ]
        return cls(
            **{name: np.concatenate([getattr(p, name) for p in numbered]) for name in (*_ENTRIES, *_TYPED)},
            num_images=sum(p.num_images for p in parts),
            num_objects=sum(p.num_objects for p in parts),
        )

    def of_images(self, chosen: Flags) -> MatchedPredictions:
        """Only what is of the images flagged in ``[num_images]``; numbers of images stay."""
        entries, typed = chosen[self.images], chosen[self.type_images]
        kept = {name: getattr(self, name)[entries] for name in _ENTRIES}
        return replace(self, **kept, **{name: getattr(self, name)[typed] for name in _TYPED})


def correct_predictions(truth: Truth, predictions: Detections, vocabulary: Vocabulary) -> Flags:
    """Which predictions are right, ``[N]``, as COCO's AP counts.

    Best first, each takes the object of its own class that it overlaps most, if enough and not taken before.
    """
    classes = np.array([class_of(text, vocabulary) for text in truth.descriptions], dtype=np.str_)
    named = np.array([class_of(label, "closed") for label in predictions.labels], dtype=np.str_)
    overlaps = pairwise_iou(predictions.boxes_xyxy_px, truth.boxes_xyxy_px)  # [N, T]
    best_first = np.argsort(-predictions.scores, kind="stable")
    correct = np.zeros(len(predictions), dtype=bool)
    correct[best_first] = match(np.where(named[:, None] == classes, overlaps, 0.0)[best_first], MIN_IOU) >= 0
    return correct
