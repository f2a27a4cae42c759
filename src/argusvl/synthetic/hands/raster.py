"""Triangles to pixels with a depth buffer, in numpy alone: no driver, no display, the same bytes on every run.

A hand has a few thousand triangles of a few pixels each. All pixels of all their boxes are tried in one go, which takes
numpy a few milliseconds for a picture; a loop over triangles, or a software OpenGL with its read-back, takes longer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Fragments:
    """The nearest surface at each pixel that shows one, P pixels in all.

    Attributes:
        pixel: ``[P]`` place in the picture by rows, ``y * width + x``; ascending.
        face: ``[P]`` which triangle.
        weight: ``[P, 3]`` of its corners: what is linear over the triangle in space is their weighted sum.
        depth: ``[P]`` z in the camera's frame.
    """

    pixel: Indices
    face: Indices
    weight: Floats32
    depth: Floats32

    def take(self, where: NDArray[np.bool_]) -> Fragments:
        """Only some of them; ``where`` is ``[P]``."""
        return Fragments(self.pixel[where], self.face[where], self.weight[where], self.depth[where])

    def of(self, values: Floats32, faces: NDArray[np.integer]) -> Floats32:
        """Values of the vertices ``[V, C]``, interpolated: ``[P, C]``."""
        corners = faces[self.face]
        result = values[corners[:, 0]] * self.weight[:, :1]
        result += values[corners[:, 1]] * self.weight[:, 1:2]
        result += values[corners[:, 2]] * self.weight[:, 2:]
        return result


def rasterise(
    points_px: NDArray[np.floating],
    depths: NDArray[np.floating],
    faces: NDArray[np.integer],
    size: tuple[int, int],
) -> Fragments:
    """What a picture shows of closed surfaces.

    Triangles are seen from outside, where their corners run counter-clockwise to the eye; one with a corner that is
    not before the camera is left out.

    Args:
        points_px: ``[V, 2]`` where the vertices are seen; (0, 0) is the picture's corner.
        depths: ``[V]`` their z.
        faces: ``[F, 3]`` corners of the triangles.
        size: ``(width, height)``.
    """
    width, height = size
    x, y = (points_px[faces, axis].astype(np.float64) for axis in (0, 1))  # [F, 3]
    z = depths[faces].astype(np.float64)
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    # First and last pixel whose centre may be inside.
    left = np.clip(np.ceil(x.min(1) - 0.5), 0, width)
    right = np.clip(np.floor(x.max(1) - 0.5), -1, width - 1)
    top = np.clip(np.ceil(y.min(1) - 0.5), 0, height)
    bottom = np.clip(np.floor(y.max(1) - 0.5), -1, height - 1)
    seen = np.flatnonzero((area < 0) & (z > 0).all(1) & (right >= left) & (bottom >= top))
    left, top = left[seen].astype(np.int32), top[seen].astype(np.int32)
    columns = right[seen].astype(np.int32) - left + 1
    counts = columns * (bottom[seen].astype(np.int32) - top + 1)

    face = np.repeat(np.arange(len(seen), dtype=np.int32), counts)
    place = np.arange(len(face), dtype=np.int32) - np.repeat(
        (np.cumsum(counts) - counts).astype(np.int32), counts
    )
    row = place // columns[face]
    px = left[face] + (place - row * columns[face])
    py = top[face] + row
    # Weight k is linear in the pixel: 1 at corner k, 0 on the opposite side. From the first corner, for float32's sake.
    x, y, z, area = x[seen], y[seen], z[seen], area[seen]
    k1, k2 = np.array([1, 2, 0]), np.array([2, 0, 1])
    by_x, by_y = (y[:, k1] - y[:, k2]) / area[:, None], (x[:, k2] - x[:, k1]) / area[:, None]
    dx = px.astype(np.float32) + np.float32(0.5) - x[:, 0].astype(np.float32)[face]
    dy = py.astype(np.float32) + np.float32(0.5) - y[:, 0].astype(np.float32)[face]
    by_x, by_y = by_x.astype(np.float32), by_y.astype(np.float32)
    second = dx * by_x[face, 1] + dy * by_y[face, 1]
    third = dx * by_x[face, 2] + dy * by_y[face, 2]
    first = 1 - second - third
    inside = np.flatnonzero((first >= 0) & (second >= 0) & (third >= 0))
    face, first, second, third = face[inside], first[inside], second[inside], third[inside]
    pixel = py[inside] * np.int32(width) + px[inside]
    # 1/z is linear in the picture, and with it the weights over z.
    over = (1 / z).astype(np.float32)
    weight = np.stack([first * over[face, 0], second * over[face, 1], third * over[face, 2]], axis=1)
    nearness = weight.sum(1)
    # The bits of positive floats are in their order: the nearest wins, of equals the one that comes last.
    key = (nearness.view(np.uint32).astype(np.uint64) << np.uint64(32)) | np.arange(
        len(face), dtype=np.uint64
    )
    best = np.zeros(width * height, dtype=np.uint64)
    np.maximum.at(best, pixel, key)
    shown = np.flatnonzero(best)
    winner = (best[shown] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    depth = 1 / nearness[winner]
    return Fragments(shown, seen[face[winner]], weight[winner] * depth[:, None], depth)
