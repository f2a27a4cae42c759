"""ADD and ADD-S equal those computed by hand, and with loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from argusvl.manipulation.measure.object_metrics import add, add_s, place

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
