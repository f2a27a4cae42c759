"""Which prediction answers which truth: overlaps of boxes, and one-to-one matching by them. Without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pairwise_iou(first_xyxy: ArrayLike, second_xyxy: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of each of ``[A, 4]`` boxes with each of ``[B, 4]``: ``[A, B]``; any unit."""
    a = np.asarray(first_xyxy, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(second_xyxy, dtype=np.float64).reshape(1, -1, 4)
    sides = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(min=0)
    common = sides.prod(axis=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(axis=-1) for boxes in (a, b)]
    overlaps: NDArray[np.float64] = common / (areas[0] + areas[1] - common).clip(min=1e-9)
    return overlaps


def match(
    overlaps: NDArray[np.float64], least: float, scores: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """Greedy matching: each row in turn takes the best column that overlaps enough and that no row before has taken.

    With rows of truths and columns of scored predictions it is how recall and descriptions are counted; with rows of
    predictions, best first, and columns of truths it is COCO's.

    Args:
        overlaps: ``[A, B]``; 0 for pairs that must not be matched.
        least: The overlap that is enough; above 0.
        scores: ``[B]``: the column with the highest score is the best, of several equals the one that overlaps most.
            Without scores overlap alone decides. Of full equals the first is taken.

    Returns:
        ``[A]``: a column for each row, -1 where none is left.
    """
    taken = np.full(len(overlaps), -1, dtype=np.int64)
    enough = overlaps >= least
    for row in range(len(overlaps)):
        columns = np.flatnonzero(enough[row])
        if not len(columns):
            continue
        if scores is not None:
            columns = columns[scores[columns] == scores[columns].max()]
        taken[row] = columns[overlaps[row, columns].argmax()]
        enough[:, taken[row]] = False
    return taken
