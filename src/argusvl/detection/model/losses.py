"""Loss terms as sums. What each is divided by stands in the batch's counts; the engine divides.

:data:`LOSSES` is the one place that names them. A loss is a function of one of three views (the written answers,
the assigned pairs of a stage, the descriptions) and returns a scalar sum over the batch, in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from argusvl.core.boxes import cxcywh_to_xyxy, giou_xyxy
from argusvl.detection.data.sampling.conversation import ROLE_IDS
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


SHIPPED = LossSettings(
    objectness="iou_aware",
    focal_alpha=0.75,
    focal_gamma=2.0,
    bbox_weight=25.0,
    giou_weight=10.0,
    positives_per_object=6,
    assignment="several_to_one",
)
"""As ``argus init`` writes them: what a step is measured and counted with where no configuration is at hand."""


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


@dataclass(frozen=True)
class WrittenAnswers:
    """What the language model says of the tokens that are taught, in float32; ``roles`` says whose answer each is in:
    one of :data:`~argusvl.detection.data.sampling.conversation.ROLE_IDS`.
    """

    logits: Float[Tensor, "taught vocabulary"]
    ids: Int[Tensor, " taught"]
    roles: Int[Tensor, " taught"]

    @cached_property
    def cross_entropy(self) -> Float[Tensor, " taught"]:
        """Of each token."""
        return F.cross_entropy(self.logits, self.ids, reduction="none")


@dataclass(frozen=True)
class AssignedPairs:
    """One stage, the decoder's layer or the proposals, under an assignment of ``P`` pairs; ``type_logits`` are theirs
    only.
    """

    prediction: QueryPredictions
    type_logits: Float[Tensor, "pairs labels"]
    assignment: Assignment
    targets: Targets
    settings: LossSettings

    @cached_property
    def boxes_cxcywh_norm(self) -> Float[Tensor, "pairs 4"]:
        """Predicted."""
        return self.prediction.boxes_cxcywh_norm[self.assignment.image, self.assignment.query]

    @cached_property
    def truth_cxcywh_norm(self) -> Float[Tensor, "pairs 4"]:
        """Of the pairs' objects."""
        return self.targets.boxes_cxcywh_norm[self.assignment.target]


@dataclass(frozen=True)
class Descriptions:
    """What the captioner says of objects: logits of the tokens that are known, row after row; ids are padded with
    -100.
    """

    logits: Float[Tensor, "known vocabulary"]
    ids: Int[Tensor, "objects tokens"]


def teacher_lm(answers: WrittenAnswers) -> Tensor:
    """Cross-entropy of the teachers' answers."""
    return answers.cross_entropy[answers.roles == ROLE_IDS["teacher"]].sum()


def student_lm(answers: WrittenAnswers) -> Tensor:
    """Cross-entropy of the student's answer."""
    return answers.cross_entropy[answers.roles == ROLE_IDS["student"]].sum()


def bbox_l1(pairs: AssignedPairs) -> Tensor:
    """L1 distance of boxes, in fractions of the image's sides."""
    return ((pairs.boxes_cxcywh_norm - pairs.truth_cxcywh_norm).abs().sum(-1) * pairs.assignment.share).sum()


def bbox_giou(pairs: AssignedPairs) -> Tensor:
    """1 - generalised IoU (Rezatofighi et al., 2019)."""
    overlap = giou_xyxy(cxcywh_to_xyxy(pairs.boxes_cxcywh_norm), cxcywh_to_xyxy(pairs.truth_cxcywh_norm))
    return ((1 - overlap) * pairs.assignment.share).sum()


def objectness(pairs: AssignedPairs) -> Tensor:
    """Of every query: whether it is an object, or how well its box fits one."""
    logits, settings, assignment = pairs.prediction.objectness_logits, pairs.settings, pairs.assignment
    positive = torch.zeros_like(logits, dtype=torch.bool)
    positive[assignment.image, assignment.query] = True
    if settings.objectness == "focal":
        return focal_sum(logits, positive.to(logits.dtype), settings.focal_alpha, settings.focal_gamma)
    quality = torch.zeros_like(logits)
    quality[assignment.image, assignment.query] = assignment.quality.to(logits.dtype)
    return varifocal_sum(logits, quality, positive, settings.focal_alpha, settings.focal_gamma)


def type_score(pairs: AssignedPairs) -> Tensor:
    """Cross-entropy of labels, where they are known."""
    if pairs.type_logits.shape[-1] == 0:
        return pairs.type_logits.sum()
    labels = pairs.targets.label[pairs.assignment.target]
    per_pair = F.cross_entropy(pairs.type_logits, labels.clamp(min=0), reduction="none")
    return (per_pair * pairs.assignment.share * (labels >= 0)).sum()


def caption(descriptions: Descriptions) -> Tensor:
    """Cross-entropy of descriptions."""
    ids = descriptions.ids
    return F.cross_entropy(descriptions.logits.float(), ids[ids != -100], reduction="sum")


