"""Poses of hands by their joint angles: what a joint can do, what fingers do together, and what hands are seen doing.

Angles are anatomical and absolute: 0 is a straight finger in the plane of the palm, parallel to the others; bending
towards the palm is positive. Limits are those of healthy adults without force from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from argusvl.synthetic.hands.arrays import Floats, Generator, Indices
from argusvl.synthetic.hands.balls import overlap
from argusvl.synthetic.hands.model import (
    FIRST_PHALANX,
    FOREARM,
    LITTLE_METACARPAL,
    NUM_BONES,
    RING_METACARPAL,
    HandModel,
    HandShape,
    rotation_about,
)

FLEXION_LIMITS = np.deg2rad(
    [
        [(-15, 35), (-5, 60), (-15, 80)],  # the thumb's cmc (against rest), mcp, ip
        *[[(-20, 90), (-4, 110), (-4, 75)]] * 4,  # mcp, pip, dip
    ]
)
"""``[5, 3, 2]``: lowest and highest angle of each joint of each finger."""

SPREAD_LIMITS = np.deg2rad([(-35, 50), (-8, 22), (-10, 8), (-20, 3), (-38, 2)])
"""``[5, 2]``: thumb-wards positive. The thumb's is its opposition: from beside the palm to before it."""

WRIST_LIMITS = np.deg2rad([(-60, 70), (-30, 20)])
"""``[2, 2]``: bending towards the palm, and towards the thumb."""

_CLOSED, _OPEN = np.deg2rad([[-4, -2, -3, -5], [18, -2, -16, -32]])
_STRAIGHT = np.deg2rad([-4, 1, 1])
_CURLED = np.deg2rad([82, 104, 66])


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Angles of hands, radians.

    Attributes:
        flexion: ``[..., 5, 3]`` of each finger's joints, from the palm outwards.
        spread: ``[..., 5]`` of its first joint; of the thumb, opposition.
        wrist: ``[..., 2]`` bending towards the palm, and towards the thumb.
        cup: ``[...]`` from 0 to 1: how far the palm's outer edge is drawn in.
    """

    flexion: Floats
    spread: Floats
    wrist: Floats
    cup: Floats

    def __getitem__(self, index: int | Indices) -> Pose:
        return Pose(self.flexion[index], self.spread[index], self.wrist[index], self.cup[index])

    def limited(self) -> Pose:
        """The same within what joints can do."""
        return Pose(
            np.clip(self.flexion, FLEXION_LIMITS[..., 0], FLEXION_LIMITS[..., 1]),
            np.clip(self.spread, SPREAD_LIMITS[:, 0], SPREAD_LIMITS[:, 1]),
            np.clip(self.wrist, WRIST_LIMITS[:, 0], WRIST_LIMITS[:, 1]),
            np.clip(self.cup, 0, 1),
        )

    def turns(self, shape: HandShape) -> Floats:
        """``[..., 19, 3, 3]`` for :meth:`~argusvl.synthetic.hands.model.HandModel.place`."""
        turns = np.empty((*self.cup.shape, NUM_BONES, 3, 3))
        turns[...] = np.eye(3)
        x, y, z = np.eye(3)
        bent, aside = rotation_about(x, -self.wrist[..., 0]), rotation_about(z, -self.wrist[..., 1])
        turns[..., FOREARM, :, :] = aside @ bent
        cups = np.deg2rad([5.0, 10.0]) * self.cup[..., None]
        turns[..., [RING_METACARPAL, LITTLE_METACARPAL], :, :] = rotation_about(x, cups)
        first = list(FIRST_PHALANX)
        rest = shape.rest[first[0] :].reshape(5, 3).copy()
        rest[0, 0] = 0  # this angle is against rest: nothing before it says what straight would be
        bends = (self.flexion - rest).reshape(*self.cup.shape, 15)
        turns[..., first[0] :, :, :] = rotation_about(shape.axes[first[0] :], bends)
        aside = rotation_about(np.array([-y, -z, -z, -z, -z]), self.spread - shape.spread)
        turns[..., first, :, :] = aside @ turns[..., first, :, :]
        return turns


# --- what fingers do together ----------------------------------------------------------------------------------------


def curled(generator: Generator, curl: Floats, spread: Floats, *, shake: float = 6.0) -> Pose:
    """Fingers between straight (0) and curled up (1), which bend at all their joints together.

    ``curl`` is ``[N, 4]``, index to little finger, ``spread`` ``[N]`` from 0, closed, to 1, ``shake`` the standard
    deviation of each angle in degrees. The thumb of the N poses lies beside the hand.
    """
    count = len(curl)
    flexion, aside = np.zeros((count, 5, 3)), np.zeros((count, 5))
    angles = _STRAIGHT + curl[..., None] * (_CURLED - _STRAIGHT)
    flexion[:, 1:] = angles + np.deg2rad(shake) * generator.standard_normal((count, 4, 3))
    # The last joint cannot but follow the middle one: one tendon bends both.
    flexion[:, 1:, 2] = 0.4 * flexion[:, 1:, 2] + 0.6 * (0.62 * flexion[:, 1:, 1])
    apart = spread[:, None] * np.clip(1 - 1.3 * curl, 0, 1)
    aside[:, 1:] = _CLOSED + apart * (_OPEN - _CLOSED)
    aside[:, 1:] += np.deg2rad(1.5) * generator.standard_normal((count, 4))
    flexion[:, 0] = np.deg2rad(generator.uniform([-12, 0, -8], [8, 22, 30], (count, 3)))
    aside[:, 0] = np.deg2rad(generator.uniform(-30, 10, count))
    wrist = np.deg2rad(generator.normal([0, 0], [24, 9], (count, 2)))
    return Pose(flexion, aside, wrist, np.clip(curl[:, 3] * generator.uniform(0, 1, count), 0, 1))


def _thumb(pose: Pose, generator: Generator, low: list[float], high: list[float]) -> Pose:
    """The thumb's opposition, cmc, mcp and ip between bounds in degrees."""
    drawn = np.deg2rad(generator.uniform(low, high, (len(pose.cup), 4)))
    pose.spread[:, 0], pose.flexion[:, 0] = drawn[:, 0], drawn[:, 1:]
    return pose


