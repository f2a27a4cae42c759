"""Which prediction answers for which object: one-to-one for the decoder, several-to-one for the proposals.

transformers' ``HungarianMatcher`` is not used: its softmax and dropped last class are wrong for one sigmoid
objectness, it matches across the whole batch at once, and it raises on a NaN box before anyone can say which
loss term became non-finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from argusvl.core.boxes import cxcywh_to_xyxy, giou_xyxy, iou_xyxy


@dataclass(frozen=True)
class Targets:
    """The objects of ``M`` images, flat: boxes ``[T, 4]``, which image shows each ``[T]``, and its index into the
    vocabulary ``[T]``, -1 where unknown.
    """

    boxes_cxcywh_norm: Tensor
    image: Tensor
    label: Tensor

    @cached_property
    def by_image(self) -> list[tuple[int, np.ndarray, Tensor]]:
        """Each image that shows objects, and which they are, on the host and on the device; one copy for all."""
        of_objects = self.image.cpu().numpy()
        of_images = [(int(image), np.flatnonzero(of_objects == image)) for image in np.unique(of_objects)]
        return [(image, mine, torch.from_numpy(mine).to(self.image.device)) for image, mine in of_images]


@dataclass(frozen=True)
class Assignment:
    """Pairs of predictions and objects: image, query and target ``[P]``, indices into the flat targets.

    ``quality`` ``[P]`` in 0–1 is what objectness of the pair should be where it is IoU-aware.
    """

    image: Tensor
    query: Tensor
    target: Tensor
    quality: Tensor

    @cached_property
    def share(self) -> Float[Tensor, " pairs"]:
        """What a pair weighs in a sum over objects: with several predictions for an object, the object weighs one."""
        counts = torch.bincount(self.target)
        return 1.0 / counts[self.target].to(self.quality.dtype)

    def best_of_each(self, scores: Float[Tensor, " pairs"]) -> Assignment:
        """One pair an object: of its predictions the one with the highest of ``scores``."""
        order = scores.argsort(descending=True)
        order = order[self.target[order].argsort(stable=True)]
        first = torch.ones_like(order, dtype=torch.bool)
        first[1:] = self.target[order][1:] != self.target[order][:-1]
        kept = order[first]
        return Assignment(self.image[kept], self.query[kept], self.target[kept], self.quality[kept])


# Cost of a pair whose prediction is not finite: above every real one.
NOT_FINITE = 1e6


@torch.no_grad()
def match_one_to_one(
    boxes_cxcywh_norm: Float[Tensor, "layers m q 4"],
    objectness_logits: Float[Tensor, "layers m q"],
    type_logits: Float[Tensor, "layers m q labels"],
    targets: Targets,
    cost_bbox: float,
    cost_giou: float,
    cost_class: float,
    focal_alpha: float,
    focal_gamma: float,
    padding: Bool[Tensor, "m q"] | None = None,
) -> list[Assignment]:
    """Hungarian matching (Carion et al., 2020) with a focal classification cost (Zhu et al., 2021).

    The costs of all layers and images go to the host in one copy, and the pairs come back in one. An image with more
    objects than queries leaves some unmatched; a query that is ``padding`` answers for nothing.

    Returns:
        For each layer at most one prediction for each object; ``quality`` is the IoU of the pair.
    """
    layers, _, queries, _ = boxes_cxcywh_norm.shape
    boxes_xyxy = cxcywh_to_xyxy(boxes_cxcywh_norm)
    targets_xyxy = cxcywh_to_xyxy(targets.boxes_cxcywh_norm)
    log_types = F.log_softmax(type_logits, dim=-1) if type_logits.shape[-1] else None
    costs = [boxes_cxcywh_norm.new_zeros(0)]
    for image, _, mine in targets.by_image:
        box = targets.boxes_cxcywh_norm[mine]
        log_probability = F.logsigmoid(objectness_logits[:, image])[..., None].expand(-1, -1, len(mine))
        if log_types is not None:
            labels = targets.label[mine]
            log_probability = log_probability + log_types[:, image][..., labels.clamp(min=0)] * (labels >= 0)
        probability = log_probability.exp()
        log_complement = torch.log1p(-probability.clamp(max=1 - 1e-6))
        cost = (
            cost_bbox * torch.cdist(boxes_cxcywh_norm[:, image], box, p=1)
            - cost_giou * giou_xyxy(boxes_xyxy[:, image, :, None], targets_xyxy[mine])
            - cost_class * focal_alpha * (1 - probability) ** focal_gamma * log_probability
            + cost_class * (1 - focal_alpha) * probability**focal_gamma * log_complement
        )  # [layers, Q, objects]
        # A prediction that is not finite is matched last; the loss will show it.
        cost = torch.nan_to_num(cost, nan=NOT_FINITE, posinf=NOT_FINITE, neginf=-NOT_FINITE)
        if padding is not None:
            cost = cost.masked_fill(padding[image][:, None], torch.inf)
        costs.append(cost.flatten())
    per_layer = _cheapest_pairs(torch.cat(costs).cpu().numpy(), layers, queries, targets)
    on_device = torch.from_numpy(np.concatenate(per_layer, axis=1)).to(boxes_xyxy.device)
    assignments = []
    for boxes, pairs in zip(boxes_xyxy, on_device.split([p.shape[1] for p in per_layer], 1), strict=True):
        at, query, target = pairs
        quality = iou_xyxy(boxes[at, query], targets_xyxy[target])
        assignments.append(Assignment(at, query, target, quality))
    return assignments


def _cheapest_pairs(costs: np.ndarray, layers: int, queries: int, targets: Targets) -> list[np.ndarray]:
    """Image, query and target of each layer's pairs, ``[3, P]``.

    ``costs``: ``[layers, Q, objects]`` of one image after the other, flat; infinite where a query is none.
    """
    found: list[list[np.ndarray]] = [[np.zeros((3, 0), dtype=np.int64)] for _ in range(layers)]
    for image, mine, _ in targets.by_image:
        here, costs = np.split(costs, [layers * queries * len(mine)])
        here = here.reshape(layers, queries, len(mine))
        usable = np.flatnonzero(np.isfinite(here[0, :, 0]))
        for pairs, cost in zip(found, here, strict=True):
            row, column = linear_sum_assignment(cost[usable])
            pairs.append(np.stack([np.full_like(row, image), usable[row], mine[column]]))
    return [np.concatenate(pairs, axis=1) for pairs in found]


@torch.no_grad()
def match_several_to_one(
    boxes_cxcywh_norm: Float[Tensor, "m q 4"],
    objectness_logits: Float[Tensor, "m q"],
    centres: Float[Tensor, "m q 2"],
    targets: Targets,
    positives: int,
    padding: Bool[Tensor, "m q"] | None = None,
) -> Assignment:
    """Task-aligned assignment (Feng et al., 2021): each object takes the cells that see it best.

    Candidates of an object are the cells whose centre lies in its box, and the cell nearest to the box's centre
    (an object smaller than a cell has that one only). Of these, the ``positives`` of highest
    ``objectness^0.5 · IoU^3`` are taken; a cell that two objects want goes to the one it overlaps more. An object
    that loses all its cells so (small ones side by side) takes the nearest free cell: none goes without.

    What was taken goes to the host in one copy for all images, and the pairs come back in one; the distances of objects
    that lost their cells follow where there are such.

    Centres (x, y) are in 0–1; a cell that is ``padding`` belongs to no image, and answers for nothing.

    Returns:
        ``quality`` is the alignment, scaled so that an object's best cell has its best IoU.
    """
    boxes_xyxy = cxcywh_to_xyxy(boxes_cxcywh_norm)
    # A row for each object, and a column for each cell of its image: all images at once, a GPU waits for each call.
    image, truth = targets.image, cxcywh_to_xyxy(targets.boxes_cxcywh_norm)[:, None]
    x, y = centres[image].unbind(-1)
    inside = (x > truth[..., 0]) & (x < truth[..., 2]) & (y > truth[..., 1]) & (y < truth[..., 3])
    middle_x, middle_y, *_ = targets.boxes_cxcywh_norm[:, None].unbind(-1)
    distance = torch.nan_to_num((x - middle_x) ** 2 + (y - middle_y) ** 2, nan=NOT_FINITE)  # squared
    if padding is not None:
        inside = inside & ~padding[image]
        distance = distance.masked_fill(padding[image], torch.inf)
    inside = inside.scatter(1, distance.argmin(-1, keepdim=True), True)
    iou = torch.nan_to_num(iou_xyxy(truth, boxes_xyxy[image]))
    # A small constant keeps the order among cells whose boxes do not overlap yet.
    alignment = objectness_logits.sigmoid().clamp(min=1e-6)[image] ** 0.5 * (iou + 1e-3) ** 3
    alignment = torch.nan_to_num(alignment) * inside
    best = alignment.topk(min(positives, alignment.shape[1]), dim=1)
    taken = torch.zeros_like(inside).scatter(1, best.indices, best.values > 0)
    pairs = torch.from_numpy(_taken_pairs(_won(taken, iou, image, len(centres)), distance, targets))
    at, query, target = pairs.to(boxes_xyxy.device)
    alignment, iou = alignment[target, query], iou[target, query]
    nothing = iou.new_zeros(len(image))
    most = nothing.scatter_reduce(0, target, alignment, "amax").clamp(min=1e-9)
    nearest = nothing.scatter_reduce(0, target, iou, "amax")
    return Assignment(at, query, target, alignment / most[target] * nearest[target])


def _won(taken: Tensor, iou: Tensor, image: Tensor, images: int) -> Tensor:
    """Of the cells that objects take, ``[T, Q]``, those that none of the same image overlaps more.

    One winner for a cell, also between boxes that it overlaps equally: the first.
    """
    overlap, rows = torch.where(taken, iou, -1.0), torch.arange(len(taken), device=taken.device)[:, None]
    of_cell = image[:, None].expand_as(taken)
    most = overlap.new_full((images, taken.shape[1]), -1.0).scatter_reduce(0, of_cell, overlap, "amax")
    first = rows.new_full(most.shape, len(taken))
    first.scatter_reduce_(0, of_cell, torch.where(overlap == most[image], rows, len(taken)), "amin")
    return taken & (first[image] == rows)


def _taken_pairs(takes: Tensor, distances: Tensor, targets: Targets) -> np.ndarray:
    """Image, query and target of each pair, ``[3, P]``; objects without a cell get the nearest one that is free.

    ``takes`` ``[T, Q]`` are the cells of each object; ``distances`` the same, to each cell's centre; infinite where a
    cell is none.
    """
    taken = takes.cpu().numpy()
    without = np.flatnonzero(~taken.any(1))
    far = dict(zip(without.tolist(), distances[without].cpu().numpy(), strict=True)) if len(without) else {}
    parts = [np.zeros((3, 0), dtype=np.int64)]
    for image, mine, _ in targets.by_image:
        here = taken[mine]
        for number, row in enumerate(mine.tolist()):
            if row in far:
                free = np.where(here.any(0), np.inf, far[row])
                if np.isfinite(free.min()):
                    here[number, free.argmin()] = True
        row, query = here.nonzero()
        parts.append(np.stack([np.full_like(row, image), query, mine[row]]))
    return np.concatenate(parts, axis=1)
