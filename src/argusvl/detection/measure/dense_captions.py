"""Dense-caption mAP as jcjohnson/densecap defines it: one figure for where objects are and what is said of them.

Truth boxes that overlap each other by an IoU of 0.7 are one object with several references; its box is their mean.
Detections come by score, each to the object that it overlaps most. The first to come has it, whether it is right or
not; whoever comes later is wrong. It is right where its box overlaps enough *and* its description scores enough; of
that AP is taken for each pair of thresholds, and the mean over the pairs is the figure.

Two details differ. Overlaps are of continuous boxes, as everywhere here; densecap counts a box one pixel larger. And
a detection that overlaps nothing claims nothing.

Johnson, Karpathy and Fei-Fei, "DenseCap: Fully Convolutional Localization Networks for Dense Captioning", CVPR 2016.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from argusvl.core.errors import DataError
from argusvl.core.matching import pairwise_iou
from argusvl.detection.data.detections import Detections
from argusvl.detection.measure.caption_scores import TextScore

if TYPE_CHECKING:
    from argusvl.detection.measure.evaluation import Truth

MERGE_IOU = 0.7
IOUS = (0.3, 0.4, 0.5, 0.6, 0.7)
TEXT_SCORES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25)


@dataclass(frozen=True, slots=True, eq=False)
class MergedClaims:
    """Which merged object each detection of an image has.

    Attributes:
        groups: For each merged object the truth objects that it is made of, by index.
        group: ``[N]``: a detection's merged object, -1 for one that came too late or overlaps nothing.
        overlaps: ``[N]``: IoU with it, 0 where there is none.
    """

    groups: tuple[NDArray[np.int64], ...]
    group: NDArray[np.int64]
    overlaps: NDArray[np.float64]

    @property
    def described(self) -> list[int]:
        """The detections whose descriptions count: those that overlap their object enough for any threshold."""
        return np.flatnonzero(self.overlaps >= IOUS[0]).tolist()


def claim_merged(truth: Truth, found: Detections) -> MergedClaims:
    """Which detection has which merged object of an image."""
    groups = _merged(truth.boxes_xyxy_px)
    group = np.full(len(found), -1, np.int64)
    overlaps = np.zeros(len(found))
    if groups and len(found):
        boxes = np.stack([truth.boxes_xyxy_px[members].mean(axis=0) for members in groups])
        every = pairwise_iou(found.boxes_xyxy_px, boxes)  # [N, groups]
        order = np.argsort(-found.scores, kind="stable")
        order = order[every[order].max(axis=1) > 0]
        most = every[order].argmax(axis=1)
        wanted, first = np.unique(most, return_index=True)
        group[order[first]] = wanted
        overlaps[order[first]] = every[order[first], wanted]
    return MergedClaims(groups, group, overlaps)


def dense_caption_map(found: Sequence[Detections], truth: Sequence[Truth], text_score: TextScore) -> float:
    """The figure, from 0 to 1, over the detections and objects of each image; ``nan`` where there is no object.

    Raises:
        DataError: A detection that a description is needed of (see :func:`claim_merged`) has none.
    """
    claims = [claim_merged(t, f) for t, f in zip(truth, found, strict=True)]
    objects = sum(len(one.groups) for one in claims)
    if not objects:
        return math.nan
    candidates: list[str] = []
    references: list[list[str]] = []
    for one, detections, annotated in zip(claims, found, truth, strict=True):
        for k in one.described:
            candidates.append(claimed_caption(detections, k))
            references.append([annotated.descriptions[member] for member in one.groups[one.group[k]]])
    overlap = np.concatenate([one.overlaps for one in claims])
    text = np.zeros(len(overlap))
    text[overlap >= IOUS[0]] = text_score(candidates, references)
    order = np.argsort(-np.concatenate([d.scores for d in found]), kind="stable")
    overlap, text = overlap[order], text[order]
    cells = [
        _average_precision((overlap >= iou) & (text > least), objects)
        for iou in IOUS
        for least in TEXT_SCORES
    ]
    return float(np.mean(cells))


def claimed_caption(found: Detections, entry: int) -> str:
    """The description of a detection that an object has.

    Raises:
        DataError: It has none.
    """
    caption = None if found.captions is None else found.captions[entry]
    if caption is None:
        raise DataError("a prediction that a truth object claims has no caption, though others do")
    return caption


def _merged(boxes: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
    """Groups of boxes: again and again the box with most others near it takes all of them that are left."""
    near = pairwise_iou(boxes, boxes) >= MERGE_IOU
    np.fill_diagonal(near, True)
    groups = []
    while near.any():
        members = np.flatnonzero(near[near.sum(axis=1).argmax()])
        near[members] = False
        near[:, members] = False
        groups.append(members)
    return tuple(groups)


def _average_precision(right: NDArray[np.bool_], objects: int) -> float:
    """Best precision at recall 0, 0.01, … 1 or more, in the mean; ``right`` is of detections, best first."""
    if not len(right):
        return 0.0
    hits = right.cumsum()
    precision = hits / np.arange(1, len(right) + 1)
    best_from = np.maximum.accumulate(precision[::-1])[::-1]
    # In whole numbers: 3 of 10 is a recall of 0.3, which as a fraction it might just miss.
    reached = np.searchsorted(100 * hits, np.arange(101) * objects)
    return float(np.append(best_from, 0.0)[reached].mean())