def _open(generator: Generator, count: int) -> Pose:
    curl = generator.normal(0.03, 0.05, (count, 4)) + generator.normal(0, 0.04, (count, 1))
    return curled(generator, np.clip(curl, -0.06, 0.3), generator.uniform(0, 1.1, count), shake=4)


def _relaxed(generator: Generator, count: int) -> Pose:
    curl = generator.uniform(0.1, 0.45, (count, 1)) + np.array([-0.05, 0, 0.04, 0.07])
    curl = curl + generator.normal(0, 0.05, (count, 4))
    pose = curled(generator, curl, generator.uniform(0, 0.6, count))
    return _thumb(pose, generator, [-25, -8, 0, 0], [25, 12, 25, 35])


def _free(generator: Generator, count: int) -> Pose:
    """Any finger anyhow, though neighbours move together."""
    common, tilt = generator.uniform(0, 0.9, (count, 1)), generator.normal(0, 0.2, (count, 1))
    curl = common + tilt * np.array([-1, -0.3, 0.3, 1]) + generator.normal(0, 0.16, (count, 4))
    pose = curled(generator, np.clip(curl, -0.05, 1), generator.uniform(0, 1, count), shake=9)
    return _thumb(pose, generator, [-35, -15, -5, -15], [45, 25, 50, 60])


def _claw(generator: Generator, count: int) -> Pose:
    """Knuckles straight or bent back and fingers bent, as over keys; or knuckles bent and fingers straight."""
    pose = curled(generator, np.zeros((count, 4)), generator.uniform(0, 0.9, count), shake=7)
    keys = generator.uniform(size=count) < 0.65
    bent = generator.uniform([-15, 30, 15], [25, 85, 50], (count, 3))
    flat = generator.uniform([40, 0, 0], [85, 25, 15], (count, 3))
    pose.flexion[:, 1:] += np.deg2rad(np.where(keys[:, None], bent, flat))[:, None]
    return _thumb(pose, generator, [-20, -10, 0, 0], [35, 20, 35, 45])


def _signs(generator: Generator, count: int) -> Pose:
    """Some fingers stretched, the others curled: pointing, counting, the fist."""
    stretched = generator.uniform(size=(count, 4)) < generator.uniform(0.1, 0.7, (count, 1))
    point, fist = generator.uniform(size=count) < 0.25, generator.uniform(size=count) < 0.4
    stretched[point] = [True, False, False, False]
    stretched[fist] = False
    straight, bent = generator.uniform(-0.03, 0.12, (count, 4)), generator.uniform(0.75, 1.0, (count, 4))
    curl = np.where(stretched, straight, bent)
    pose = curled(generator, curl, generator.uniform(0, 0.8, count), shake=4)
    folded = _thumb(curled(generator, curl, np.zeros(count)), generator, [15, 5, 20, 10], [50, 35, 60, 70])
    out = generator.uniform(size=count) < np.where(fist, 0.3, 0.35)  # the thumb: out, or over the fingers
    pose.flexion[~out, 0], pose.spread[~out, 0] = folded.flexion[~out, 0], folded.spread[~out, 0]
    return pose


def _pinch(generator: Generator, count: int) -> Pose:
    """Thumb and a finger near each other; the nearest of many is taken in :func:`random_pose`."""
    curl = np.clip(generator.uniform(0, 0.7, (1, 4)) + generator.normal(0, 0.03, (count, 4)), 0, 0.8)
    pose = curled(generator, curl, generator.uniform(0, 0.6, count), shake=5)
    finger = 1 if generator.uniform() < 0.75 else 2
    pose.flexion[:, finger] = np.deg2rad(generator.uniform([15, 20, 5], [70, 80, 50], (count, 3)))
    return _thumb(pose, generator, [0, -5, 0, -5], [50, 30, 45, 55])


KINDS: dict[str, tuple[float, Callable[[Generator, int], Pose]]] = {
    "open": (0.12, _open),
    "relaxed": (0.16, _relaxed),
    "free": (0.22, _free),
    "claw": (0.07, _claw),
    "signs": (0.34, _signs),
    "pinch": (0.09, _pinch),
}
"""Name → how often it is seen, and what draws many of it."""

_TRIES = 12
_PINCH_TRIES = 160
_PINCHED_M = 0.009  # between the two tips when pads touch


def random_pose(generator: Generator, model: HandModel, shape: HandShape) -> Pose:
    """A pose in which no finger goes through another, as far as a few tries find one."""
    names = list(KINDS)
    odds = np.array([share for share, _ in KINDS.values()])
    kind = names[generator.choice(len(names), p=odds / odds.sum())]
    poses = KINDS[kind][1](generator, _PINCH_TRIES if kind == "pinch" else _TRIES).limited()
    joints = model.joints(shape, model.place(shape, poses.turns(shape)))
    if kind == "pinch":
        gaps = np.linalg.norm(joints[:, [8, 12]] - joints[:, 4:5], axis=-1).min(-1)
        best = np.argsort(np.abs(gaps - _PINCHED_M))[:_TRIES]
        poses, joints = poses[best], joints[best]
    through = overlap(joints)
    fine = np.flatnonzero(through < 0.004)
    return poses[int(fine[0]) if len(fine) else int(through.argmin())]
