"""Hands move as hands do: within what joints can, the right way, and not through themselves or what they hold."""

from __future__ import annotations

import numpy as np
import pytest

from argusvl.manipulation.data.checking import joints_problem, told_side
from argusvl.manipulation.data.joints import BONES, FINGERS, JOINTS
from argusvl.synthetic.hands.balls import overlap
from argusvl.synthetic.hands.grasps import CONTACT_M, Grasp, closed, contacts, random_grasp
from argusvl.synthetic.hands.model import FIRST_PHALANX, HandShape, hand_model
from argusvl.synthetic.hands.poses import (
    FLEXION_LIMITS,
    SPREAD_LIMITS,
    WRIST_LIMITS,
    Pose,
    curled,
    random_pose,
)
from argusvl.synthetic.hands.solids import Primitive

MODEL = hand_model()
ALL = np.ones(21, bool)


def some_hand(seed: int) -> tuple[np.random.Generator, HandShape]:
    generator = np.random.default_rng(seed)
    person = generator.standard_normal(MODEL.num_shapes).clip(-2, 2)
    return generator, MODEL.shape(person, generator.uniform(0.85, 1.15))


def joints_of(shape: HandShape, pose: Pose) -> np.ndarray:
    return MODEL.joints(shape, MODEL.place(shape, pose.turns(shape)))


def straight() -> Pose:
    return Pose(np.zeros((5, 3)), np.zeros(5), np.zeros(2), np.zeros(()))


def bends(joints: np.ndarray) -> np.ndarray:
    """[4, 2] degrees between the phalanges of index to little finger, by the joints alone."""
    bones = np.diff(joints[1:].reshape(5, 4, 3)[1:], axis=1)
    bones /= np.linalg.norm(bones, axis=-1, keepdims=True)
    return np.rad2deg(np.arccos(np.clip((bones[:, 1:] * bones[:, :-1]).sum(-1), -1, 1)))


def test_the_mean_hand_is_that_of_an_adult() -> None:
    shape = MODEL.shape(np.zeros(MODEL.num_shapes), 1.0)
    joints = joints_of(shape, straight())
    lengths = {JOINTS[b]: 1000 * np.linalg.norm(joints[a] - joints[b]) for a, b in BONES}
    assert 90 < lengths["middle_mcp"] < 100 and 25 < lengths["middle_pip"] < 50
    for finger in FINGERS[1:]:  # each bone is shorter than the one before; the tip reaches into the flesh
        assert lengths[f"{finger}_mcp"] > lengths[f"{finger}_pip"] > lengths[f"{finger}_dip"] > 10
    assert 150 < 1000 * np.linalg.norm(joints[12] - joints[0]) < 195
    assert joints_problem(joints + np.array([0, 0, 0.5]), ALL) is None
    # Thumb to x, fingers along y, straight and parallel when all angles are 0.
    assert joints[4, 0] > 0.04 and (joints[[8, 12, 16, 20], 1] > joints[[5, 9, 13, 17], 1] + 0.04).all()
    assert bends(joints).max() < 5
    fingers = joints[[8, 12, 16, 20]] - joints[[5, 9, 13, 17]]
    assert np.abs(np.rad2deg(np.arctan2(fingers[:, 0], fingers[:, 1]))).max() < 2


def test_fingers_bend_to_the_palm_by_their_angles() -> None:
    shape = some_hand(3)[1]
    for finger in range(1, 5):
        for part in (1, 2):
            pose = straight()
            pose.flexion[finger, part] = np.deg2rad(50)
            found = bends(joints_of(shape, pose))
            assert found[finger - 1, part - 1] == pytest.approx(50, abs=1)
            assert np.delete(found.ravel(), 2 * (finger - 1) + part - 1).max() < 5
    pose = straight()
    pose.flexion[1:] = np.deg2rad(45)
    joints = joints_of(shape, pose)
    assert (joints[[8, 12, 16, 20], 2] > 0.02).all()  # before the palm
    assert told_side(joints, ALL) == "right" and told_side(joints * [-1, 1, 1], ALL) == "left"


def test_the_thumb_crosses_the_palm() -> None:
    shape = some_hand(4)[1]
    away, across = straight(), straight()
    away.spread[0] = SPREAD_LIMITS[0, 0]
    across.spread[0], across.flexion[0] = SPREAD_LIMITS[0, 1], np.deg2rad([30, 40, 40])
    little = joints_of(shape, away)[17]
    far, near = (np.linalg.norm(joints_of(shape, pose)[4] - little) for pose in (away, across))
    assert near < 0.6 * far
    assert joints_of(shape, across)[4, 2] > 0.005  # before it


