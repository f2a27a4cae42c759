"""Hands that hold simple solids: fingers close joint by joint, from the palm outwards, until they touch.

All in the hand's frame; see :mod:`~argusvl.synthetic.hands.model`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.spatial.transform import Rotation

from argusvl.synthetic.hands.arrays import Bools, Floats, Generator, Indices
from argusvl.synthetic.hands.balls import balls, overlap
from argusvl.synthetic.hands.model import FIRST_PHALANX, HAND, HandModel, HandShape, hand_model
from argusvl.synthetic.hands.poses import FLEXION_LIMITS, Pose, curled
from argusvl.synthetic.hands.solids import KINDS, Primitive

CONTACT_M = 0.005
"""A joint touches where the skin near it is nearer than this to what is held, or inside of it."""
DEEPEST_M = 0.005
"""How far skin may be inside of what is held before a grasp is tried anew: flesh gives way that much."""

_NEAR_M = 0.02  # skin that is near a joint
_TRIES = 10
_STEPS = 16
_PALM_M = 0.0955  # from the wrist to the middle knuckle
_OUT_OF_PALM = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Grasp:
    """A hand and what it holds; ``rotation`` ``[3, 3]`` and ``centre`` ``[3]``: the solid in the hand's frame."""

    pose: Pose
    solid: Primitive
    rotation: Floats
    centre: Floats

    def distance(self, points: Floats) -> Floats:
        """``[..., 3]`` → ``[...]`` metres to the solid's surface, negative inside."""
        return self.solid.distance((points - self.centre) @ self.rotation)


def contacts(grasp: Grasp, vertices: Floats) -> Bools:
    """``[21]``: near which joints a skin ``[V, 3]`` touches the solid."""
    distance, joint_of = grasp.distance(vertices), skin_near_joints()
    return np.array([bool((distance[joint_of == joint] < CONTACT_M).any()) for joint in range(21)])


@cache
def skin_near_joints() -> Indices:
    """``[V]``: the joint that a vertex is nearest to, -1 for one that is near none; of the mean hand, for all."""
    model = hand_model()
    shape = model.shape(np.zeros(model.num_shapes), 1.0)
    joints = model.joints(shape, model.place(shape, np.tile(np.eye(3), (len(model.parents), 1, 1))))
    distance = np.linalg.norm(shape.vertices[:, None] - joints, axis=-1)
    return np.where(distance.min(1) < _NEAR_M, distance.argmin(1), -1)


def random_grasp(generator: Generator, model: HandModel, shape: HandShape) -> Grasp:
    """A hand that holds something: the first of a few tries in which nothing goes through anything, or the best."""
    best, least = None, np.inf
    for _ in range(_TRIES):
        around = generator.uniform() < 0.6
        solid = _random_solid(generator, around)
        make = _in_the_palm if around else _between_fingers
        grasp = make(generator, model, shape, solid)
        placed = model.place(shape, grasp.pose.turns(shape))
        vertices = model.skin(shape, placed)
        into_solid = -float(grasp.distance(vertices).min()) - DEEPEST_M
        into_hand = float(overlap(model.joints(shape, placed)[None])[0]) - 0.005
        touching = contacts(grasp, vertices)
        held = touching[1:5].any() and touching[5:].any()
        badness = max(into_solid, into_hand, 0.0) + (0 if held else 1)
        if badness < least:
            best, least = grasp, badness
        if badness <= 0:
            break
    assert best is not None
    return best


def _random_solid(generator: Generator, around: bool) -> Primitive:
    kind = KINDS[generator.integers(len(KINDS))]
    low, high = {
        ("box", True): ([0.025, 0.03, 0.07], [0.075, 0.06, 0.2]),
        ("cylinder", True): ([0.012, 0.07], [0.038, 0.22]),
        ("sphere", True): ([0.022], [0.045]),
        ("capsule", True): ([0.012, 0.05], [0.034, 0.16]),
        ("cone", True): ([0.022, 0.08], [0.045, 0.18]),
        ("box", False): ([0.012, 0.012, 0.015], [0.05, 0.035, 0.12]),
        ("cylinder", False): ([0.005, 0.01], [0.024, 0.14]),
        ("sphere", False): ([0.009], [0.03]),
        ("capsule", False): ([0.005, 0.02], [0.018, 0.12]),
        ("cone", False): ([0.01, 0.03], [0.026, 0.1]),
    }[kind, around]
    return Primitive(kind, tuple(np.round(generator.uniform(low, high), 4)))


