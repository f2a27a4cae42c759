"""Drawing under a perspective view, with the extent of what is drawn.

Every point goes through one projective map before it is painted, so that the box of an object is the extent of
its own outline in the picture: exact under rotation and perspective, with nothing to search in the pixels.
Coordinates are pixels of the finished picture, origin at the top left corner of the first pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]
Matrix = tuple[float, float, float, float, float, float, float, float, float]

SUPERSAMPLE = 2  # painted at twice the size and averaged: smooth edges at a quarter of 4x's cost

_CIRCLE = {
    n: [(math.cos(2 * math.pi * i / n), math.sin(2 * math.pi * i / n)) for i in range(n)] for n in (6, 12, 20)
}


class Rect(NamedTuple):
    """An upright rectangle: left, top, right, bottom."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Length of the upper side."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Length of the left side."""
        return self.y1 - self.y0

    @property
    def centre(self) -> Point:
        """Where the diagonals cross."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def area(self) -> float:
        """0 when the rectangle is inverted."""
        return max(0.0, self.width) * max(0.0, self.height)

    def grown(self, margin: float) -> Rect:
        """The same rectangle with every side moved outwards."""
        return Rect(self.x0 - margin, self.y0 - margin, self.x1 + margin, self.y1 + margin)

    def clipped(self, other: Rect) -> Rect:
        """The common part; inverted where there is none (its ``area`` is 0)."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Rect(x0, y0, min(self.x1, other.x1), min(self.y1, other.y1))

    def touches(self, other: Rect) -> bool:
        """Whether the two have a common area."""
        return self.clipped(other).area > 0

    def holds(self, point: Point) -> bool:
        """Whether the point is inside."""
        return self.x0 <= point[0] <= self.x1 and self.y0 <= point[1] <= self.y1


class Canvas:
    """A picture being painted, and the extent of what was painted since :meth:`begin`."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * SUPERSAMPLE, height * SUPERSAMPLE))
        # Mode RGBA on an RGB image: a fill with four components is blended, one with three is laid on.
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        self.begin()

    def begin(self) -> None:
        """Forgets the extent so far."""
        self._low = [math.inf, math.inf]
        self._high = [-math.inf, -math.inf]

    def extent(self) -> Rect:
        """Extent of the solid shapes painted since :meth:`begin`, not clipped to the picture."""
        return Rect(*(v / SUPERSAMPLE for v in (*self._low, *self._high)))

    def finished(self) -> Image.Image:
        """The picture at its final size."""
        return self._image.reduce(SUPERSAMPLE)

    def fill_polygon(self, points: Sequence[Point], fill: tuple[int, ...], counted: bool) -> None:
        """Paints a polygon given in supersampled pixels."""
        if counted:
            self._count(points, 0.0)
        # Pillow paints the pixels whose centres have whole coordinates, both ends included.
        self._draw.polygon([(x - 0.5, y - 0.5) for x, y in points], fill=fill)

    def stroke(self, points: Sequence[Point], width: float, fill: tuple[int, ...], counted: bool) -> None:
        """Paints a line through points given in supersampled pixels."""
        if counted:
            self._count(points, width / 2)
        pixels = max(1, round(width))
        joint = "curve" if pixels > 3 else None
        self._draw.line([(x - 0.5, y - 0.5) for x, y in points], fill=fill, width=pixels, joint=joint)

    def _count(self, points: Sequence[Point], margin: float) -> None:
        xs = [p[0] for p in points]
        ys = [p[1] for p in points]
        self._low = [min(self._low[0], min(xs) - margin), min(self._low[1], min(ys) - margin)]
        self._high = [max(self._high[0], max(xs) + margin), max(self._high[1], max(ys) + margin)]