LAST, EARLIER, PROPOSAL = "", "_aux", "_proposal"
STAGES: dict[str, str | None] = {LAST: None, EARLIER: None, PROPOSAL: "detection_proposal_weight"}
"""What follows a loss's name in each stage, and the configuration key of a further weight there."""

View = TypeVar("View", WrittenAnswers, AssignedPairs, Descriptions)


@dataclass(frozen=True)
class LossSpec(Generic[View]):
    """One loss, whole: what the model computes, and what the task declares of it.

    Attributes:
        function: The view → a scalar sum.
        reads: The view. A loss of :class:`AssignedPairs` is computed in each of the :data:`STAGES`.
        count: Key of the batch's ``counts`` that the sum is divided by; or the configuration key that chooses it, and
            the count for each of its values.
        weight: Configuration key, or the weight itself. Keys are of the ``detection`` section.
        summed_as: Name in the logs under which it is added to others, beside its own.
    """

    function: Callable[[View], Tensor]
    reads: type[View]
    count: str | tuple[str, Mapping[str, str]]
    weight: str | float
    summed_as: str | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        """Those that the loss is computed in."""
        return tuple(STAGES) if self.reads is AssignedPairs else (LAST,)

    def count_in(self, section: Any) -> str:
        """What the sum is divided by under a configuration's section."""
        if isinstance(self.count, str):
            return self.count
        key, counts = self.count
        return counts[getattr(section, key)]

    def weight_in(self, section: Any, stage: str) -> float:
        """What the loss weighs in a stage under a configuration's section."""
        weight: float = getattr(section, self.weight) if isinstance(self.weight, str) else self.weight
        further = STAGES[stage]
        return weight if further is None else weight * getattr(section, further)

    def logged_as(self, term: str) -> str | tuple[str, ...]:
        """The names of a term of this loss in the logs."""
        own = f"{term}_loss"
        return own if self.summed_as is None else (own, self.summed_as)


LOSSES: dict[str, LossSpec[Any]] = {
    "teacher_lm": LossSpec(teacher_lm, WrittenAnswers, "teacher_tokens", 1.0, "lm_loss"),
    "student_lm": LossSpec(student_lm, WrittenAnswers, "student_tokens", 1.0, "lm_loss"),
    "bbox_l1": LossSpec(bbox_l1, AssignedPairs, "objects", "detection_bbox_weight"),
    "bbox_giou": LossSpec(bbox_giou, AssignedPairs, "objects", "detection_giou_weight"),
    "objectness": LossSpec(objectness, AssignedPairs, "student_samples", "detection_objectness_weight"),
    "type": LossSpec(type_score, AssignedPairs, "objects_labelled", "detection_type_weight"),
    "caption": LossSpec(
        caption,
        Descriptions,
        ("detection_caption_normalization", {"samples": "student_samples", "tokens": "caption_tokens"}),
        "detection_caption_weight",
    ),
}
"""Every loss by its name among a model's ``loss_terms``."""


def terms_of(view: WrittenAnswers | AssignedPairs | Descriptions, stage: str = LAST) -> dict[str, Tensor]:
    """Every loss that reads such a view, by its name in this stage."""
    return {name + stage: spec.function(view) for name, spec in LOSSES.items() if spec.reads is type(view)}


def decoder_terms(
    layers: list[QueryPredictions], type_logits: list[Tensor], targets: Targets, settings: LossSettings
) -> tuple[dict[str, Tensor], Assignment]:
    """Terms of the last layer, the sum of the others' as ``…_aux``, and the last layer's assignment."""
    terms: dict[str, Tensor] = {}
    assignments = _match_layers(layers, type_logits, targets, settings)
    for i, (layer, logits, assignment) in enumerate(zip(layers, type_logits, assignments, strict=True)):
        of_pairs = logits[assignment.image, assignment.query]
        pairs = AssignedPairs(layer, of_pairs, assignment, targets, settings)
        for name, value in terms_of(pairs, LAST if i == len(layers) - 1 else EARLIER).items():
            terms[name] = terms[name] + value if name in terms else value
    return terms, assignments[-1]


def _match_layers(
    layers: list[QueryPredictions], type_logits: list[Tensor], targets: Targets, settings: LossSettings
) -> list[Assignment]:
    if settings.assignment == "several_to_one":
        return [match_cells(layer, layer.boxes_cxcywh_norm[..., :2], targets, settings) for layer in layers]
    return match_one_to_one(
        torch.stack([layer.boxes_cxcywh_norm for layer in layers]),
        torch.stack([layer.objectness_logits for layer in layers]),
        torch.stack(type_logits),
        targets,
        settings.bbox_weight,
        settings.giou_weight,
        CLASS_COST,
        settings.focal_alpha,
        settings.focal_gamma,
        layers[0].padding,
    )


def match_cells(
    prediction: QueryPredictions, centres: Tensor, targets: Targets, settings: LossSettings
) -> Assignment:
    """Several cells, or queries, for each object, see :func:`match_several_to_one`."""
    return match_several_to_one(
        prediction.boxes_cxcywh_norm,
        prediction.objectness_logits,
        centres,
        targets,
        settings.positives_per_object,
        prediction.padding,
    )
