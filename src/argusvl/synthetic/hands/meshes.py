"""Triangles of simple solids, seen from outside counter-clockwise, with normals that keep edges sharp."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from argusvl.synthetic.hands.arrays import Floats, Indices
from argusvl.synthetic.hands.solids import Primitive

_AROUND = 40
_ROUND = 8  # rings from the middle of a round end to its pole


class Mesh(NamedTuple):
    """``[V, 3]`` vertices, ``[V, 3]`` unit normals, ``[F, 3]`` faces."""

    vertices: Floats
    normals: Floats
    faces: Indices


def mesh_of(solid: Primitive) -> Mesh:
    """A solid's surface in its own frame."""
    if solid.kind == "box":
        return _box(solid.extent)
    radius, half = solid.size[0], solid.extent[2]
    if solid.kind in ("sphere", "capsule"):
        angles = np.linspace(-np.pi / 2, np.pi / 2, 2 * _ROUND + 2)
        angles[_ROUND : _ROUND + 2] = 0
        shift = np.where(np.arange(len(angles)) <= _ROUND, -1, 1) * (half - radius)
        normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return _turned([(normals * radius + np.stack([0 * shift, shift], axis=1), normals)])
    bottom = (np.array([[0, -half], [radius, -half]]), np.array([[0.0, -1], [0, -1]]))
    if solid.kind == "cone":
        slope = np.array([2 * half, radius]) / np.hypot(2 * half, radius)
        return _turned([bottom, (np.array([[radius, -half], [0, half]]), np.array([slope, slope]))])
    side = (np.array([[radius, -half], [radius, half]]), np.array([[1.0, 0], [1, 0]]))
    return _turned([bottom, side, (np.array([[radius, half], [0, half]]), np.array([[0.0, 1], [0, 1]]))])


def _turned(parts: list[tuple[Floats, Floats]]) -> Mesh:
    """Profiles of (radius, z) with normals, from the lower end to the upper, turned about z."""
    angles = 2 * np.pi * np.arange(_AROUND) / _AROUND
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    vertices: list[Floats] = []
    normals: list[Floats] = []
    faces: list[Indices] = []
    first = 0
    for profile, outward in parts:
        for values, found in ((profile, vertices), (outward, normals)):
            heights = np.broadcast_to(values[:, None, 1:], (len(values), _AROUND, 1))
            ring = np.concatenate([values[:, None, :1] * around, heights], axis=2)
            found.append(ring.reshape(-1, 3))
        ring_start, place = np.divmod(np.arange((len(profile) - 1) * _AROUND), _AROUND)
        low = first + ring_start * _AROUND + place
        beside = first + ring_start * _AROUND + (place + 1) % _AROUND
        corners = ((low, beside, beside + _AROUND), (low, beside + _AROUND, low + _AROUND))
        faces += [np.stack(triangle, 1) for triangle in corners]
        first += len(profile) * _AROUND
    return Mesh(np.concatenate(vertices), np.concatenate(normals), np.concatenate(faces))


def _box(extent: Floats) -> Mesh:
    vertices: list[Floats] = []
    normals: list[Floats] = []
    faces: list[tuple[int, int, int]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            normal = np.zeros(3)
            normal[axis] = sign
            u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
            first = 4 * len(normals)
            corners = [normal + sign * a * u + b * v for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            vertices.append(np.array(corners) * extent)
            normals.append(normal)
            faces += [(first, first + 1, first + 2), (first, first + 2, first + 3)]
    return Mesh(np.concatenate(vertices), np.repeat(normals, 4, axis=0), np.array(faces))