class Pen:
    """Paints on a canvas through a projective map; :meth:`at` gives a pen in a local frame.

    Args:
        canvas: What is painted on.
        matrix: Local coordinates → pixels of the finished picture, a 3 × 3 matrix by rows.
    """

    def __init__(self, canvas: Canvas, matrix: Matrix) -> None:
        self._canvas = canvas
        self._matrix = matrix
        a, b, _, d, e, _, _, _, i = matrix
        self._scale = math.sqrt(abs(a * e - b * d)) / abs(i) * SUPERSAMPLE

    def at(self, x: float, y: float, degrees: float = 0.0) -> Pen:
        """A pen whose origin is at a point of this one's frame, turned clockwise."""
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        return Pen(self._canvas, multiply(self._matrix, (cos, -sin, x, sin, cos, y, 0.0, 0.0, 1.0)))

    def polygon(self, points: Iterable[Point], fill: tuple[int, ...], *, counted: bool = True) -> None:
        """A filled polygon; ``counted=False`` for what is no part of the object, such as its shadow."""
        self._canvas.fill_polygon([self._project(p) for p in points], fill, counted)

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, fill: tuple[int, ...], *, counted: bool = True
    ) -> None:
        """A filled rectangle, upright in the local frame."""
        self.polygon(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), fill, counted=counted)

    def slanted(
        self, lower: tuple[float, float, float], upper: tuple[float, float, float], fill: tuple[int, ...]
    ) -> None:
        """A filled trapezoid between two level sides, each its y and where it begins and ends."""
        (y, x0, x1), (top, x2, x3) = lower, upper
        self.polygon([(x0, y), (x1, y), (x3, top), (x2, top)], fill)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, fill: tuple[int, ...], *, sides: int = 20, **how: bool
    ) -> None:
        """A filled ellipse, as a :meth:`polygon` of 6, 12 or 20 sides; six make a hexagon."""
        self.polygon([(x + rx * c, y + ry * s) for c, s in _CIRCLE[sides]], fill, **how)

    def line(
        self, points: Sequence[Point], width: float, fill: tuple[int, ...], *, counted: bool = True
    ) -> None:
        """A line through points; its width is in pixels of the finished picture."""
        self._canvas.stroke([self._project(p) for p in points], width * self._scale, fill, counted)

    def shaded(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, contrast: float, steps: int = 5
    ) -> None:
        """A rectangle lit from above: lighter at the top by ``contrast``, darker at the bottom."""
        for i in range(steps):
            top, bottom = y0 + (y1 - y0) * i / steps, y0 + (y1 - y0) * (i + 1) / steps
            self.rect(x0, top, x1, bottom, shade(colour, 1 + contrast * (1 - 2 * (i + 0.5) / steps)))

    def bevel(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, width: float = 1.0) -> None:
        """Light upper and left edges, dark lower and right ones: a plate that stands out."""
        light, dark = shade(colour, 1.28), shade(colour, 0.55)
        self.rect(x0, y0, x1, y0 + width, light)
        self.rect(x0, y0, x0 + width, y1, light)
        self.rect(x0, y1 - width, x1, y1, dark)
        self.rect(x1 - width, y0, x1, y1, dark)

    def _project(self, point: Point) -> Point:
        a, b, c, d, e, f, g, h, i = self._matrix
        x, y = point
        w = (g * x + h * y + i) / SUPERSAMPLE
        return (a * x + b * y + c) / w, (d * x + e * y + f) / w


def unit_of(width: int, height: int) -> float:
    """Length of a pixel of a picture of 448 × 336, in the pixels of one of this size."""
    return math.sqrt(width * height / (448 * 336))


def multiply(m: Matrix, n: Matrix) -> Matrix:
    """``m · n``: apply ``n`` first."""
    a, b, c, d, e, f, g, h, i = (
        sum(m[3 * row + k] * n[3 * k + column] for k in range(3)) for row in range(3) for column in range(3)
    )
    return a, b, c, d, e, f, g, h, i


def quad_to_quad(source: Sequence[Point], target: Sequence[Point]) -> Matrix:
    """The projective map that takes four points to four others."""
    rows: list[list[float]] = []
    values: list[float] = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    a, b, c, d, e, f, g, h = (float(value) for value in np.linalg.solve(np.array(rows), np.array(values)))
    return a, b, c, d, e, f, g, h, 1.0


def project_rect(matrix: Matrix, rect: Rect) -> Rect:
    """The upright hull of a rectangle's image."""
    a, b, c, d, e, f, g, h, i = matrix
    corners = [(x, y) for x in (rect.x0, rect.x1) for y in (rect.y0, rect.y1)]
    us = [(a * x + b * y + c) / (g * x + h * y + i) for x, y in corners]
    vs = [(d * x + e * y + f) / (g * x + h * y + i) for x, y in corners]
    return Rect(min(us), min(vs), max(us), max(vs))


def shade(colour: Colour, factor: float) -> Colour:
    """Lighter (> 1) or darker (< 1)."""
    r, g, b = (min(255, max(0, round(channel * factor))) for channel in colour)
    return r, g, b


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``first`` with a share of ``second``."""
    r, g, b = (round(p + (q - p) * share) for p, q in zip(first, second, strict=True))
    return r, g, b
