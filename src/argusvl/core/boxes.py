"""Box operations as pure functions. Names carry the format.

``xyxy``: left, top, right, bottom. ``cxcywh``: centre x, centre y, width, height. ``_px``: pixels;
``_norm``: fractions of the image's width and height. Every function takes and returns ``[..., 4]``.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

VOTING_WIDTH = 0.025
"""Of (1 − IoU)²: at an IoU of 0.9 a box has two thirds of its vote, at 0.7 a thirty-sixth."""


def cxcywh_to_xyxy(boxes: Float[Tensor, "... 4"]) -> Float[Tensor, "... 4"]:
    """Centre and size to corners; any unit."""
    cx, cy, w, h = boxes.unbind(-1)
    return torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], dim=-1)


def area_xyxy(boxes: Float[Tensor, "... 4"]) -> Float[Tensor, "..."]:
    """Area; an inverted box has area 0."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def _overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection and union of boxes that broadcast against each other."""
    top_left = torch.maximum(a[..., :2], b[..., :2])
    bottom_right = torch.minimum(a[..., 2:], b[..., 2:])
    sides = (bottom_right - top_left).clamp(min=0)
    intersection = sides[..., 0] * sides[..., 1]
    return intersection, area_xyxy(a) + area_xyxy(b) - intersection


def iou_xyxy(a: Float[Tensor, "... 4"], b: Float[Tensor, "... 4"]) -> Float[Tensor, "..."]:
    """Intersection over union of boxes that broadcast: ``[N, 1, 4]`` with ``[M, 4]`` gives ``[N, M]``."""
    intersection, union = _overlap(a, b)
    return intersection / union.clamp(min=1e-9)


def giou_xyxy(a: Float[Tensor, "... 4"], b: Float[Tensor, "... 4"]) -> Float[Tensor, "..."]:
    """Generalised IoU in [-1, 1] (Rezatofighi et al., 2019), broadcasting like :func:`iou_xyxy`."""
    intersection, union = _overlap(a, b)
    hull_sides = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0)
    hull = hull_sides[..., 0] * hull_sides[..., 1]
    iou = intersection / union.clamp(min=1e-9)
    return iou - (hull - union) / hull.clamp(min=1e-9)


def vote(
    boxes_xyxy: Float[Tensor, "... n 4"],
    scores: Float[Tensor, "... n"],
    also: tuple[Float[Tensor, "... m 4"], Float[Tensor, "... m"]] | None = None,
) -> Float[Tensor, "... n 4"]:
    """Boxes that several predictions agree on: each becomes the mean of all, by score and by how much they overlap it.

    A prediction weighs score · exp(−(1 − IoU)² / :data:`VOTING_WIDTH`), as in the variance voting of He et al. (2019,
    arXiv 1809.08545), whose learned variances the scores stand for.

    Args:
        boxes_xyxy: What becomes better.
        scores: What each is worth.
        also: Boxes and scores of others that have a vote, as of a second look at the picture.
    """
    voters, worth = boxes_xyxy, scores
    if also is not None:
        voters, worth = torch.cat([voters, also[0]], -2), torch.cat([worth, also[1]], -1)
    iou = iou_xyxy(boxes_xyxy[..., :, None, :], voters[..., None, :, :])
    own = torch.eye(*iou.shape[-2:], dtype=torch.bool, device=iou.device)
    distance = (1 - iou).masked_fill(own, 0)  # of a box without area, too
    weights = worth.clamp(min=1e-9)[..., None, :] * torch.exp(-(distance**2) / VOTING_WIDTH)
    return weights @ voters / weights.sum(-1, keepdim=True)


def non_maximum_suppression(
    boxes_xyxy: Float[Tensor, "n 4"],
    ranking: Int[Tensor, " r"],
    groups: Int[Tensor, " r"],
    iou: float,
    limit: int | None = None,
) -> Int[Tensor, " kept"]:
    """Greedy suppression: an entry goes when a kept one before it, of its group, overlaps it too much.

    The cost is one comparison of the boxes, however many groups each of them is ranked in.

    Args:
        boxes_xyxy: The boxes, in any order.
        ranking: Indices of boxes, best first; a box may stand there several times, in different groups.
        groups: For each entry of the ranking: entries of different groups never suppress each other.
        iou: Overlap above which the later entry goes.
        limit: Most entries to keep; ``None``: all.

    Returns:
        Places in the ranking of the entries that stay, in order.
    """
    rivals = (iou_xyxy(boxes_xyxy[:, None], boxes_xyxy) > iou).cpu().numpy()  # [n, n]
    taken: dict[int, np.ndarray] = {}
    kept: list[int] = []
    for place, (box, group) in enumerate(zip(ranking.tolist(), groups.tolist(), strict=True)):
        if len(kept) == limit:
            break
        suppressed = taken.setdefault(group, np.zeros(len(rivals), dtype=bool))
        if not suppressed[box]:
            kept.append(place)
            suppressed |= rivals[box]
    return torch.tensor(kept, dtype=torch.long)
