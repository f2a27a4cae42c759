"""Loss terms as sums. What each is divided by stands in the batch's counts; the engine divides and weighs.

:data:`LOSSES` is the one place that names them. Lengths are counted in decimetres (half a hand) and pixels in sides of
the crop, so that terms are of one order. Labels that are not valid may hold anything, NaN included. All is float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from argusvl.manipulation.data.joints import NUM_JOINTS, TIPS, WRIST
from argusvl.manipulation.model.configuration import KINDS_OF_SYMMETRY
from argusvl.manipulation.model.geometry import LENGTH_M, project_predicted
from argusvl.manipulation.model.sigma_reparam import attention_entropy

TIP_WEIGHT = 1.5
"""Of fingertips among refined joints. It is fixed: weights that are learned learn to be small."""

CONFIDENT_M = 0.02
"""The error at which a joint's confidence should be 1/e."""

DIVERSITY_MARGIN_M = 0.01
"""Two hands of a batch should differ by this much, as the mean over joints."""

ENTROPY_FLOOR = 0.3
"""Of the entropy that evenly spread attention has; below, it is penalised."""

_SMALL = 1e-12


LABELS: dict[str, tuple[int | None, ...]] = {
    "joints_m": (NUM_JOINTS, 3),  # metres in the crop's camera frame
    "joint_valid": (NUM_JOINTS,),
    "joints_px": (NUM_JOINTS, 2),  # crop pixels
    "joints_px_valid": (NUM_JOINTS,),
    "object_kind": (),  # index of the object; -1: none
    "object_pose_m": (3, 4),  # object's frame → camera's frame
    "contact": (NUM_JOINTS,),  # 0 or 1
    "contact_valid": (),
    "object_points_m": (None, 3),  # on the object's surface, camera's frame
    "object_normals": (None, 3),  # of length one, outward
    "surface_valid": (),
}
"""What may be known of B hands, with its shape for one of them; what says which are valid is bool."""


@dataclass(frozen=True)
class Predicted:
    """What the model says of B hands, with its graph, and what is known of them.

    Attributes:
        coarse_m: ``[B, 21, 3]`` metres in the camera's frame.
        steps_m: The same after each refinement step.
        confidence_logits: ``[B, 21]``.
        object_rotation: ``[B, 3, 3]``.
        object_position_m: ``[B, 3]``.
        kind_logits: ``[B, kinds]``; none without objects.
        contact_logits: ``[B, 21]``.
        heat_logits: ``[B, 21, h, w]`` over the crop, where there is a heat map.
        attentions: Of each layer, ``[B, heads, queries, places]``.
        tokens: ``[B, queries, width]``.
        image_size: Side of the crop, pixels.
        symmetries: Of each kind of object, see :data:`KINDS_OF_SYMMETRY`.
        cameras: ``[B, 3, 3]`` K of the crops.
        labels: By the names of :data:`LABELS`; may be empty.
    """

    coarse_m: Tensor
    steps_m: list[Tensor]
    confidence_logits: Tensor
    object_rotation: Tensor
    object_position_m: Tensor
    kind_logits: Tensor
    contact_logits: Tensor
    heat_logits: Tensor | None
    attentions: list[Tensor]
    tokens: Tensor
    image_size: int
    symmetries: tuple[str, ...]
    cameras: Tensor
    labels: Mapping[str, Tensor]

    @property
    def last_m(self) -> Tensor:
        """The final joints: ``[B, 21, 3]``."""
        return self.steps_m[-1] if self.steps_m else self.coarse_m

    @cached_property
    def truth_m(self) -> Tensor:
        """``[B, 21, 3]`` with zeros where not valid, so that what is masked reaches no gradient."""
        return torch.where(self.labels["joint_valid"][..., None], self.labels["joints_m"].float(), 0.0)

    @cached_property
    def relative_valid(self) -> Tensor:
        """``[B, 21]`` float: joints that are known beside a wrist that is known."""
        valid = self.labels["joint_valid"]
        return (valid & valid[:, WRIST, None]).float()

    def relative_error(self, joints_m: Tensor) -> Tensor:
        """Of joints beside the wrist, metres: ``[B, 21, 3]``, 0 where not known."""
        ours, true = (j - j[:, WRIST, None] for j in (joints_m, self.truth_m))
        return (ours - true) * self.relative_valid[..., None]

    @cached_property
    def held(self) -> Tensor:
        """``[B]`` bool: hands that hold an object that is known."""
        return self.labels["object_kind"] >= 0

    @cached_property
    def true_pose_m(self) -> Tensor:
        """``[B, 3, 4]`` of the object; zeros where there is none."""
        return torch.where(self.held[:, None, None], self.labels["object_pose_m"].float(), 0.0)


