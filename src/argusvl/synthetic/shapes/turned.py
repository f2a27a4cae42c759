"""Figures as from a lathe: a foot and stem that many share, and a top that tells them apart.

A profile (half width by height) is revolved: lit from one side, and seen a little from above, so that its rims
are ellipses. Light and dark ones are kinds of their own, as in games for two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from argusvl.synthetic.canvas import mix, shade
from argusvl.synthetic.shapes import outlines
from argusvl.synthetic.shapes.look import WHITE, Draw, Kind, Look
from argusvl.synthetic.shapes.outlines import Outline
from argusvl.synthetic.shapes.paint import Paint, Plane
from argusvl.synthetic.shapes.sheet import Sheet

Profile = Sequence[tuple[float, float]]
"""Height (0 at the foot, 1 at the top) and half width, both as shares of the whole height, upwards."""

_STEMS: dict[str, tuple[Profile, float]] = {
    # from the foot to the collar, and the height at which the top begins
    "A": (
        (
            (0, 0.21),
            (0.07, 0.21),
            (0.1, 0.17),
            (0.16, 0.14),
            (0.4, 0.075),
            (0.56, 0.07),
            (0.58, 0.13),
            (0.62, 0.13),
        ),
        0.62,
    ),
    "B": (
        (
            (0, 0.24),
            (0.1, 0.24),
            (0.12, 0.19),
            (0.3, 0.17),
            (0.5, 0.1),
            (0.53, 0.15),
            (0.57, 0.1),
            (0.6, 0.1),
        ),
        0.6,
    ),
    "C": (
        (
            (0, 0.2),
            (0.05, 0.2),
            (0.08, 0.09),
            (0.22, 0.16),
            (0.34, 0.16),
            (0.5, 0.08),
            (0.54, 0.14),
            (0.6, 0.11),
        ),
        0.6,
    ),
}
_TOPS: dict[str, Profile] = {
    "ball": tuple(
        (0.33 - 0.33 * math.cos(a), 0.02 + 0.13 * math.sin(a)) for a in np.linspace(0.3, math.pi, 9)
    ),
    "cone": ((0, 0.15), (0.06, 0.16), (1.0, 0.005)),
    "crown": ((0, 0.08), (0.5, 0.13), (0.86, 0.17), (0.88, 0.06), (1.0, 0.045)),
    "slit": ((0, 0.07), (0.15, 0.11), (0.4, 0.125), (0.7, 0.08), (0.86, 0.03), (0.9, 0.04), (1.0, 0.01)),
    "tower": ((0, 0.1), (0.3, 0.11), (0.32, 0.16), (0.95, 0.16)),
    "cross": ((0, 0.08), (0.35, 0.14), (0.48, 0.13), (0.56, 0.04), (0.58, 0.03)),
    "disc": ((0, 0.06), (0.3, 0.06), (0.34, 0.19), (0.5, 0.19), (0.54, 0.08), (0.66, 0.03)),
    "horse": ((0, 0.13), (0.06, 0.13)),
}
"""Tops, from the collar (0) to the figure's highest point (1)."""


