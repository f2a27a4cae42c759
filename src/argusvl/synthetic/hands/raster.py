"""Triangles to pixels with a depth buffer, in numpy alone: no driver, no display, the same bytes on every run.

A hand has a few thousand triangles of a few pixels each. All are taken apart into rows, and all rows into pixels, in
one go, which takes numpy a few milliseconds for a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argusvl.synthetic.hands.arrays import Floats32, Indices


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

    def take(self, where: NDArray[np.bool_ | np.int64]) -> Fragments:
        """Only some of them, by a mask or by their places."""
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
    """What a picture shows of closed surfaces, by their vertices' pixels ``[V, 2]`` and depths ``[V]``.

    Triangles ``[F, 3]`` are seen from outside, where their corners run counter-clockwise to the eye; one with a corner
    that is not before the camera is left out. The size is ``(width, height)``; pixel (0, 0) is the picture's corner.
    """
    width, height = size
    corners = points_px[faces].astype(np.float64)  # [F, 3, 2]
    x, y, z = corners[..., 0], corners[..., 1], depths[faces].astype(np.float64)
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    # First and last row whose centres may be inside.
    top = np.clip(np.ceil(y.min(1) - 0.5), 0, height)
    bottom = np.clip(np.floor(y.max(1) - 0.5), -1, height - 1)
    seen = np.flatnonzero((area < 0) & (z > 0).all(1) & (bottom >= top))
    x, y, z, area = x[seen], y[seen], z[seen], area[seen]
    # Weight k is linear in the picture: 1 at corner k, 0 on the opposite side. Counted from the first corner.
    k1, k2 = np.array([1, 2, 0]), np.array([2, 0, 1])
    by_x, by_y = (y[:, k1] - y[:, k2]) / area[:, None], (x[:, k2] - x[:, k1]) / area[:, None]

    # Each triangle row by row: in a row it reaches from where a weight becomes positive to where one becomes negative.
    top, bottom = top[seen].astype(np.int64), bottom[seen].astype(np.int64)
    of_row, row = _runs(top, bottom - top + 1)
    down = row + 0.5 - y[of_row, 0]
    at_left = by_y[of_row] * down[:, None]  # weights in this row, below the first corner
    at_left[:, 0] += 1
    slope = by_x[of_row]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -at_left / slope
    first_x = np.where(slope > 0, crossing, -np.inf).max(1) + x[of_row, 0]
    last_x = np.where(slope < 0, crossing, np.inf).min(1) + x[of_row, 0]
    left = np.clip(np.ceil(first_x - 0.5), 0, width).astype(np.int64)
    right = np.clip(np.floor(last_x - 0.5), -1, width - 1).astype(np.int64)
    of_pixel, column = _runs(left, np.maximum(right - left + 1, 0))

    face = of_row[of_pixel]
    across = (column + 0.5 - x[face, 0]).astype(np.float32)
    slope, at_left = slope.astype(np.float32), at_left.astype(np.float32)
    # 1/z is linear in the picture, and with it the weights over z.
    over = (1 / z).astype(np.float32)
    weight = np.maximum(at_left[of_pixel] + slope[of_pixel] * across[:, None], 0) * over[face]
    nearness = weight[:, 0] + weight[:, 1] + weight[:, 2]
    pixel = row[of_pixel] * width + column
    # The bits of positive floats are in their order: the nearest wins, of equals the one that comes last.
    bits = nearness.view(np.uint32).astype(np.uint64)
    key = (bits << np.uint64(32)) | np.arange(len(face), dtype=np.uint64)
    best = np.zeros(width * height, dtype=np.uint64)
    np.maximum.at(best, pixel, key)
    shown = np.flatnonzero(best)
    winner = (best[shown] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    depth = 1 / nearness[winner]
    return Fragments(shown, seen[face[winner]], weight[winner] * depth[:, None], depth)


def _runs(starts: Indices, counts: Indices) -> tuple[Indices, Indices]:
    """Numbers that count up from each start, one after the other: whose each is, and the numbers."""
    whose = np.repeat(np.arange(len(starts)), counts)
    before = np.cumsum(counts) - counts
    return whose, np.arange(len(whose)) + (starts - before)[whose]