def joints(predicted: Predicted) -> Tensor:
    """L1 distance of coarse joints beside the wrist."""
    return predicted.relative_error(predicted.coarse_m).abs().sum() / LENGTH_M


def refined(predicted: Predicted) -> Tensor:
    """The same after each refinement step (their mean), fingertips weighted by :data:`TIP_WEIGHT`."""
    weights = torch.ones(NUM_JOINTS, 1, device=predicted.coarse_m.device)
    weights[list(TIPS)] = TIP_WEIGHT
    errors = [predicted.relative_error(step).abs() * weights for step in predicted.steps_m]
    return _mean([error.sum() / LENGTH_M for error in errors])


def root(predicted: Predicted) -> Tensor:
    """Logarithm of the wrist's depth over the true one, coarse and refined: a tenth off costs a tenth at any depth."""
    valid = predicted.relative_valid[:, WRIST]
    true = torch.where(valid > 0, predicted.truth_m[:, WRIST, 2], 1.0).clamp(min=_SMALL)
    stages = [predicted.coarse_m, *predicted.steps_m]
    return _mean([((stage[:, WRIST, 2].log() - true.log()).abs() * valid).sum() for stage in stages])


def reprojection(predicted: Predicted) -> Tensor:
    """L1 distance, in the crop, between where joints are marked and where they are seen, coarse and refined."""
    valid = predicted.labels["joints_px_valid"][..., None]
    true = torch.where(valid, predicted.labels["joints_px"].float(), 0.0)
    sums = []
    for stage in [predicted.coarse_m, *predicted.steps_m]:
        off = (project_predicted(stage, predicted.cameras) - true) / predicted.image_size
        sums.append((off * valid).abs().sum())
    return _mean(sums)


def heatmap(predicted: Predicted) -> Tensor:
    """Cross-entropy of the heat map, for joints inside the crop.

    The target is spread over the four nearest places so that its mean is the joint: a mean alone, of a heat map that
    is even at first, would hardly teach where to look.
    """
    labels, logits = predicted.labels, predicted.heat_logits
    assert logits is not None
    marks = torch.where(labels["joints_px_valid"][..., None], labels["joints_px"].float(), -1.0)
    marks = marks / predicted.image_size
    inside = ((marks >= 0) & (marks <= 1)).all(-1)
    height, width = logits.shape[2:]
    rows, columns = (_spread(marks[..., axis], count) for axis, count in ((1, height), (0, width)))
    target = rows[..., :, None] * columns[..., None, :]
    each = -(target * logits.float().flatten(2).log_softmax(-1).unflatten(2, (height, width))).sum((-1, -2))
    return (each * inside).sum()


def _spread(fraction: Tensor, count: int) -> Tensor:
    """``[...]`` in 0–1 → ``[..., count]`` weights of the two nearest of so many places, whose mean it is."""
    place = (fraction * count - 0.5).clamp(0, count - 1)
    return (1 - (torch.arange(count, device=place.device) - place[..., None]).abs()).clamp(min=0)


def confidence(predicted: Predicted) -> Tensor:
    """Cross-entropy of the confidence, which should be ``exp(-error / 2 cm)``: bounded from below, whatever is said."""
    error = predicted.relative_error(predicted.last_m.detach()).norm(dim=-1)
    wanted = (-error / CONFIDENT_M).exp()
    each = F.binary_cross_entropy_with_logits(predicted.confidence_logits, wanted, reduction="none")
    return (each * predicted.relative_valid).sum()