def _figure(stem: str, top: str) -> Draw:
    profile, collar = _STEMS[stem]
    rest = 1 - collar
    whole = [*profile, *((collar + rest * t, w) for t, w in _TOPS[top])]
    heights = np.array([t for t, _ in whole])
    widths = np.array([w for _, w in whole])

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        above = rng.uniform(0.12, 0.36)  # height over width of a rim's ellipse
        stretch = rng.uniform(0.94, 1.06)
        tall = 1.84 * r
        # The lowest point of the foot's ellipse is 0.95 r below the middle.
        base = 0.95 * r - above * stretch * float(widths[0]) * tall
        fine = np.linspace(0, float(heights[-1]), 56)
        half = np.interp(fine, heights, widths) * stretch * tall
        y = base - fine * (base + 0.93 * r)
        body = np.concatenate([np.stack((half, y), 1), np.stack((-half, y), 1)[::-1]])
        foot = outlines.ellipse(0, base, float(half[0]), above * float(half[0]))
        paint = _revolved(look, y, half)
        crest = _crest(top, r, rest * (base + 0.93 * r), float(base - collar * (base + 0.93 * r)))
        sheet.lay(paint, body, foot, *crest)
        # Rims that face upwards are lighter, and hide what is behind them.
        edge = look.tint(0.35) if not look.dark else look.tint(0.28)
        rims = [
            outlines.arc(0, 0, w * stretch * tall, 8, 172, 12) * (1, above)
            + (0, base - t * (base + 0.93 * r))
            for t, w in whole[1:]
            if w > 0.125 and t > 0.04
        ]
        groove = look.tint(0.3) if look.dark else look.shade(0.6)
        sheet.trace(groove, 0.02 * r, *rims, closed=False, atop=True)
        dark = Paint(shade(look.colour, 0.35) if not look.dark else mix(look.colour, WHITE, 0.3))
        if top == "slit":
            line = outlines.points((0.0, -0.78 * r), (0.11 * r, -0.5 * r))
            sheet.trace(dark, 0.05 * r, line, closed=False, atop=True)
        elif top == "tower":
            width = 0.16 * stretch * tall
            mouth = outlines.ellipse(0, -0.82 * r, 0.86 * width, 0.86 * above * width)
            sheet.lay(edge, outlines.ellipse(0, -0.82 * r, width, above * width), atop=True)
            sheet.lay(dark, mouth, atop=True)
        elif top == "horse":
            eye = outlines.ellipse(-0.1 * r, -0.62 * r, 0.035 * r, 0.035 * r, 8)
            mane = outlines.points((0.1 * r, -0.8 * r), (0.24 * r, -0.5 * r), (0.24 * r, -0.15 * r))
            sheet.lay(dark, eye, atop=True)
            sheet.trace(dark, 0.03 * r, mane, closed=False, atop=True)
        glint = rng.uniform(0, 0.8)
        if glint > 0.2:
            side = rng.choice((-0.4, 0.3))
            line = np.stack((side * half, y), 1)[4:-3]
            sheet.trace(Paint(WHITE), 0.025 * r, line, closed=False, atop=True, opacity=glint, soft=0.03 * r)

    return draw


def _revolved(look: Look, y: Plane, half: Plane) -> Paint:
    """The shading of a body of revolution: dark towards the sides, lighter where it faces upwards."""
    order = np.argsort(y)
    ys, ws = y[order], np.maximum(half[order], 0.3)
    slope = np.gradient(ws) / np.maximum(np.gradient(ys), 1e-3)
    tilt = np.clip(slope, -1.5, 1.5)
    side = look.rng.uniform(-0.75, 0.75)
    depth = look.rng.uniform(0.5, 0.9)

    def weave(u: Plane, v: Plane) -> Plane:
        across = np.clip(u / np.interp(v, ys, ws).astype(np.float32), -1, 1)
        facing = np.sqrt(1 - across * across)
        lit = 0.75 * facing + side * across + 0.22 * np.interp(v, ys, tilt).astype(np.float32)
        return np.clip(depth * (0.95 - lit), 0, 0.85)

    if look.dark:
        return Paint(mix(look.colour, WHITE, 0.3), look.colour, weave)
    return Paint(mix(look.colour, WHITE, 0.12), shade(look.colour, 0.25), weave)


def _crest(top: str, r: float, tall: float, collar: float) -> list[Outline]:
    """What stands on a top and is not revolved."""
    if top == "cross":
        y, s = -0.78 * r, 0.15 * r
        return [
            outlines.moved(outlines.cross(s, 0.5), 0, y),
            outlines.rect(-0.04 * r, y, 0.04 * r, collar - 0.5 * tall),
        ]
    if top == "crown":
        return [
            outlines.points((x - 0.07 * r, -0.7 * r), (x * 1.12, -0.9 * r), (x + 0.07 * r, -0.7 * r))
            for x in (-0.25 * r, -0.09 * r, 0.09 * r, 0.25 * r)
        ]
    if top == "horse":
        outline = outlines.points(
            (-0.24, 0.02),
            (0.3, 0.02),
            (0.33, -0.3),
            (0.24, -0.66),
            (0.08, -0.88),
            (0.0, -0.98),
            (-0.04, -0.84),
            (-0.2, -0.7),
            (-0.42, -0.42),
            (-0.38, -0.3),
            (-0.26, -0.32),
            (-0.08, -0.4),
            (-0.16, -0.2),
        )
        return [outline * (r, tall) + (0, collar)]
    return []


_LIGHT = ("white", "yellow", "pink", "orange", "cyan")
_DARK = ("black", "brown", "blue", "purple", "green", "red")

TURNED: dict[str, Kind] = {
    f"{tone} turned {top} {stem}": Kind(_figure(stem, top), 15.0, 0.7, colours, sway=6.0, stands=True)
    for tone, colours in (("light", _LIGHT), ("dark", _DARK))
    for stem in _STEMS
    for top in _TOPS
}
