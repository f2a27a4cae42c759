"""Loss terms against sums written down again with NumPy and SciPy, one hand after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.nn import functional as F

from argusvl.manipulation.model.configuration import KINDS_OF_SYMMETRY
from argusvl.manipulation.model.losses import LOSSES, Predicted, symmetric_angles, terms_of

B, SIDE = 6, 128
K = torch.tensor([[200.0, 0, 64], [0, 210.0, 60], [0, 0, 1]]).expand(B, 3, 3)
TIPS = [4, 8, 12, 16, 20]


def hands(seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(B, 21, 3, generator=g) * 0.05 + torch.tensor([0.0, 0, 0.4])


Labels = dict[str, torch.Tensor]


def predicted(labels: Labels | None = None, **changes: Any) -> Predicted:
    g = torch.Generator().manual_seed(9)
    values: dict[str, Any] = {
        "coarse_m": hands(1),
        "steps_m": [hands(2), hands(3)],
        "confidence_logits": torch.randn(B, 21, generator=g),
        "object_rotation": torch.eye(3).expand(B, 3, 3),
        "object_position_m": torch.zeros(B, 3),
        "kind_logits": torch.randn(B, 3, generator=g),
        "contact_logits": torch.randn(B, 21, generator=g),
        "heat_logits": torch.randn(B, 21, 8, 16, generator=g),
        "attentions": [torch.randn(B, 4, 22, 80, generator=g).softmax(-1)],
        "tokens": torch.randn(B, 22, 16, generator=g),
        "image_size": SIDE,
        "symmetries": ("none", "box", "sphere"),
        "cameras": K,
        "labels": labels or {},
    }
    return Predicted(**(values | changes))


def valid_of(seed: int = 5) -> torch.Tensor:
    valid = torch.rand(B, 21, generator=torch.Generator().manual_seed(seed)) < 0.7
    valid[:4, 0], valid[4, 0], valid[5] = True, False, False
    return valid


def joint_labels(**more: Any) -> Labels:
    valid = valid_of()
    return Labels(joints_m=hands(0).masked_fill(~valid[..., None], math.nan), joint_valid=valid, **more)


def test_joints_are_compared_beside_the_wrist_and_tips_weigh_more() -> None:
    view = predicted(joint_labels())
    valid, true = valid_of().numpy(), hands(0).numpy()

    def total(joints: torch.Tensor, tip: float) -> float:
        result = 0.0
        for hand in range(4):  # the wrists of the last two are not known
            for joint in np.flatnonzero(valid[hand]):
                ours = joints[hand, joint].numpy() - joints[hand, 0].numpy()
                weight = tip if joint in TIPS else 1
                result += weight * np.abs(ours - (true[hand, joint] - true[hand, 0])).sum() / 0.1
        return result

    terms = terms_of(view)
    assert terms["joints"].item() == pytest.approx(total(view.coarse_m, 1), rel=1e-4)
    steps = [total(step, 1.5) for step in view.steps_m]
    assert terms["refined"].item() == pytest.approx(sum(steps) / 2, rel=1e-4)
    # A hand that is moved as a whole costs nothing here, and its depth is what root is for.
    moved = predicted(joint_labels(), coarse_m=hands(0) + 0.3, steps_m=[hands(0) * 1.1])
    assert terms_of(moved)["joints"].item() == pytest.approx(0, abs=1e-3)
    coarse = [math.log((z + 0.3) / z) for z in true[:4, 0, 2]]
    assert terms_of(moved)["root"].item() == pytest.approx((sum(coarse) + 4 * math.log(1.1)) / 2, rel=1e-4)


def test_reprojection_uses_the_crops_camera_and_its_side() -> None:
    valid, marks = valid_of(6), torch.rand(B, 21, 2) * SIDE
    labels = Labels(joints_px=marks.masked_fill(~valid[..., None], math.nan), joints_px_valid=valid)
    view = predicted(labels)
    expected = 0.0
    for stage in [view.coarse_m, *view.steps_m]:
        for hand, joint in np.argwhere(valid.numpy()):
            x, y, z = stage[hand, joint].tolist()
            u, v = 200 * x / z + 64, 210 * y / z + 60
            expected += abs(u - marks[hand, joint, 0].item()) + abs(v - marks[hand, joint, 1].item())
    assert terms_of(view)["reprojection"].item() == pytest.approx(expected / 3 / SIDE, rel=1e-4)
    exact = Labels(joints_px=_seen(view.coarse_m), joints_px_valid=valid)
    assert terms_of(predicted(exact, steps_m=[view.coarse_m]))["reprojection"].item() < 1e-3
    # K of another resolution is a large loss, not a scale that goes unnoticed.
    halved = K * torch.tensor([[0.5], [0.5], [1.0]])
    marked = Labels(joints_px=_seen(hands(1)), joints_px_valid=valid)
    assert terms_of(predicted(marked, cameras=halved, steps_m=[]))["reprojection"].item() > 1


def _seen(joints: torch.Tensor) -> torch.Tensor:
    x, y, z = joints.unbind(-1)
    return torch.stack([200 * x / z + 64, 210 * y / z + 60], dim=-1)


def test_the_heat_map_is_taught_the_four_places_around_a_joint_inside_the_crop() -> None:
    valid = valid_of(6)
    marks = torch.rand(B, 21, 2, generator=torch.Generator().manual_seed(2)) * SIDE * 1.2
    labels = Labels(joints_px=marks.masked_fill(~valid[..., None], math.nan), joints_px_valid=valid)
    view = predicted(labels)
    expected = 0.0
    for hand, joint in np.argwhere(valid.numpy()):
        x, y = (marks[hand, joint] / SIDE).tolist()
        if max(x, y) > 1:
            continue
        column, row = (min(max(f * n - 0.5, 0), n - 1) for f, n in ((x, 16), (y, 8)))
        logs = view.heat_logits[hand, joint].flatten().log_softmax(0).unflatten(0, (8, 16))
        for r in (math.floor(row), math.ceil(row)):
            for c in (math.floor(column), math.ceil(column)):
                share = (1 - abs(r - row) if row % 1 else 0.5) * (1 - abs(c - column) if column % 1 else 0.5)
                expected -= share * logs[r, c].item()
    assert terms_of(view)["heatmap"].item() == pytest.approx(expected, rel=1e-4)


def test_a_projection_outside_of_the_crop_is_not_clamped_to_it() -> None:
    far = hands(1)
    far[..., 0] += 1.0
    inside = Labels(joints_px=_seen(hands(1)), joints_px_valid=torch.ones(B, 21, dtype=torch.bool))
    one = terms_of(predicted(inside, coarse_m=far.requires_grad_(), steps_m=[]))["reprojection"]
    assert one.item() / (B * 21) > 2  # about four sides of the crop off
    one.backward()
    assert far.grad is not None and (far.grad[..., 0] > 0).all()


def test_what_is_behind_the_camera_gives_finite_gradients() -> None:
    labels = Labels(joints_px=_seen(hands(1)), joints_px_valid=torch.ones(B, 21, dtype=torch.bool))
    behind = (hands(1) * torch.tensor([1, 1, -1.0])).requires_grad_()
    terms_of(predicted(labels, coarse_m=behind, steps_m=[]))["reprojection"].backward()
    assert behind.grad is not None and torch.isfinite(behind.grad).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rotations_that_look_alike_are_no_error(axis: int) -> None:
    g = np.random.default_rng(axis)
    true = Rotation.random(40, random_state=axis)
    off = Rotation.random(40, random_state=axis + 50)
    half = Rotation.from_rotvec(np.pi * np.eye(3)[axis])
    turn = Rotation.from_euler("z", g.uniform(-np.pi, np.pi, (40, 1)))

    def angles(ours: Rotation) -> dict[str, np.ndarray]:
        pair = [torch.tensor(r.as_matrix(), dtype=torch.float32) for r in (ours, true)]
        return dict(zip(KINDS_OF_SYMMETRY, symmetric_angles(*pair).T.numpy(), strict=True))

    assert angles(true)["none"].max() < 1e-3
    assert angles(true * half)["box"].max() < 2e-3 and angles(true * half)["none"].min() > 3.1
    assert angles(true * turn)["axial"].max() < 2e-3
    assert angles(true * turn * half)["axial_flip"].max() < 2e-3
    if axis < 2:  # a cone upside down is another one
        assert angles(true * turn * half)["axial"].min() > 3.1
    found = angles(true * off)
    assert np.allclose(found["none"], off.magnitude(), atol=2e-3)
    halves = [Rotation.identity(), *(Rotation.from_rotvec(np.pi * e) for e in np.eye(3))]
    assert np.allclose(found["box"], np.min([(off * h).magnitude() for h in halves], axis=0), atol=2e-3)
    tilt = np.arccos(np.clip(off.as_matrix()[:, 2, 2], -1, 1))
    assert np.allclose(found["axial"], tilt, atol=2e-3)
    assert np.allclose(found["axial_flip"], np.minimum(tilt, np.pi - tilt), atol=2e-3)
    assert (found["sphere"] == 0).all()


def test_gradients_of_equal_rotations_are_finite() -> None:
    true = torch.tensor(Rotation.random(3, random_state=0).as_matrix(), dtype=torch.float32)
    ours = true.clone().requires_grad_()
    symmetric_angles(ours, true).sum().backward()
    assert ours.grad is not None and torch.isfinite(ours.grad).all()


def test_objects_are_judged_by_kind_where_there_is_one() -> None:
    rotations = Rotation.random(B, random_state=1)
    pose = torch.zeros(B, 3, 4)
    pose[:, :, :3], pose[:, :, 3] = torch.tensor(rotations.as_matrix()).float(), 0.03
    kinds = torch.tensor([0, 1, 2, 0, -1, -1])
    pose[4:] = math.nan
    view = predicted(Labels(object_kind=kinds, object_pose_m=pose))
    terms = terms_of(view)
    halves = [Rotation.identity(), *(Rotation.from_rotvec(np.pi * e) for e in np.eye(3))]
    box = min((rotations[1] * h).magnitude() for h in halves)
    expected = rotations[0].magnitude() + box + 0 + rotations[3].magnitude()
    assert terms["object_rotation"].item() == pytest.approx(expected, rel=1e-3)
    assert terms["object_position"].item() == pytest.approx(4 * 3 * 0.3, rel=1e-4)
    nats = F.cross_entropy(view.kind_logits[:4], kinds[:4], reduction="sum")
    assert terms["object_kind"].item() == pytest.approx(nats.item(), rel=1e-4)


def test_contact_is_cross_entropy_where_it_is_known() -> None:
    true = (torch.rand(B, 21) < 0.5).float()
    valid = torch.tensor([True, True, False, True, False, False])
    view = predicted(Labels(contact=true.masked_fill(~valid[:, None], math.nan), contact_valid=valid))
    p = view.contact_logits.sigmoid()
    each = -(true * p.log() + (1 - true) * (1 - p).log()).mean(1)
    assert terms_of(view)["contact"].item() == pytest.approx(each[valid].sum().item(), rel=1e-4)


def cube(size: float, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points and outward normals of a long box: sides of size, size and 4 · size about the origin."""
    line = (torch.arange(count) + 0.5) / count - 0.5
    a, b = (t.flatten() for t in torch.meshgrid(line, line, indexing="ij"))
    points, normals = [], []
    for axis in range(3):
        for side in (-0.5, 0.5):
            face = torch.zeros(len(a), 3)
            face[:, axis], face[:, (axis + 1) % 3], face[:, (axis + 2) % 3] = side, a, b
            normal = torch.zeros(len(a), 3)
            normal[:, axis] = 1.0 if side > 0 else -1.0
            points.append(face), normals.append(normal)
    return torch.cat(points) * torch.tensor([size, size, 4 * size]), torch.cat(normals)


