"""Where on the hand its skin is redder, creased or a nail; taken from the mean hand, for all."""

from __future__ import annotations

from functools import cache

import numpy as np

from argusvl.synthetic.hands.arrays import Floats, Floats32, Indices
from argusvl.synthetic.hands.model import FIRST_PHALANX, FOREARM, HandShape, hand_model

REST, PALM, FLUSH, CREASE, NAIL = slice(0, 3), 3, 4, slice(5, 7), slice(7, 10)
"""Columns of :func:`landmarks`."""

_NO_CREASE_MM = 99.0
_CREASE_M = 0.012  # how far along the finger a joint has folds
_KNUCKLE_M = 0.007  # how far it is red


@cache
def landmarks() -> Floats32:
    """``[V, 10]``, what belongs to a vertex.

    - ``REST``: its place at rest, metres.
    - ``PALM``: how much it looks to the palm's side, -1 to 1.
    - ``FLUSH``: how much it is a knuckle or the end of a finger, 0 to 1.
    - ``CREASE``: millimetres along the finger from the nearest joint, and the number of that joint's phalanx (0: none).
    - ``NAIL``: places on the last phalanx: across (-1 to 1), along (0 to 1), and how much it looks to the back.
    """
    model = hand_model()
    shape = model.shape(np.zeros(model.num_shapes), 1.0)
    normals = vertex_normals(shape.vertices, model.faces)
    found = np.zeros((len(normals), 10))
    found[:, REST], found[:, PALM], found[:, CREASE.start] = shape.vertices, normals[:, 2], _NO_CREASE_MM
    fingers = model.weights[:, FIRST_PHALANX[0] :].reshape(-1, 5, 3)
    for finger in range(5):
        own = np.flatnonzero(fingers[:, finger].sum(1) > 0.5)
        marks = found[own]
        for part in range(3):
            if (finger, part) != (0, 0):  # the thumb's first bone is in the palm
                _mark_phalanx(marks, shape, finger, part, normals[own], fingers[own, finger, part])
        found[own] = marks
    return found.astype(np.float32)


def _mark_phalanx(
    marks: Floats, shape: HandShape, finger: int, part: int, normals: Floats, share: Floats
) -> None:
    """Marks the vertices of a finger as far as one of its phalanges and the joint before it are concerned."""
    bone = FIRST_PHALANX[finger] + part
    start, end = shape.heads[bone], shape.tips[finger] if part == 2 else shape.heads[bone + 1]
    length = np.linalg.norm(end - start)
    along, across = (end - start) / length, shape.axes[bone]
    offset = marks[:, REST] - start
    depth = offset @ along
    back = normals @ np.cross(along, across)  # away from the side to which the axis turns it
    closer = (np.abs(depth) < _CREASE_M) & (np.abs(depth) * 1000 < np.abs(marks[:, CREASE.start]))
    marks[closer, CREASE.start], marks[closer, CREASE.stop - 1] = depth[closer] * 1000, part + 1
    red = np.exp(-((depth / _KNUCKLE_M) ** 2)) * np.clip(back, 0, 1)
    of_this = (depth > 0) & (share > 0.3)
    marks[of_this, PALM] = -back[of_this]
    if part == 2:
        tip = share > 0.5
        lateral = offset @ across
        marks[tip, NAIL] = np.stack(
            [lateral / np.abs(lateral[tip]).max(), depth / (length + 0.002), back], 1
        )[tip]
        red = np.maximum(red, np.where(tip, np.clip(depth / length - 0.3, 0, 0.7), 0))
    marks[:, FLUSH] = np.maximum(marks[:, FLUSH], red)


def vertex_normals(vertices: Floats, faces: Indices) -> Floats:
    """``[V, 3]`` unit, outwards: those of the triangles around, by area."""
    corners = vertices[faces]
    of_face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for axis in range(3):
        for corner in range(3):
            total[:, axis] += np.bincount(faces[:, corner], of_face[:, axis], len(vertices))
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))


@cache
def forearm_share() -> Floats32:
    """``[V]``: how much a vertex belongs to the forearm."""
    return hand_model().weights[:, FOREARM].astype(np.float32)
