"""A hand before a camera: who, which side, doing what, seen from where. Geometry only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from argusvl.synthetic.hands.arrays import Bools, Floats, Generator, Indices
from argusvl.synthetic.hands.camera import camera_matrix, project
from argusvl.synthetic.hands.grasps import contacts, random_grasp
from argusvl.synthetic.hands.landmarks import forearm_share
from argusvl.synthetic.hands.model import hand_model
from argusvl.synthetic.hands.poses import random_pose
from argusvl.synthetic.hands.solids import Primitive

HOLDING = 0.4  # share of hands that hold something
_MIRROR = np.diag([-1.0, 1.0, 1.0])
_NEAREST_M = 0.16
_PLACES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What the camera sees; metres in its frame (x right, y down, z forward).

    Attributes:
        size: ``(width, height)`` of the picture.
        camera: ``[3, 3]`` K.
        vertices: ``[V, 3]`` of the hand with its forearm.
        faces: ``[F, 3]`` of the hand, from outside counter-clockwise.
        joints: ``[21, 3]``.
        box: ``[4]``: left, top, right, bottom of the hand without its forearm, as far as it is in the picture.
        pose: ``[3, 4]``: frame of the solid → the camera's.
    """

    size: tuple[int, int]
    camera: Floats
    side: Literal["left", "right"]
    vertices: Floats
    faces: Indices
    joints: Floats
    box: Floats
    contact: Bools
    solid: Primitive | None
    pose: Floats | None


def random_scene(generator: Generator, size: tuple[int, int]) -> Scene:
    """Any hand in any view, the usual ones more often."""
    model = hand_model()
    person = np.clip(generator.standard_normal(model.num_shapes), -2.2, 2.2)
    shape = model.shape(person, generator.uniform(0.85, 1.15))
    grasp = random_grasp(generator, model, shape) if generator.uniform() < HOLDING else None
    pose = random_pose(generator, model, shape) if grasp is None else grasp.pose
    placed = model.place(shape, pose.turns(shape))
    vertices, joints = model.skin(shape, placed), model.joints(shape, placed)
    contact = np.zeros(21, dtype=bool) if grasp is None else contacts(grasp, vertices)
    turn = random_view(generator)
    vertices, joints = vertices @ turn.T, joints @ turn.T
    frame = None if grasp is None else turn @ np.column_stack([grasp.rotation, grasp.centre])
    faces = model.faces
    side: Literal["left", "right"] = "right"
    if generator.uniform() < 0.5:
        # The same in a mirror; the solid, which is alike in a mirror, is mirrored once more in its own frame.
        side, faces = "left", faces[:, ::-1]
        vertices, joints = vertices @ _MIRROR, joints @ _MIRROR
        if frame is not None:
            frame = _MIRROR @ frame
            frame[:, :3] = frame[:, :3] @ _MIRROR
    camera, offset = _before_camera(generator, size, vertices, joints)
    if frame is not None:
        frame = frame + np.column_stack([np.zeros((3, 3)), offset])
    vertices, joints = vertices + offset, joints + offset
    box, solid = box_of(vertices, camera, size), None if grasp is None else grasp.solid
    return Scene(size, camera, side, vertices, faces, joints, box, contact, solid, frame)


def random_view(generator: Generator) -> Floats:
    """``[3, 3]``: the hand's frame → the camera's."""
    if generator.uniform() < 0.3:
        return Rotation.random(random_state=generator).as_matrix()
    # Usual: the palm, the back or the thumb's side looks to the camera more or less; the arm comes from below or aside,
    # rarely from the camera's own side.
    faces = np.array([[0.0, 0, 1], [0, 0, -1], [1, 0, 0], [-1, 0, 0]])
    face = faces[generator.choice(4, p=[0.28, 0.38, 0.24, 0.1])]
    looks = face + generator.normal(0, [0.5, 0.35, 0.5])
    looks /= np.linalg.norm(looks)
    fingers = np.array([0, 1.0, 0]) - looks[1] * looks
    fingers /= np.linalg.norm(fingers)
    hand = np.stack([np.cross(fingers, looks), fingers, looks])  # rows: right, up and towards the camera
    usual = generator.uniform() < 0.7
    angle = generator.normal(0, np.deg2rad(55)) if usual else generator.uniform(0, 2 * np.pi)
    roll = Rotation.from_euler("z", angle).as_matrix()
    return np.asarray(roll @ np.diag([1.0, -1, -1]) @ hand)


def _before_camera(
    generator: Generator, size: tuple[int, int], vertices: Floats, joints: Floats
) -> tuple[Floats, Floats]:
    """A camera, and where the hand goes to be seen in it: most of it inside the picture."""
    width = size[0]
    focal = width * np.exp(generator.uniform(np.log(0.8), np.log(2.8)))
    centre = np.array(size) / 2 + generator.normal(0, 0.03, 2) * width
    if generator.uniform() < 0.35:  # a part of a larger picture
        centre = centre + generator.uniform(-0.8, 0.8, 2) * width
    camera = camera_matrix(focal, focal * generator.uniform(0.99, 1.01), *centre)
    camera = np.round(camera, 3)
    middle = (joints.max(0) + joints.min(0)) / 2
    extent = float(np.linalg.norm((joints.max(0) - joints.min(0))[:2])) + 0.02
    near = float((joints[:, 2] - middle[2]).min())
    share = generator.uniform(0.4, 1.0)
    depth = max(focal * extent / (share * min(size)), _NEAREST_M - near)
    best, most = np.zeros(3), -1.0
    for attempt in range(_PLACES):
        around = 0.32 * (1 - attempt / _PLACES)
        place = np.array(size) * generator.uniform(0.5 - around, 0.5 + around, 2)
        offset = np.array([*((place - camera[:2, 2]) / camera[[0, 1], [0, 1]] * depth), depth]) - middle
        seen = project(joints + offset, camera)
        inside = float(((seen >= 2) & (seen <= np.array(size) - 2)).all(1).mean())
        if inside > most:
            best, most = offset, inside
        if inside >= (0.8 if attempt < 3 else 0.95):
            break
    return camera, best


def box_of(vertices: Floats, camera: Floats, size: tuple[int, int]) -> Floats:
    """``[4]``: left, top, right, bottom of the hand without its forearm, as far as it is in the picture."""
    seen = project(vertices[forearm_share() < 0.5], camera)
    return np.concatenate([np.maximum(seen.min(0), 0), np.minimum(seen.max(0), size)])