def test_penetration_is_the_depth_behind_the_surface_and_no_distance_to_a_centre() -> None:
    points, normals = cube(0.04, 20)
    points = points + torch.tensor([0.0, 0, 0.5])
    valid = torch.tensor([True, True, True, False, True, False])
    joints = torch.zeros(B, 21, 3) + torch.tensor([0.5, 0, 0.5])  # far outside
    joints[:, 1] = torch.tensor([0.015, 0, 0.5])  # 5 mm behind a face
    joints[:, 2] = torch.tensor([0.021, 0, 0.5])  # 1 mm before it: nearer to the centre than the next
    joints[:, 3] = torch.tensor([0.0, 0.012, 0.57])  # 8 mm behind a face, 7 cm from the centre
    known = torch.ones(B, 21, dtype=torch.bool)
    known[4, 0] = False
    truth = joints.clone()
    labels = Labels(
        joints_m=truth,
        joint_valid=known,
        object_points_m=points.expand(B, -1, 3),
        object_normals=normals.expand(B, -1, 3),
        surface_valid=valid,
    )
    # The predicted hand stands elsewhere in depth: it is put where the true wrist is.
    ours = (joints + torch.tensor([0.0, 0, 0.1])).requires_grad_()
    term = terms_of(predicted(labels, coarse_m=ours, steps_m=[]))["penetration"]
    assert term.item() == pytest.approx(3 * (0.05 + 0.08), rel=1e-3)
    term.backward()
    # Downhill is outwards, along the face's normal.
    assert ours.grad is not None and ours.grad[0, 1].tolist() == pytest.approx([-10, 0, 0], abs=1e-3)


