"""Loss terms as sums. What each is divided by stands in the batch's counts; the engine divides.

Every function takes float32 and returns a scalar sum over the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from argusvl.core.boxes import cxcywh_to_xyxy, giou_xyxy
from argusvl.detection.model.matching import Assignment, Targets, match_one_to_one, match_several_to_one
from argusvl.detection.model.queries import QueryPredictions

# Weight of the classification cost in matching, as in Deformable DETR.
CLASS_COST = 2.0


@dataclass(frozen=True)
class LossSettings:
    """How objectness is taught and what matching weighs; from the ``detection`` section of a config.

    Attributes:
        objectness: ``focal`` (a matched query is 1) or ``iou_aware`` (a matched query is its IoU).
        focal_alpha, focal_gamma: Of the focal and the IoU-aware loss.
        bbox_weight, giou_weight: Matching costs, equal to the weights of the losses.
        positives_per_object: Cells that answer for an object at the proposal stage, and queries with
            ``several_to_one``.
        assignment: Of the decoder's queries: ``one_to_one`` (Hungarian: the head learns to answer once), or
            ``several_to_one`` (answers are made unique afterwards by non-maximum suppression).
    """

    objectness: str
    focal_alpha: float
    focal_gamma: float
    bbox_weight: float
    giou_weight: float
    positives_per_object: int
    assignment: str


def focal_sum(logits: Tensor, targets: Tensor, alpha: float, gamma: float) -> Tensor:
    """Focal loss of binary targets (Lin et al., 2017), summed."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    miss = torch.where(targets > 0, 1 - probability, probability)
    weight = torch.where(targets > 0, alpha, 1 - alpha)
    return (weight * miss**gamma * cross_entropy).sum()


def varifocal_sum(logits: Tensor, quality: Tensor, positive: Tensor, alpha: float, gamma: float) -> Tensor:
    """IoU-aware objectness (varifocal loss, Zhang et al., 2021), summed.

    A positive is taught its quality, weighted by it; a negative is taught 0, weighted by ``alpha · p^gamma``.
    """
    cross_entropy = -(quality * F.logsigmoid(logits) + (1 - quality) * F.logsigmoid(-logits))
    weight = torch.where(positive, quality.clamp(min=0.1), alpha * logits.detach().sigmoid() ** gamma)
    return (weight * cross_entropy).sum()


def caption_sum(
    logits: Float[Tensor, "known vocabulary"], ids: Int[Tensor, "pairs tokens"]
) -> Float[Tensor, ""]:
    """Cross-entropy of descriptions, summed.

    Args:
        logits: Of the tokens that are known, row after row.
        ids: Padded with -100.
    """
    return F.cross_entropy(logits.float(), ids[ids != -100], reduction="sum")


def assigned_terms(
    prediction: QueryPredictions,
    type_logits: Tensor,
    assignment: Assignment,
    targets: Targets,
    settings: LossSettings,
) -> dict[str, Tensor]:
    """Box, objectness and type losses of one stage under an assignment.

    Args:
        prediction: ``[M, Q, …]``.
        type_logits: ``[P, V]``, of the assigned pairs only.
        assignment: ``P`` pairs.
        targets: ``T`` objects.
        settings: Of the objectness loss.

    Returns:
        Sums ``bbox_l1``, ``bbox_giou`` (÷ objects), ``objectness`` (÷ images or samples), ``type`` (÷ objects).
    """
    boxes = prediction.boxes_cxcywh_norm[assignment.image, assignment.query]
    truth = targets.boxes_cxcywh_norm[assignment.target]
    share = assignment.share
    logits = prediction.objectness_logits
    positive = torch.zeros_like(logits, dtype=torch.bool)
    positive[assignment.image, assignment.query] = True
    if settings.objectness == "iou_aware":
        quality = torch.zeros_like(logits)
        quality[assignment.image, assignment.query] = assignment.quality.to(logits.dtype)
        objectness = varifocal_sum(logits, quality, positive, settings.focal_alpha, settings.focal_gamma)
    else:
        objectness = focal_sum(logits, positive.to(logits.dtype), settings.focal_alpha, settings.focal_gamma)
    terms = {
        "bbox_l1": ((boxes - truth).abs().sum(-1) * share).sum(),
        "bbox_giou": ((1 - giou_xyxy(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truth))) * share).sum(),
        "objectness": objectness,
    }
    labels = targets.label[assignment.target]
    if type_logits.shape[-1] == 0:
        terms["type"] = type_logits.sum()
    else:
        per_pair = F.cross_entropy(type_logits, labels.clamp(min=0), reduction="none")
        terms["type"] = (per_pair * share * (labels >= 0)).sum()
    return terms


def decoder_terms(
    layers: list[QueryPredictions], type_logits: list[Tensor], targets: Targets, settings: LossSettings
) -> tuple[dict[str, Tensor], Assignment]:
    """Terms of the last layer, the sum of the others' as ``…_aux``, and the last layer's assignment."""
    terms: dict[str, Tensor] = {}
    for i, (layer, logits) in enumerate(zip(layers, type_logits, strict=True)):
        assignment = _match_layer(layer, logits, targets, settings)
        pairs = logits[assignment.image, assignment.query]
        suffix = "" if i == len(layers) - 1 else "_aux"
        for name, value in assigned_terms(layer, pairs, assignment, targets, settings).items():
            terms[name + suffix] = terms[name + suffix] + value if name + suffix in terms else value
    return terms, assignment


def _match_layer(
    layer: QueryPredictions, type_logits: Tensor, targets: Targets, settings: LossSettings
) -> Assignment:
    if settings.assignment == "several_to_one":
        boxes = layer.boxes_cxcywh_norm
        return match_several_to_one(
            boxes,
            layer.objectness_logits,
            boxes[..., :2],
            targets,
            settings.positives_per_object,
            layer.padding,
        )
    return match_one_to_one(
        layer.boxes_cxcywh_norm,
        layer.objectness_logits,
        type_logits,
        targets,
        settings.bbox_weight,
        settings.giou_weight,
        CLASS_COST,
        settings.focal_alpha,
        settings.focal_gamma,
        layer.padding,
    )


def match_proposals(
    proposals: QueryPredictions, centres: Tensor, targets: Targets, settings: LossSettings
) -> Assignment:
    """Several cells for each object, see :func:`match_several_to_one`."""
    return match_several_to_one(
        proposals.boxes_cxcywh_norm,
        proposals.objectness_logits,
        centres,
        targets,
        settings.positives_per_object,
        proposals.padding,
    )
