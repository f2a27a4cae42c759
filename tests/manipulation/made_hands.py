"""A hand made of bones, whose fingers bend as much as one likes; alone, and as a data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from argusvl.manipulation.report.drawing import draw_skeleton
from argusvl.synthetic.hands.camera import project

# x towards the thumb, y along the fingers, in metres; the palm faces +z, and the thumb stands a little before it.
KNUCKLES = {5: (0.025, 0.09), 9: (0.0, 0.095), 13: (-0.02, 0.088), 17: (-0.04, 0.08)}
BONES = {5: (0.04, 0.025, 0.02), 9: (0.045, 0.028, 0.02), 13: (0.04, 0.026, 0.02), 17: (0.033, 0.02, 0.018)}
THUMB = [(0.03, 0.025, 0.01), (0.055, 0.05, 0.02), (0.07, 0.075, 0.025), (0.08, 0.1, 0.028)]


def make_hand(
    side: str = "right", *, bend: float = 25.0, seed: int | None = None, z: float = 0.6
) -> np.ndarray:
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


K = np.array([[420.0, 0, 120], [0, 430.0, 115], [0, 0, 1]])
SIZE = (240, 230)


def write_hands(folder: Path, number: int, seed: int = 0, sides: tuple[str, ...] = ("right", "left")) -> Path:
    """A data set in the format `folder`: skeletons as pictures, so that there is something to see."""
    folder.mkdir(parents=True, exist_ok=True)
    generator, hands = np.random.default_rng(seed), []
    for k in range(number):
        side = sides[k % len(sides)]
        joints = make_hand(side, bend=generator.uniform(15, 60), seed=1000 * seed + k)
        seen = project(joints, K)
        picture = draw_skeleton(Image.new("RGB", SIZE, tuple(generator.integers(60, 200, 3).tolist())), seen)
        picture.save(folder / f"{k:03}.png")
        low, high = seen.min(0).clip(0), np.minimum(seen.max(0), SIZE)
        pose = np.concatenate([np.eye(3), joints.mean(0)[:, None]], axis=1)
        hands.append(
            {
                "image": f"{k:03}.png",
                "side": side,
                "box": [*low.tolist(), *high.tolist()],
                "joints": joints.tolist(),
                "held": {"name": "box", "pose": pose.tolist()} if k % 3 == 0 else None,
            }
        )
    top = {"unit": "m", "joint_order": "openpose", "pixel_origin": "corner", "K": K.tolist(), "K_size": SIZE}
    (folder / "hands.json").write_text(json.dumps(top | {"hands": hands}), encoding="utf-8")
    return folder