def object_kind(predicted: Predicted) -> Tensor:
    """Cross-entropy of what object it is."""
    kinds = torch.where(predicted.held, predicted.labels["object_kind"], -100)
    return F.cross_entropy(predicted.kind_logits, kinds, ignore_index=-100, reduction="sum")


def object_position(predicted: Predicted) -> Tensor:
    """L1 distance of the object's origin."""
    off = predicted.object_position_m - predicted.true_pose_m[..., 3]
    return (off * predicted.held[:, None]).abs().sum() / LENGTH_M


def object_rotation(predicted: Predicted) -> Tensor:
    """Angle in radians between rotations, the smallest of those that look alike for this object."""
    identity = torch.eye(3, device=predicted.true_pose_m.device)
    true = torch.where(predicted.held[:, None, None], predicted.true_pose_m[..., :3], identity)
    codes = [KINDS_OF_SYMMETRY.index(kind) for kind in predicted.symmetries]
    code = torch.tensor(codes, device=true.device, dtype=torch.long)
    angles = symmetric_angles(predicted.object_rotation, true)
    chosen = angles.gather(1, code[predicted.labels["object_kind"].clamp(min=0)][:, None])[:, 0]
    return (chosen * predicted.held).sum()


def symmetric_angles(predicted: Tensor, true: Tensor) -> Tensor:
    """Angles between rotations ``[B, 3, 3]`` under each of :data:`KINDS_OF_SYMMETRY`: ``[B, 5]`` radians.

    Gradients are finite also where rotations are equal.
    """
    between = predicted.transpose(-1, -2) @ true  # from the predicted object's frame to the true one's
    # Half turns about x, y and z, as diagonals.
    half_turns = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], device=true.device)
    turned = between[:, None] * half_turns[:, None, :]  # [B, 4, 3, 3]
    sines = torch.stack([turned[..., a, b] - turned[..., b, a] for a, b in ((2, 1), (0, 2), (1, 0))], dim=-1)
    cosines = turned.diagonal(dim1=-2, dim2=-1).sum(-1) - 1
    box = _angle(sines, cosines)
    # The true z axis in the predicted frame: how far it is from (0, 0, 1).
    across, along = between[:, :2, 2], between[:, 2, 2]
    axial, flipped = _angle(across, along), _angle(across, along.abs())
    return torch.stack([box[:, 0], box.amin(-1), axial, flipped, torch.zeros_like(axial)], dim=-1)


def contact(predicted: Predicted) -> Tensor:
    """Cross-entropy of each joint's contact, the mean over a hand's joints."""
    valid = predicted.labels["contact_valid"][:, None]
    true = torch.where(valid, predicted.labels["contact"].float(), 0.0)
    each = F.binary_cross_entropy_with_logits(predicted.contact_logits, true, reduction="none")
    return (each * valid).mean(-1).sum()


def penetration(predicted: Predicted) -> Tensor:
    """How deep refined joints are inside of the true object: behind the nearest point of its surface, by its normal.

    The hand is put where the true wrist is, as an object known by its truth is no evidence of the hand's depth.
    """
    valid = predicted.labels["surface_valid"]
    points, normals = (
        torch.where(valid[:, None, None], predicted.labels[name].float(), 0.0)
        for name in ("object_points_m", "object_normals")
    )
    ours = predicted.last_m - predicted.last_m[:, WRIST, None] + predicted.truth_m[:, WRIST, None]
    with torch.no_grad():
        nearest = torch.cdist(ours, points).argmin(-1)[..., None].expand(-1, -1, 3)  # [B, 21, 3]
    height = ((ours - points.gather(1, nearest)) * normals.gather(1, nearest)).sum(-1)
    known = valid * predicted.relative_valid[:, WRIST]
    return ((-height).clamp(min=0) * known[:, None]).sum() / LENGTH_M


