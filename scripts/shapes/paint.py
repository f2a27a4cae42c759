"""What a surface looks like: a colour, a second one woven into it, and how light falls on it.

A paint is evaluated on a grid of the object's own coordinates, so that its pattern turns and moves with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from argusvl.synthetic.canvas import Colour

Plane = NDArray[np.floating[Any]]  # float32 in fact; numpy's types widen it

Weave = Callable[[Plane, Plane], Plane]
"""Share of the second colour, 0 to 1, at points ``u, v`` of the object's frame, in pixels."""


@dataclass(frozen=True, slots=True)
class Light:
    """Light on a surface.

    Attributes:
        slope: Change of brightness over ``reach`` to the right and downwards in the object's frame, as fractions.
        bulge: How much darker the rim of a ball is than its middle, as a fraction; negative for a bowl.
        reach: Half of the object's size in pixels.
    """

    slope: tuple[float, float]
    bulge: float
    reach: float


@dataclass(frozen=True, slots=True)
class Paint:
    """A surface of a colour, and of another where the weave has it; ``light`` ``None``: lit evenly."""

    colour: Colour
    other: Colour = (0, 0, 0)
    weave: Weave | None = None
    light: Light | None = None

    def planes(self, u: Plane, v: Plane) -> Plane:
        """The colours ``[3, h, w]`` (or ``[3, 1, 1]`` where they are all the same) at points ``[h, w]``."""
        base: Plane = np.array(self.colour, dtype=np.float32)[:, None, None]
        if self.weave is not None:
            base = base + (np.array(self.other, dtype=np.float32)[:, None, None] - base) * self.weave(u, v)
        if self.light is not None:
            light = self.light
            factor = 1 + (light.slope[0] * u + light.slope[1] * v) / light.reach
            if light.bulge:
                factor = factor + light.bulge * (0.5 - (u * u + v * v) / (light.reach * light.reach))
            base = np.minimum(base * factor, 255.0)
        return base


def stripes(pitch: float, degrees: float, share: float, waviness: float = 0.0) -> Weave:
    """Stripes of ``pitch`` pixels, of which ``share`` has the second colour."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def weave(u: Plane, v: Plane) -> Plane:
        along = u * cos + v * sin
        if waviness:
            along = along + waviness * pitch * np.sin((v * cos - u * sin) * (2.2 / pitch))
        return _edge(_triangle_wave(along / pitch), share, pitch)

    return weave


def checks(pitch: float, degrees: float) -> Weave:
    """A chessboard of squares of ``pitch`` pixels."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def weave(u: Plane, v: Plane) -> Plane:
        first = _edge(_triangle_wave((u * cos + v * sin) / (2 * pitch)), 0.5, 2 * pitch)
        second = _edge(_triangle_wave((v * cos - u * sin) / (2 * pitch)), 0.5, 2 * pitch)
        return first + second - 2 * first * second

    return weave


def dots(pitch: float, degrees: float, share: float) -> Weave:
    """Round dots in a square grid; ``share`` is a dot's diameter over the pitch."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def weave(u: Plane, v: Plane) -> Plane:
        a, b = (u * cos + v * sin) / pitch, (v * cos - u * sin) / pitch
        a, b = a - np.rint(a), b - np.rint(b)
        return np.clip((0.5 * share - np.sqrt(a * a + b * b)) * pitch + 0.5, 0, 1)

    return weave


def grading(reach: float, degrees: float | None) -> Weave:
    """From the first colour to the second across the object, or from its middle outwards when not directed."""
    if degrees is None:
        return lambda u, v: np.clip(np.sqrt(u * u + v * v) / reach, 0, 1)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return lambda u, v: np.clip(0.5 + 0.62 * (u * cos + v * sin) / reach, 0, 1)


def mottle(rng: Random, size: float, strength: float, *, crisp: bool = False) -> Weave:
    """Irregular blotches of about ``size`` pixels; ``crisp`` ones are granules."""
    seed = rng.getrandbits(32)

    def weave(u: Plane, v: Plane) -> Plane:
        height, width = np.broadcast_shapes(u.shape, v.shape)
        field = smooth_noise(np.random.default_rng(seed), width, height, size)
        return strength * np.clip(2.2 * field - 0.6 if crisp else 0.5 + 0.5 * field, 0, 1)

    return weave


def smooth_noise(generator: np.random.Generator, width: int, height: int, size: float) -> Plane:
    """A smooth random field ``[height, width]`` of about unit variance, with features of ``size`` pixels."""
    columns, rows = max(2, math.ceil(width / size) + 1), max(2, math.ceil(height / size) + 1)
    coarse = generator.standard_normal((rows, columns), dtype=np.float32)
    if size <= 1:
        return coarse[:height, :width]
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _triangle_wave(t: Plane) -> Plane:
    """Distance to the nearest whole number, 0 to 0.5."""
    return np.abs(t - np.rint(t))


def _edge(distance: Plane, share: float, pitch: float) -> Plane:
    """1 where the distance is below half the share, with an edge of a pixel."""
    return np.clip((0.5 * share - distance) * pitch + 0.5, 0, 1)