def test_confidence_is_bounded_and_best_where_it_says_the_error() -> None:
    labels = joint_labels()
    error = predicted(labels).relative_error(hands(3)).norm(dim=-1)
    exact = torch.logit((-error / 0.02).exp().clamp(1e-6, 1 - 1e-6))
    best = terms_of(predicted(labels, confidence_logits=exact))["confidence"]
    for change in (-2.0, 2.0):
        other = terms_of(predicted(labels, confidence_logits=exact + change))["confidence"]
        assert other > best > 0
    # However sure it claims to be, nothing is won without bound.
    for logit in (-1e4, 1e4):
        term = terms_of(predicted(labels, confidence_logits=torch.full((B, 21), logit)))["confidence"]
        assert 0 <= term.item() < math.inf


def test_diversity_is_a_bounded_hinge() -> None:
    same = hands(0)[:1].expand(B, 21, 3).contiguous()
    assert terms_of(predicted(steps_m=[same]))["diversity"].item() == pytest.approx(B, rel=1e-2)
    assert terms_of(predicted(steps_m=[hands(0)]))["diversity"].item() == 0
    near = (same + 1e-3 * torch.randn(B, 21, 3)).requires_grad_()
    term = terms_of(predicted(steps_m=[near]))["diversity"]
    term.backward()
    assert 0 < term.item() < B and near.grad is not None and near.grad.abs().sum() > 0
    # Hands that stand elsewhere but are alike are alike.
    moved = same + torch.randn(B, 1, 3)
    assert terms_of(predicted(steps_m=[moved]))["diversity"].item() == pytest.approx(B, rel=1e-2)


def test_narrow_attention_costs_and_even_attention_does_not() -> None:
    even = torch.full((B, 4, 22, 80), 1 / 80)
    assert terms_of(predicted(attentions=[even]))["attention"].item() == 0
    narrow = F.one_hot(torch.zeros(B, 4, 22, dtype=torch.long), 80).float()
    assert terms_of(predicted(attentions=[even, narrow]))["attention"].item() == pytest.approx(B * 0.3 / 2)


def test_only_terms_with_labels_are_there() -> None:
    assert set(terms_of(predicted())) == {"diversity", "attention", "activation"}
    assert set(terms_of(predicted(joint_labels()))) >= {"joints", "refined", "root", "confidence"}
    kinds = Labels(object_kind=torch.zeros(B, dtype=torch.long))
    assert "object_kind" not in terms_of(predicted(kinds, symmetries=(), kind_logits=torch.zeros(B, 0)))


def test_what_may_mislead_is_off_unless_asked_for() -> None:
    off = {name for name, spec in LOSSES.items() if spec.weight == 0}
    assert off == {"diversity", "attention", "activation"}
    assert LOSSES["joints"].weight == 1.0 and LOSSES["refined"].weight == 1.2
    assert 0.3 <= LOSSES["reprojection"].weight <= 0.5
