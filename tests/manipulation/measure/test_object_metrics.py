"""ADD and ADD-S equal those computed by hand, and with loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from argusvl.core.errors import DataError
from argusvl.manipulation.measure.object_metrics import add, add_s, evaluate_object, mean_object_pose, place

POINTS = np.random.default_rng(0).uniform(-0.05, 0.05, (200, 3))
SQUARE = np.array([[0.1, 0, 0], [0, 0.1, 0], [-0.1, 0, 0], [0, -0.1, 0]])


def pose(turn: Rotation, x: float = 0.0, z: float = 0.6) -> np.ndarray:
    return np.concatenate([turn.as_matrix(), [[x], [0.0], [z]]], axis=1)


def some_poses(n: int, spread: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    turns = Rotation.from_rotvec(generator.normal(0, spread, (n, 3)))
    return np.stack([pose(turn, *generator.normal(0, spread / 5, 1)) for turn in turns])


def test_a_shift_is_its_length() -> None:
    assert add(pose(Rotation.identity(), 0.03), pose(Rotation.identity()), POINTS) == pytest.approx(30)


def test_symmetries_cost_nothing_in_add_s() -> None:
    quarter = pose(Rotation.from_euler("z", 90, degrees=True))
    assert add(quarter, pose(Rotation.identity()), SQUARE) == pytest.approx(100 * math.sqrt(2))
    assert add_s(quarter, pose(Rotation.identity()), SQUARE) == pytest.approx(0, abs=1e-9)


def test_both_are_those_of_the_formulae() -> None:
    a, b = some_poses(2, 0.5, 1)
    by_a, by_b = place(a, POINTS), place(b, POINTS)
    assert add(a, b, POINTS) == pytest.approx(
        np.mean([1000 * math.dist(p, q) for p, q in zip(by_a, by_b, strict=True)])
    )
    nearest = [min(1000 * math.dist(p, q) for p in by_a) for q in by_b]
    assert add_s(a, b, POINTS) == pytest.approx(np.mean(nearest))
    np.testing.assert_allclose(by_a[7], a[:, :3] @ POINTS[7] + a[:, 3])


def test_the_mean_pose_is_a_rotation_in_the_middle() -> None:
    turns = [pose(Rotation.from_euler("x", angle, degrees=True), x) for angle, x in ((-40, 0.1), (40, 0.3))]
    mean = mean_object_pose(np.stack(turns))
    np.testing.assert_allclose(mean, pose(Rotation.identity(), 0.2), atol=1e-12)
    anywhere = mean_object_pose(np.stack([pose(turn) for turn in Rotation.random(30, random_state=1)]))[:, :3]
    np.testing.assert_allclose(anywhere @ anywhere.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(anywhere) == pytest.approx(1)


def test_a_model_that_answers_the_mean_pose_has_collapsed() -> None:
    true = some_poses(30, 0.6, 2)
    baseline = mean_object_pose(true)
    options = {"diameter_m": 0.17, "symmetric": False}
    constant = evaluate_object(np.broadcast_to(baseline, true.shape), true, POINTS, baseline, **options)
    assert constant.collapsed == ("add", "add_s", "within_tenth")
    near = true + np.concatenate([np.zeros((3, 3)), [[0.004], [0.0], [0.0]]], axis=1)
    good = evaluate_object(near, true, POINTS, baseline, **options)
    assert good.collapsed == () and good.add.value == pytest.approx(4) and good.within_tenth.value == 1
    assert good.add.mean_pose == constant.add.value > 10


def test_a_symmetric_object_is_judged_by_add_s() -> None:
    true = np.stack([pose(Rotation.identity())])
    turned = np.stack([pose(Rotation.from_euler("z", 90, degrees=True))])
    for symmetric, share in ((True, 1.0), (False, 0.0)):
        found = evaluate_object(turned, true, SQUARE, true[0], diameter_m=0.2, symmetric=symmetric)
        assert found.within_tenth.value == share


def test_a_pose_too_few_is_refused() -> None:
    true = some_poses(3, 0.1, 0)
    with pytest.raises(DataError, match="got 2 and 3"):
        evaluate_object(true[:2], true, POINTS, true[0], diameter_m=0.1, symmetric=False)
