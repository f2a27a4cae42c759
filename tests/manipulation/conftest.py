"""A hand made of bones, whose fingers bend as much as one likes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

MakeHand = Callable[..., np.ndarray]

# x towards the thumb, y along the fingers, in metres; the palm faces +z, and the thumb stands a little before it.
KNUCKLES = {5: (0.025, 0.09), 9: (0.0, 0.095), 13: (-0.02, 0.088), 17: (-0.04, 0.08)}
BONES = {5: (0.04, 0.025, 0.02), 9: (0.045, 0.028, 0.02), 13: (0.04, 0.026, 0.02), 17: (0.033, 0.02, 0.018)}
THUMB = [(0.03, 0.025, 0.01), (0.055, 0.05, 0.02), (0.07, 0.075, 0.025), (0.08, 0.1, 0.028)]


def hand(side: str = "right", *, bend: float = 25.0, seed: int | None = None, z: float = 0.6) -> np.ndarray:
    """[21, 3] joints in metres in the camera's frame; `bend` degrees at each joint, turned and moved by the seed."""
    joints = np.zeros((21, 3))
    joints[1:5] = THUMB
    for first, (x, y) in KNUCKLES.items():
        joints[first] = (x, y, 0)
        for k, length in enumerate(BONES[first]):
            angle = np.deg2rad(bend) * (k + 1)
            joints[first + k + 1] = joints[first + k] + length * np.array([0, np.cos(angle), np.sin(angle)])
    if side == "left":
        joints[:, 0] *= -1
    generator = np.random.default_rng(seed)
    turn = Rotation.identity() if seed is None else Rotation.random(random_state=seed)
    offset = np.zeros(2) if seed is None else generator.uniform(-0.02, 0.02, 2)
    return turn.apply(joints - joints.mean(0)) + np.array([*offset, z])


@pytest.fixture
def make_hand() -> MakeHand:
    return hand
