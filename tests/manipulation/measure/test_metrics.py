"""Figures of hands equal those computed by hand, and those of the public definitions written again with loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
from made_hands import make_hand
from scipy.spatial.transform import Rotation

from argusvl.core.errors import DataError
from argusvl.manipulation.measure.metrics import (
    MEASURED,
    Measured,
    add,
    add_s,
    align_by_similarity,
    area_under_pck,
    evaluate_hands,
    mean_pose,
    mpjpe,
    pck,
)

N = 40
ALL = np.ones((N, 21), dtype=bool)


@pytest.fixture
def hands() -> np.ndarray:
    return np.stack([make_hand(bend=5 + 2 * k, seed=k) for k in range(N)])


def noisy(hands: np.ndarray, metres: float, seed: int = 0) -> np.ndarray:
    return hands + np.random.default_rng(seed).normal(0, metres, hands.shape)


# --- the public definitions, one hand and one joint after the other ---------------------------------------------------


def public_alignment(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Both centred and of norm 1, orthogonal Procrustes (which may mirror), back to the truth's size and place."""
    a, b = true - true.mean(0), predicted - predicted.mean(0)
    size = np.linalg.norm(a)
    rotation, scale = scipy.linalg.orthogonal_procrustes(a / size, b / np.linalg.norm(b))
    return (b / np.linalg.norm(b)) @ rotation.T * scale * size + true.mean(0)


