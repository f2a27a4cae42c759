"""Figures of detection for many draws of the same pictures at once: what the paired bootstrap needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from argusvl.core.matching import match, pairwise_iou
from argusvl.detection.measure.pairing import MIN_IOU, LabelledBox, Pair

_RECALLS = np.linspace(0, 1, 101)
Boxes = Sequence[LabelledBox]


def average_precisions(
    truth: Sequence[Boxes], predicted: Sequence[Boxes], weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """COCO's AP at IoU 0.50 of each class of the truth, in many draws of the pictures.

    ``weights`` ``[D, pictures]`` says how often each picture stands in each of ``D`` draws. By class ``[D]`` figures;
    ``nan`` where a draw holds none of it.
    """
    names = sorted({box.counted_as for boxes in truth for box in boxes})
    return {name: _one_class(name, truth, predicted, weights) for name in names}


def _one_class(
    name: str, truth: Sequence[Boxes], predicted: Sequence[Boxes], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    there = np.zeros(len(truth))
    scores: list[float] = []
    pictures: list[int] = []
    hits: list[bool] = []
    for k, (wanted, found) in enumerate(zip(truth, predicted, strict=True)):
        own = [box.box_xyxy_px for box in wanted if box.counted_as == name]
        best = sorted((b for b in found if b.counted_as == name), key=lambda b: -(b.score or 0.0))
        there[k] = len(own)
        taken = match(pairwise_iou([b.box_xyxy_px for b in best], own), MIN_IOU)
        scores += [box.score or 0.0 for box in best]
        pictures += [k] * len(best)
        hits += (taken >= 0).tolist()
    order = np.argsort(-np.array(scores), kind="stable")
    of_picture, right = np.array(pictures, dtype=np.int64)[order], np.array(hits, dtype=np.float64)[order]
    figures = np.full(len(weights), np.nan)
    for d, drawn in enumerate(weights):
        objects = float(drawn @ there)
        if objects:
            counted = drawn[of_picture]
            good, seen = np.cumsum(counted * right), np.cumsum(counted)
            precision = np.maximum.accumulate((good / np.maximum(seen, 1e-9))[::-1])[::-1]
            # Of a sum of whole numbers over another; COCO compares without a tolerance, too.
            place = np.searchsorted(good / objects, _RECALLS, side="left")
            figures[d] = np.append(precision, 0.0)[place].mean()
    return figures


def shares(
    pairs: Sequence[Sequence[Pair]], weights: NDArray[np.float64]
) -> Mapping[str, NDArray[np.float64]]:
    """Precision, recall, F1 and the share of objects described exactly, of the predictions that are shown.

    Pairs are by picture, as :func:`~argusvl.detection.measure.pairing.pair_up` gives them; weights as for
    :func:`average_precisions`. By name ``[D]`` figures; ``nan`` where a draw has nothing to divide by.
    """
    counts = np.array(
        [
            (
                sum(_hit(p) for p in picture),
                sum(p.kind == "right" for p in picture),
                sum(p.truth is not None for p in picture),
                sum(p.predicted is not None for p in picture),
            )
            for picture in pairs
        ],
        dtype=np.float64,
    ).reshape(-1, 4)
    hits, right, objects, found = (weights @ counts).T
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "F1": 2 * hits / (objects + found),
            "precision": hits / found,
            "recall": hits / objects,
            "described exactly": right / objects,
        }


def _hit(pair: Pair) -> bool:
    """Whether an object has a box of its own, of its class."""
    if pair.truth is None or pair.predicted is None or pair.kind in ("missed", "shifted"):
        return False
    return pair.truth.counted_as == pair.predicted.counted_as
