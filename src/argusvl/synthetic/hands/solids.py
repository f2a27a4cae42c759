"""Simple solids by kind and size: their surface, the distance to it, and the triangles that it is drawn by.

Each stands in its own frame, metres, its centre in the origin; what has an axis has it along z, and a cone's tip is up
(+z). All look the same in a mirror, so a mirrored one is the same solid.

| kind | size |
|---|---|
| ``box`` | its sides along x, y, z |
| ``sphere`` | radius |
| ``cylinder``, ``cone`` | radius, height |
| ``capsule`` | radius, height of the straight part: it is ``height + 2 * radius`` long |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from argusvl.core.errors import DataError
from argusvl.synthetic.hands.arrays import Floats, Generator, Indices

SIZES = {"box": 3, "cylinder": 2, "sphere": 1, "capsule": 2, "cone": 2}
"""Kind → how many numbers its size has."""

KINDS = tuple(SIZES)

_AROUND = 40  # corners of a ring of triangles
_ROUND = 8  # rings from the middle of a round end to its pole


@dataclass(frozen=True, slots=True)
class Primitive:
    """One solid; what its size in metres is says the table of the module.

    Raises:
        DataError: There is no such kind, or the size is none of it.
    """

    kind: str
    size: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.kind not in SIZES:
            what, remedy = f"no solid is known as {self.kind!r}", f"the kinds are {', '.join(KINDS)}"
            raise DataError(what, where="Primitive", remedy=remedy)
        size = tuple(float(value) for value in self.size)
        if len(size) != SIZES[self.kind] or not all(0 < value < np.inf for value in size):
            remedy = f"give {SIZES[self.kind]} positive numbers, in metres"
            raise DataError(f"{list(size)} is no size of a {self.kind}", where="Primitive", remedy=remedy)
        object.__setattr__(self, "size", size)

    @property
    def extent(self) -> Floats:
        """``[3]``: half of its sides along x, y, z."""
        match self.kind, self.size:
            case "box", (x, y, z):
                return np.array([x, y, z]) / 2
            case "sphere", (radius,):
                return np.full(3, radius)
            case "capsule", (radius, height):
                return np.array([radius, radius, radius + height / 2])
            case _, (radius, height):
                return np.array([radius, radius, height / 2])
        raise AssertionError(self.kind)

    def distance(self, points: Floats) -> Floats:
        """``[..., 3]`` in its frame → ``[...]`` distance to the surface, negative inside."""
        match self.kind:
            case "sphere":
                return np.asarray(np.linalg.norm(points, axis=-1) - self.size[0])
            case "capsule":
                half = self.size[1] / 2
                nearest = np.clip(points[..., 2], -half, half)
                across = np.hypot(points[..., 0], points[..., 1])
                return np.asarray(np.hypot(across, points[..., 2] - nearest) - self.size[0])
            case "box":
                beyond = np.abs(points) - self.extent
                outside = np.linalg.norm(np.maximum(beyond, 0), axis=-1)
                return np.asarray(outside + np.minimum(beyond.max(-1), 0))
        return self._distance_of_turned(points)

    def surface(self, count: int, generator: Generator) -> tuple[Floats, Floats]:
        """Points spread evenly over the surface.

        Returns:
            ``[count, 3]`` points and ``[count, 3]`` unit normals that point outwards, in the solid's frame.
        """
        match self.kind:
            case "sphere":
                normals = _directions(count, generator)
                return normals * self.size[0], normals
            case "capsule":
                return self._surface_of_capsule(count, generator)
            case "box":
                return self._surface_of_box(count, generator)
        profile = self._profile()
        start, end = profile[:-1], profile[1:]
        side = end - start
        areas = (start[:, 0] + end[:, 0]) * np.linalg.norm(side, axis=1)
        part = generator.choice(len(areas), count, p=areas / areas.sum())
        # Rings grow with their radius: even in its square, along a part on which it changes.
        share, angle = generator.uniform(size=count), generator.uniform(0, 2 * np.pi, count)
        first, last = start[part, 0], end[part, 0]
        radius = np.sqrt(first**2 + share * (last**2 - first**2))
        changes = first != last
        share = np.where(changes, (radius - first) / np.where(changes, last - first, 1), share)
        height = start[part, 1] + share * side[part, 1]
        outward = _outward(profile)[part]
        around = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points = np.concatenate([around * radius[:, None], height[:, None]], axis=1)
        normals = np.concatenate([around * outward[:, :1], outward[:, 1:]], axis=1)
        return points, normals

    def _profile(self) -> Floats:
        """Corners ``[N, 2]`` of (radius, z) whose turning about z gives the solid, from the lower end to the upper."""
        radius, height = self.size
        low, high = -height / 2, height / 2
        if self.kind == "cone":
            return np.array([[0, low], [radius, low], [0, high]])
        return np.array([[0, low], [radius, low], [radius, high], [0, high]])

    def _distance_of_turned(self, points: Floats) -> Floats:
        profile = self._profile()
        start, side = profile[:-1], np.diff(profile, axis=0)
        place = np.stack([np.hypot(points[..., 0], points[..., 1]), points[..., 2]], axis=-1)[..., None, :]
        along = ((place - start) * side).sum(-1) / (side * side).sum(-1)
        away = place - start - np.clip(along, 0, 1)[..., None] * side
        nearest = np.linalg.norm(away, axis=-1).min(-1)
        # Convex: inside of each part, or not inside.
        beyond = ((place - start) * _outward(profile)).sum(-1).max(-1)
        return np.asarray(np.where(beyond < 0, -nearest, nearest))

    def _surface_of_capsule(self, count: int, generator: Generator) -> tuple[Floats, Floats]:
        radius, height = self.size
        normals = _directions(count, generator)
        on_side = generator.uniform(size=count) < height / (height + 2 * radius)
        flat = normals[on_side] * [1, 1, 0]
        normals[on_side] = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        points = normals * radius
        along = np.where(on_side, generator.uniform(-0.5, 0.5, count), np.sign(normals[:, 2]) / 2)
        points[:, 2] += along * height
        return points, normals

    def _surface_of_box(self, count: int, generator: Generator) -> tuple[Floats, Floats]:
        x, y, z = self.size
        areas = np.array([y * z, x * z, x * y])
        axis = generator.choice(3, count, p=areas / areas.sum())
        sign = np.where(generator.uniform(size=count) < 0.5, -1.0, 1.0)
        normals = np.zeros((count, 3))
        normals[np.arange(count), axis] = sign
        points = generator.uniform(-1, 1, (count, 3))
        points[np.arange(count), axis] = sign
        return points * self.extent, normals


def _outward(profile: Floats) -> Floats:
    """Unit normals ``[N - 1, 2]`` of a profile's parts."""
    side = np.diff(profile, axis=0)
    across = np.stack([side[:, 1], -side[:, 0]], axis=1)
    return np.asarray(across / np.linalg.norm(side, axis=1, keepdims=True))


def _directions(count: int, generator: Generator) -> Floats:
    drawn = generator.standard_normal((count, 3))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


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