def diversity(predicted: Predicted) -> Tensor:
    """By how much of a margin each hand is too like the batch's next one: a hinge from 0 to 1 for each hand.

    Two hands may well be alike: it is a remedy against one answer to all, and off unless asked for.
    """
    relative = predicted.last_m - predicted.last_m[:, WRIST, None]
    if len(relative) < 2:
        return relative.sum() * 0
    apart = ((relative - relative.roll(1, dims=0)).square().sum(-1) + _SMALL).sqrt().mean(-1)
    return (1 - apart / DIVERSITY_MARGIN_M).clamp(min=0).sum()


def attention(predicted: Predicted) -> Tensor:
    """By how much the queries' attention falls short of :data:`ENTROPY_FLOOR`: a hinge, the mean over a hand's."""
    short = [(ENTROPY_FLOOR - attention_entropy(weights)).clamp(min=0) for weights in predicted.attentions]
    return _mean([one.mean((1, 2)).sum() for one in short])


def activation(predicted: Predicted) -> Tensor:
    """Mean square of a hand's tokens."""
    return predicted.tokens.float().square().mean((1, 2)).sum()


@dataclass(frozen=True)
class LossSpec:
    """One loss, whole: what the model computes, and what a task declares of it.

    Attributes:
        function: The predictions → a scalar sum.
        count: Key of the batch's ``counts`` that the sum is divided by.
        weight: In the total, unless a configuration has another; 0: only where one asks for it.
        needs: Of :data:`LABELS`; without one of them the term is not there.
    """

    function: Callable[[Predicted], Tensor]
    count: str
    weight: float
    needs: tuple[str, ...]


_JOINTS = ("joints_m", "joint_valid")
_MARKS = ("joints_px", "joints_px_valid")
_OBJECT = ("object_kind", "object_pose_m")
_SURFACE = ("object_points_m", "object_normals", "surface_valid", *_JOINTS)

LOSSES: dict[str, LossSpec] = {
    "joints": LossSpec(joints, "joints", 1.0, _JOINTS),
    "refined": LossSpec(refined, "joints", 1.2, _JOINTS),
    "root": LossSpec(root, "hands", 0.5, _JOINTS),
    "reprojection": LossSpec(reprojection, "joints_px", 0.4, _MARKS),
    "heatmap": LossSpec(heatmap, "joints_px", 0.5, _MARKS),
    "confidence": LossSpec(confidence, "joints", 0.05, _JOINTS),
    "object_kind": LossSpec(object_kind, "objects", 0.1, ("object_kind",)),
    "object_position": LossSpec(object_position, "objects", 0.2, _OBJECT),
    "object_rotation": LossSpec(object_rotation, "objects", 0.1, _OBJECT),
    "contact": LossSpec(contact, "contacts", 0.1, ("contact", "contact_valid")),
    "penetration": LossSpec(penetration, "surfaces", 0.02, _SURFACE),
    "diversity": LossSpec(diversity, "hands", 0.0, ()),
    "attention": LossSpec(attention, "hands", 0.0, ()),
    "activation": LossSpec(activation, "hands", 0.0, ()),
}
"""Every loss by its name among a model's ``loss_terms``.

Distances are in decimetres (in the crop: in its sides), angles in radians, cross-entropies in nats; hinges have none.
"""


def terms_of(predicted: Predicted) -> dict[str, Tensor]:
    """Every loss whose labels are there."""
    there = set(predicted.labels) - (set() if predicted.symmetries else {"object_kind"})
    possible = {"refined": bool(predicted.steps_m), "heatmap": predicted.heat_logits is not None}
    return {
        name: spec.function(predicted).float()
        for name, spec in LOSSES.items()
        if there.issuperset(spec.needs) and possible.get(name, True)
    }


def _angle(sines: Tensor, cosine: Tensor) -> Tensor:
    """Angle of a vector as long as a sine, and a cosine of the same scale; its gradient is finite at 0."""
    return torch.atan2((sines.square().sum(-1) + _SMALL).sqrt(), cosine)


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
