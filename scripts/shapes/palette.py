"""Colours that have one name.

Each name has ranges of hue, saturation and value that lie well inside what people call by it, with gaps between
neighbours: no drawn colour is between red and orange, or between grey and white.
"""

from __future__ import annotations

import colorsys
from random import Random

from argusvl.synthetic.canvas import Colour

Range = tuple[float, float]

_RANGES: dict[str, tuple[tuple[Range, Range, Range], ...]] = {
    # hue in degrees, saturation, value
    "red": (((-6, 4), (0.78, 1.0), (0.62, 0.95)),),
    "orange": (((23, 31), (0.82, 1.0), (0.9, 1.0)),),
    "yellow": (((49, 57), (0.65, 1.0), (0.86, 1.0)),),
    "green": (((100, 145), (0.5, 0.95), (0.38, 0.8)),),
    "cyan": (((176, 190), (0.5, 1.0), (0.68, 0.95)),),
    "blue": (((212, 232), (0.62, 1.0), (0.5, 1.0)),),
    "purple": (((266, 288), (0.45, 0.85), (0.4, 0.8)),),
    "pink": (((325, 350), (0.25, 0.5), (0.86, 1.0)),),
    "brown": (((18, 30), (0.5, 0.75), (0.3, 0.48)),),
    "black": (((0, 360), (0.0, 0.15), (0.03, 0.13)),),
    "grey": (((0, 360), (0.0, 0.07), (0.4, 0.62)),),
    "white": (((0, 360), (0.0, 0.04), (0.92, 1.0)),),
}

_STAINED: dict[str, tuple[tuple[Range, Range, Range], ...]] = {
    # As under a microscope: paler, and the pink of stained blood.
    "pink": (((-12, 14), (0.16, 0.34), (0.72, 0.95)),),
    "purple": (((252, 282), (0.4, 0.7), (0.45, 0.72)),),
    "blue": (((212, 230), (0.5, 0.8), (0.55, 0.85)),),
    "green": (((110, 150), (0.35, 0.6), (0.55, 0.8)),),
    "brown": (((18, 30), (0.45, 0.65), (0.4, 0.52)),),
}


def random_colour(rng: Random, name: str, *, stained: bool = False) -> Colour:
    """A colour that is called ``name``; ``stained`` for the paler ones of a microscope's picture."""
    ranges = _STAINED.get(name, _RANGES[name]) if stained else _RANGES[name]
    hue, saturation, value = (rng.uniform(*span) for span in rng.choice(ranges))
    return _rgb(hue / 360 % 1.0, saturation, value)


def random_ground_colour(rng: Random) -> Colour:
    """A colour of a background: any, mostly dull."""
    saturation = rng.choice((rng.uniform(0.0, 0.12), rng.uniform(0.05, 0.35), rng.uniform(0.2, 0.7)))
    return _rgb(rng.random(), saturation, rng.choice((rng.uniform(0.1, 1), rng.uniform(0.6, 1))))


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    r, g, b = (round(255 * v) for v in colorsys.hsv_to_rgb(hue, saturation, value))
    return r, g, b