def public_measures(pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Mean error in mm and area under PCK, over hands for each joint, then over joints."""
    means, areas = [], []
    thresholds = np.linspace(0, 50, 100)
    for joint in range(21):
        errors = [1000 * math.dist(p[joint], t[joint]) for p, t, valid in pairs if valid[joint]]
        if not errors:
            continue
        means.append(sum(errors) / len(errors))
        curve = [sum(error <= threshold for error in errors) / len(errors) for threshold in thresholds]
        area = sum((a + b) / 2 * (thresholds[1] - thresholds[0]) for a, b in itertools.pairwise(curve))
        areas.append(area / 50)
    return sum(means) / len(means), sum(areas) / len(areas)


def test_figures_are_those_of_the_public_evaluators(hands: np.ndarray) -> None:
    predicted = noisy(hands * 1.05 + [0.004, 0, 0.01], 0.008)
    found = evaluate_hands(predicted, hands, ALL, hands.mean(0), reflection=True).figures
    valid, pairs = ALL[0], list(zip(predicted, hands, strict=True))
    expected = {}
    for suffix, aligned in {
        "": [(p, t, valid) for p, t in pairs],
        "_root": [(p - p[0], t - t[0], valid) for p, t in pairs],
        "_pa": [(public_alignment(t, p), t, valid) for p, t in pairs],
    }.items():
        expected[f"mpjpe{suffix}"], expected[f"auc{suffix}"] = public_measures(aligned)
    assert {name: one.value for name, one in found.items()} == pytest.approx(expected, rel=1e-9)
    # So near the truth no mirror is better: without reflections the figures are the same.
    ours = evaluate_hands(predicted, hands, ALL, hands.mean(0)).figures
    assert {name: one.value for name, one in ours.items()} == pytest.approx(expected, rel=1e-9)


def test_joints_that_are_not_known_are_not_counted(hands: np.ndarray) -> None:
    valid = np.random.default_rng(1).random((N, 21)) < 0.7
    valid[:, 0] = True
    predicted = noisy(hands, 0.01)
    unknown = np.where(valid[..., None], hands, np.nan)
    found = evaluate_hands(predicted, unknown, valid, hands.mean(0))
    mean, area = public_measures(list(zip(predicted, hands, valid, strict=True)))
    assert found.figures["mpjpe"].value == pytest.approx(mean)
    assert found.figures["auc"].value == pytest.approx(area)
    aligned = []
    for p, t, v in zip(predicted, hands, valid, strict=True):
        full = p.copy()
        full[v] = public_alignment(t[v], p[v])
        aligned.append((full, t, v))
    assert found.figures["mpjpe_pa"].value == pytest.approx(public_measures(aligned)[0])


def test_errors_computed_by_hand() -> None:
    truth = np.full((2, 21, 3), 0.5)
    truth[:, :, 1] = 0
    truth[:, :, 0] = np.arange(21) * 0.01
    predicted = truth + np.array([0.003, 0.004, 0])  # 5 mm everywhere
    predicted[0, 20] += [0, 0, 0.012]  # and 13 mm for one of two
    found = evaluate_hands(predicted, truth, np.ones((2, 21), bool), truth.mean(0) + np.array([0.1, 0, 0]))
    assert found.figures["mpjpe"].value == pytest.approx((20 * 5 + (13 + 5) / 2) / 21)
    assert found.figures["mpjpe_root"].value == pytest.approx((12 / 2) / 21)  # the wrist takes the 5 mm away
    assert found.per_joint_mm["little_tip"] == pytest.approx(6) and found.per_joint_mm["wrist"] == 0
    assert found.worst_joints(1) == [("little_tip", pytest.approx(6))]


@pytest.mark.parametrize(("error", "area"), [(0.0, 1.0), (25.0, 0.5), (50.0, 0.5 / 99), (50.1, 0.0)])
def test_the_area_under_pck_of_one_error(error: float, area: float) -> None:
    # A trapezoid before the first threshold that is reached: half a step more.
    assert area_under_pck(np.full((3, 21), error)) == pytest.approx(area, abs=0.006)
    assert pck(np.full((3, 21), error), np.array([error, error + 1e-9])).tolist() == [1, 1]


def test_a_similarity_is_undone_with_its_scale(hands: np.ndarray) -> None:
    rotations = Rotation.random(N, random_state=0).as_matrix()
    scales = np.random.default_rng(0).uniform(0.5, 2, (N, 1, 1))
    moved = scales * hands @ rotations + np.random.default_rng(1).normal(0, 1, (N, 1, 3))
    np.testing.assert_allclose(align_by_similarity(moved, hands), hands, atol=1e-12)
    found = evaluate_hands(moved, hands, ALL, hands.mean(0)).figures
    assert found["mpjpe_pa"].value < 1e-6 < found["mpjpe_root"].value


def test_a_mirrored_hand_is_not_the_same_hand(hands: np.ndarray) -> None:
    mirrored = hands * [-1, 1, 1]
    ours = evaluate_hands(mirrored, hands, ALL, hands.mean(0)).figures["mpjpe_pa"].value
    public = evaluate_hands(mirrored, hands, ALL, hands.mean(0), reflection=True).figures["mpjpe_pa"].value
    assert public < 1e-6 and ours > 3


def test_points_in_one_place_are_aligned_to_the_middle(hands: np.ndarray) -> None:
    aligned = align_by_similarity(np.ones_like(hands), hands)
    np.testing.assert_allclose(aligned, np.broadcast_to(hands.mean(1, keepdims=True), hands.shape))


def test_a_model_that_answers_the_mean_pose_has_collapsed(hands: np.ndarray) -> None:
    baseline = mean_pose(hands, ALL)
    constant = np.broadcast_to(baseline, hands.shape)
    found = evaluate_hands(constant, hands, ALL, baseline)
    assert found.collapsed == tuple(MEASURED)
    assert "collapse: not better than the mean pose" in str(found.figures["mpjpe"])
    # Almost constant, as a public implementation was (0.3 mm apart): still no better.
    assert evaluate_hands(noisy(constant, 0.0003), hands, ALL, baseline).collapsed == tuple(MEASURED)
    median = np.broadcast_to(np.median(hands, axis=0), hands.shape)
    assert "mpjpe_root" in evaluate_hands(median, hands, ALL, baseline).collapsed
    good = evaluate_hands(noisy(hands, 0.002), hands, ALL, baseline)
    assert good.collapsed == () and "collapse" not in str(good.figures["mpjpe"])
    assert all(one.mean_pose == found.figures[name].value for name, one in good.figures.items())


def test_the_mean_pose_is_of_what_is_known(hands: np.ndarray) -> None:
    valid = ALL.copy()
    valid[10:, 3] = False
    pose = mean_pose(np.where(valid[..., None], hands, np.nan), valid)
    np.testing.assert_allclose(pose[3], hands[:10, 3].mean(0))
    np.testing.assert_allclose(pose[4], hands[:, 4].mean(0))
    with pytest.raises(DataError, match="thumb_ip is known in none of 40 hands"):
        mean_pose(hands, ALL & (np.arange(21) != 3))


def test_what_cannot_be_measured_is_no_number_and_no_collapse(hands: np.ndarray) -> None:
    none = evaluate_hands(hands, hands * np.nan, ~ALL, hands.mean(0))
    assert none.hands == 0 and none.collapsed == () and math.isnan(none.figures["auc"].value)
    no_wrist = evaluate_hands(hands, hands, ALL & (np.arange(21) != 0), hands.mean(0))
    assert math.isnan(no_wrist.figures["mpjpe_root"].value) and no_wrist.figures["mpjpe"].value == 0
    assert math.isnan(mpjpe(np.full((2, 21), np.nan)))


def test_predictions_that_are_no_numbers_or_do_not_fit_are_refused(hands: np.ndarray) -> None:
    broken = hands.copy()
    broken[4, 2, 1] = np.nan
    with pytest.raises(
        DataError, match="1 of 40 predictions are no finite numbers, the first that of hand 4"
    ):
        evaluate_hands(broken, hands, ALL, hands.mean(0))
    with pytest.raises(DataError, match="expected"):
        evaluate_hands(hands[:3], hands, ALL, hands.mean(0))


def test_better_is_declared_for_each_figure(hands: np.ndarray) -> None:
    for name, one in evaluate_hands(hands, hands, ALL, hands.mean(0)).figures.items():
        assert one.higher_is_better == MEASURED[name].higher_is_better
    assert Measured(0.1, 0.2, True).collapsed and not Measured(1.0, 2.0, False).collapsed
    assert Measured(0.0, 0.0, True).collapsed and Measured(1.96, 2.0, False).collapsed
    assert not Measured(1.0, 0.99, True).collapsed


def pose(turn: Rotation, x: float = 0.0) -> np.ndarray:
    return np.concatenate([turn.as_matrix(), [[x], [0.0], [0.6]]], axis=1)


def test_symmetries_of_an_object_cost_nothing() -> None:
    square = np.array([[0.1, 0, 0], [0, 0.1, 0], [-0.1, 0, 0], [0, -0.1, 0]])
    quarter = pose(Rotation.from_euler("z", 90, degrees=True))
    assert add_s(quarter, pose(Rotation.identity()), square) == pytest.approx(0, abs=1e-9)
    assert add(quarter, pose(Rotation.identity()), square) == pytest.approx(100 * math.sqrt(2))


def test_an_objects_distances_are_those_of_the_formulae() -> None:
    generator = np.random.default_rng(1)
    points = generator.uniform(-0.05, 0.05, (200, 3))
    a, b = (pose(Rotation.from_rotvec(generator.normal(0, 0.5, 3)), x) for x in (0.0, 0.1))
    by_a, by_b = ([p[:, :3] @ point + p[:, 3] for point in points] for p in (a, b))
    nearest = [min(1000 * math.dist(p, q) for p in by_a) for q in by_b]
    assert add_s(a, b, points) == pytest.approx(np.mean(nearest))
    distances = [1000 * math.dist(p, q) for p, q in zip(by_a, by_b, strict=True)]
    assert add(a, b, points) == pytest.approx(np.mean(distances))