def _in_the_palm(generator: Generator, model: HandModel, shape: HandShape, solid: Primitive) -> Grasp:
    """The solid lies against the palm, its axis across the hand; all fingers go round it."""
    scale = _size(shape)
    pose = _opened(generator)
    tilt = Rotation.from_euler("zyx", generator.normal([8, 0, 0], [20, 10, 15]), degrees=True).as_matrix()
    # Columns: where the solid's x, y and z axes point. Its own axis z along the hand's x, its width over the palm.
    across = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    if generator.uniform() < 0.5:
        across = across @ np.diag([1.0, -1, -1])  # the other end to the thumb
    if generator.uniform() < 0.15:
        tilt = tilt @ Rotation.random(random_state=generator).as_matrix()
    rotation = tilt @ across
    along = rotation[:, 2] * generator.uniform(-0.22, 0.22) * solid.extent[2] * 2
    centre = scale * np.array([generator.normal(-0.006, 0.006), generator.uniform(0.068, 0.09), 0.0]) + along
    # In from before the palm until it lies on the skin.
    vertices = model.skin(shape, model.place(shape, pose.turns(shape)))
    palm = vertices[model.weights[:, 1:4].sum(1) > 0.6]
    low, high = -0.02, 0.25
    for _ in range(12):
        middle = (low + high) / 2
        grasp = Grasp(pose, solid, rotation, centre + middle * _OUT_OF_PALM)
        low, high = (middle, high) if grasp.distance(palm).min() < 0 else (low, middle)
    return closed(generator, model, shape, Grasp(pose, solid, rotation, centre + high * _OUT_OF_PALM))


def _between_fingers(generator: Generator, model: HandModel, shape: HandShape, solid: Primitive) -> Grasp:
    """The solid is between the tips of the thumb and of one or two fingers."""
    pose = _opened(generator, curl=generator.uniform(0.15, 0.35), thumb=(20, -8))
    joints = model.joints(shape, model.place(shape, pose.turns(shape)))
    finger = joints[8] if generator.uniform() < 0.4 else (joints[8] + joints[12]) / 2
    gap = joints[4] - finger
    centre = finger + gap * generator.uniform(0.4, 0.6) + generator.normal(0, 0.004, 3) + [0, -0.006, 0]
    # A narrow side towards the thumb, else turned anyhow: x along the gap, z at any angle about it.
    x = gap / np.linalg.norm(gap)
    z = np.cross(x, generator.standard_normal(3))
    z /= np.linalg.norm(z)
    rotation = np.stack([x, np.cross(z, x), z], axis=1)
    along = z * generator.uniform(-0.35, 0.35) * solid.extent[2] * 2
    return closed(generator, model, shape, Grasp(pose, solid, rotation, centre + along))


def _opened(generator: Generator, curl: float = 0.05, thumb: tuple[float, float] = (42, -13)) -> Pose:
    """A hand about to grasp."""
    pose = curled(generator, np.full((1, 4), curl), generator.uniform(0.15, 0.6, 1), shake=3).limited()[0]
    pose.spread[0] = np.deg2rad(thumb[0] + generator.uniform(-12, 8))
    pose.flexion[0] = np.deg2rad([thumb[1], generator.uniform(0, 10), generator.uniform(0, 12)])
    return pose


def closed(generator: Generator, model: HandModel, shape: HandShape, grasp: Grasp) -> Grasp:
    """The same with fingers bent until they touch; one that meets nothing stops somewhere.

    At first all joints of a finger bend together, then the middle and the last go on, then the last alone.
    """
    flexion = grasp.pose.flexion.copy()
    goal = FLEXION_LIMITS[..., 1].copy()
    goal[0] = np.deg2rad([32, 45, 55])
    together = generator.uniform(0.4, 1.0)
    share = np.linspace(0, 1, _STEPS)
    touched = np.zeros(5, dtype=bool)
    for part in range(3):
        way = np.maximum(goal - flexion, 0)
        way[:, :part] = 0
        if part == 0:
            way[:, 1:] *= together
        tried = _bent_to(grasp.pose, flexion + share[:, None, None] * way)
        gaps = _gaps(model, shape, grasp, tried)[:, :, part:].min(-1)
        for finger in range(5):
            met = np.flatnonzero(gaps[:, finger] < 0)
            stop = int(met[0]) if len(met) else 0 if part else _STEPS - 1
            touched[finger] |= len(met) > 0
            flexion[finger] = tried.flexion[stop, finger]
            if stop > 0 and len(met):  # between the step that meets it and the one before
                before, after = gaps[stop - 1, finger], gaps[stop, finger]
                back = tried.flexion[stop - 1, finger] - flexion[finger]
                flexion[finger] += after / (after - before) * back
    loose = np.deg2rad(generator.uniform([25, 25, 10], [70, 85, 45]))
    flexion[1:][~touched[1:]] = np.maximum(grasp.pose.flexion[1:], loose)[~touched[1:]]
    return replace(grasp, pose=replace(grasp.pose, flexion=flexion).limited())


def _bent_to(pose: Pose, flexion: Floats) -> Pose:
    """One pose for each of ``[N, 5, 3]`` ways to bend its fingers."""
    count = len(flexion)
    spread, wrist = np.tile(pose.spread, (count, 1)), np.tile(pose.wrist, (count, 1))
    return Pose(flexion, spread, wrist, np.tile(pose.cup, count)).limited()


def _gaps(model: HandModel, shape: HandShape, grasp: Grasp, poses: Pose) -> Floats:
    """``[N, 5, 3]`` metres between each phalanx of N poses and the solid, negative inside."""
    centres, radii = balls(model.joints(shape, model.place(shape, poses.turns(shape))))
    return np.asarray((grasp.distance(centres) - radii * _size(shape)).min(-1))


def _size(shape: HandShape) -> float:
    """Of the palm, against that of the mean hand."""
    return float(np.linalg.norm(shape.heads[FIRST_PHALANX[2]] - shape.heads[HAND])) / _PALM_M