@pytest.mark.parametrize("seed", range(24))
def test_poses_keep_the_limits_and_go_through_nothing(seed: int) -> None:
    generator, shape = some_hand(seed)
    grasp = random_grasp(generator, MODEL, shape) if seed % 2 else None
    pose = random_pose(generator, MODEL, shape) if grasp is None else grasp.pose
    angles = np.concatenate([pose.flexion.ravel(), pose.spread, pose.wrist])
    limits = np.concatenate([FLEXION_LIMITS.reshape(-1, 2), SPREAD_LIMITS, WRIST_LIMITS])
    assert (angles >= limits[:, 0] - 1e-9).all() and (angles <= limits[:, 1] + 1e-9).all()
    joints = joints_of(shape, pose)
    assert (bends(joints) <= np.rad2deg(FLEXION_LIMITS[1:, 1:, 1]) + 1).all()
    assert overlap(joints[None])[0] < 0.008
    at_rest = joints_of(shape, straight())
    for a, b in BONES:  # bones keep their lengths; the palm's outer edge may be drawn in
        change = np.linalg.norm(joints[a] - joints[b]) - np.linalg.norm(at_rest[a] - at_rest[b])
        assert abs(change) < (0.004 if a == 0 else 1e-9)
    assert told_side(joints, ALL) in ("right", None)


def test_poses_differ() -> None:
    shape = some_hand(0)[1]
    generator = np.random.default_rng(5)
    found = np.array([joints_of(shape, random_pose(generator, MODEL, shape)) for _ in range(60)])
    assert 1000 * np.linalg.norm(found.std(0), axis=-1)[[4, 8, 12, 16, 20]].min() > 15


def test_overlap_knows_a_finger_in_a_finger() -> None:
    shape = some_hand(0)[1]
    joints = joints_of(shape, straight())
    crossed = joints.copy()
    crossed[5:9] = joints[9:13] + 0.001
    assert overlap(joints[None])[0] < 0.004 < 0.01 < overlap(crossed[None])[0]


@pytest.mark.parametrize("seed", range(12))
def test_what_is_held_is_touched_from_two_sides(seed: int) -> None:
    generator, shape = some_hand(100 + seed)
    grasp = random_grasp(generator, MODEL, shape)
    placed = MODEL.place(shape, grasp.pose.turns(shape))
    vertices, joints = MODEL.skin(shape, placed), MODEL.joints(shape, placed)
    touching = contacts(grasp, vertices)
    assert touching[1:5].any() and touching[5:].any()  # thumb and fingers
    assert grasp.distance(vertices).min() > -0.008
    distance = grasp.distance(joints)
    assert (distance[touching] < 0.03).all()  # a finger's half thickness, and the way to the nearest skin
    # As many ways round: what touches nothing is far, by the skin's own distance.
    near = np.linalg.norm(vertices[:, None] - joints, axis=-1) < 0.008
    for joint in np.flatnonzero(~touching):
        assert not (grasp.distance(vertices[near[:, joint]]) < CONTACT_M - 0.003).any()


def test_fingers_close_until_they_touch() -> None:
    generator, shape = some_hand(7)
    pose = curled(generator, np.full((1, 4), 0.05), np.array([0.3]), shake=0).limited()[0]
    axis_across = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])

    def around(radius: float) -> Grasp:
        solid, centre = Primitive("cylinder", (radius, 0.3)), np.array([0, 0.085, radius + 0.02])
        return closed(np.random.default_rng(0), MODEL, shape, Grasp(pose, solid, axis_across, centre))

    thick, thin = around(0.035), around(0.012)
    assert (thin.pose.flexion[1:, :2].sum(-1) > thick.pose.flexion[1:, :2].sum(-1) + 0.2).all()
    for grasp in (thick, thin):
        vertices = MODEL.skin(shape, MODEL.place(shape, grasp.pose.turns(shape)))
        for first in FIRST_PHALANX[1:]:
            of_finger = MODEL.weights[:, first : first + 3].sum(1) > 0.9
            assert -0.008 < grasp.distance(vertices[of_finger]).min() < CONTACT_M
