"""What grows: fruit, leaves by their edge, flowers by their petals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from argusvl.synthetic.canvas import shade
from argusvl.synthetic.shapes import outlines
from argusvl.synthetic.shapes.look import BLACK, WHITE, Draw, Kind, Look
from argusvl.synthetic.shapes.outlines import Outline
from argusvl.synthetic.shapes.paint import Paint, dots, grading, mottle
from argusvl.synthetic.shapes.sheet import Sheet
from argusvl.synthetic.shapes.terms import CHROMATIC


def _flower(count: int) -> Draw:
    """Petals around a heart of another colour."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        long = 0.36 * r
        wide = long * min(1.0, rng.uniform(4.4, 5.6) / count)
        petals = [
            outlines.moved(outlines.ellipse(r - long, 0, long, wide), 0, 0, 360 * i / count)
            for i in range(count)
        ]
        for petal in petals:
            sheet.lay(look.paint(), petal)
            sheet.trace(look.shade(0.72), 0.04 * r, petal, atop=True, opacity=0.7)
        heart = rng.choice((BLACK, WHITE, (70, 60, 40)))
        size = rng.uniform(0.28, 0.36) * r
        sheet.lay(Paint(heart), outlines.ellipse(0, 0, size, size))

    return draw


def _blade(edge: Callable[[np.ndarray], np.ndarray], n: int = 41) -> Draw:
    """A leaf with a stalk and veins; ``edge`` is half its width along it, from 0 at the stalk to 1 at the tip."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        t = np.linspace(0, 1, n)
        half = rng.uniform(0.85, 1.1) * r * edge(t)
        xs = -0.7 * r + 1.7 * r * t
        blade = np.concatenate([np.stack((xs, half), 1), np.stack((xs, -half), 1)[::-1]])
        sheet.lay(look.shade(0.7), outlines.rect(-r, -0.04 * r, -0.6 * r, 0.04 * r))
        sheet.lay(look.paint(other=shade(look.colour, 0.8), weave=mottle(rng, 4.0, 0.6)), blade)
        vein = look.paint(look.contrary)
        paths = [outlines.points((-0.7 * r, 0), (0.9 * r, 0))]
        for x in (-0.4, -0.1, 0.2):
            reach = 0.8 * float(np.interp(x + 0.28, xs / r, half))
            paths += [outlines.points((x * r, 0), ((x + 0.24) * r, sign * reach)) for sign in (-1, 1)]
        sheet.trace(vein, 0.03 * r, *paths, closed=False, atop=True)

    return draw


def _draw_paired_leaf(sheet: Sheet, look: Look) -> None:
    """Small leaves in pairs along a stalk."""
    r = look.radius
    sheet.lay(look.shade(0.7), outlines.rect(-r, -0.03 * r, 0.7 * r, 0.03 * r))
    leaf = outlines.ellipse(0.22 * r, 0, 0.24 * r, 0.1 * r)
    placed = [outlines.moved(leaf, x * r, 0, sign * 58) for x in (-0.6, -0.25, 0.1, 0.45) for sign in (-1, 1)]
    sheet.lay(look.paint(), *placed, outlines.ellipse(0.78 * r, 0, 0.22 * r, 0.1 * r))
    sheet.trace(look.shade(0.65), 0.02 * r, *placed, atop=True)


def _toothed(t: np.ndarray) -> np.ndarray:
    return 0.42 * np.sin(np.pi * t) * (1 - 0.3 * ((8 * t) % 1.0))


def _fruit(*parts: Outline, stalk: bool = True, weave: str = "") -> Draw:
    """A round body with a stalk, shaded like a ball and lit from one side."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        whole = [part * r for part in parts]
        if stalk:
            path = outlines.points((0, -0.55 * r), (0.03 * r, -0.75 * r), (0.1 * r, -0.98 * r))
            sheet.trace(Paint((96, 66, 36)), 0.08 * r, path, closed=False)
        dark = shade(look.colour, rng.uniform(0.6, 0.75))
        pattern = dots(0.26 * r, 30, 0.4) if weave == "dots" and r > 12 else grading(r * 1.1, None)
        sheet.lay(
            look.paint(other=(250, 230, 140) if weave == "dots" and r > 12 else dark, weave=pattern), *whole
        )
        sheet.trace(look.paint(dark), 0.04 * r, *whole, atop=True, opacity=0.5)
        x = rng.choice((-0.25, 0.22)) * r
        glint = outlines.ellipse(x, -0.15 * r, 0.14 * r, 0.09 * r)
        sheet.lay(Paint(WHITE), glint, atop=True, opacity=rng.uniform(0.2, 0.8), soft=0.06 * r)

    return draw


def _apple() -> Outline:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = 0.78 - 0.14 * np.exp(-4 * (1 - np.cos(t))) - 0.05 * np.exp(-6 * (1 + np.cos(t)))
    return np.stack((radius * np.sin(t), 0.16 - radius * np.cos(t)), 1)


def _pear() -> Outline:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.stack((np.sin(t) * (0.46 - 0.2 * np.cos(t)), 0.08 - 0.86 * np.cos(t)), 1)


def _lemon() -> Outline:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.stack((0.86 * np.cos(t) + 0.12 * np.cos(t) ** 9, 0.56 * np.sin(t)), 1)


def _draw_banana(sheet: Sheet, look: Look) -> None:
    """A bent, tapering fruit with dark ends and edges along it."""
    r = look.radius
    t = np.linspace(0, 1, 24)
    outer, inner = (
        outlines.arc(0, -0.5 * r, 1.0 * r, 20, 160, 24),
        outlines.arc(0, -0.5 * r, 1.0 * r, 20, 160, 24),
    )
    thick = 0.4 * r * np.sin(np.pi * np.clip(0.06 + 0.88 * t, 0, 1)) ** 0.8
    inner = inner * (1 - thick / r)[:, None] + (0, -0.5 * r * 0)
    inner[:, 1] -= 0.5 * thick
    body = np.concatenate([outer, inner[::-1]])
    sheet.lay(look.paint(), body)
    sheet.trace(look.shade(0.7), 0.04 * r, 0.5 * (outer + inner), closed=False, atop=True)
    for at in (outer[:3], outer[-3:]):
        sheet.trace(Paint((70, 50, 30)), 0.12 * r, at, closed=False)


def _bunch(places: tuple[tuple[float, float], ...], size: float) -> Draw:
    """Berries that hang together, each with a glint."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        top = outlines.points(*((0.0, -0.96 * r), *((x * r, y * r) for x, y in places[:2])))
        for at in top[1:]:
            sheet.trace(Paint((70, 110, 50)), 0.07 * r, np.stack((top[0], at)), closed=False)
        for x, y in places:
            berry = outlines.ellipse(x * r, y * r, size * r, size * r)
            sheet.lay(look.paint(), berry)
            sheet.trace(look.shade(0.6), 0.05 * r, 1.0 * berry, atop=True, opacity=0.7)
        spots = [
            outlines.ellipse((x - 0.3 * size) * r, (y - 0.3 * size) * r, 0.2 * size * r, 0.2 * size * r, 8)
            for x, y in places
        ]
        sheet.lay(Paint(WHITE), *spots, atop=True, opacity=rng.uniform(0.3, 0.8))

    return draw


_GRAPES = (
    (-0.4, -0.5),
    (0.4, -0.5),
    (0.0, -0.45),
    (-0.5, -0.12),
    (0.5, -0.12),
    (-0.18, -0.1),
    (0.2, -0.08),
    (-0.32, 0.24),
    (0.34, 0.24),
    (0.0, 0.26),
    (-0.14, 0.56),
    (0.16, 0.56),
    (0.0, 0.76),
)

NATURE: dict[str, Kind] = {
    "apple": Kind(_fruit(_apple()), 11.0, colours=("red", "green", "yellow")),
    "pear": Kind(_fruit(_pear()), 12.0, colours=("green", "yellow", "brown", "red")),
    "lemon": Kind(_fruit(_lemon(), stalk=False), 11.0, colours=("yellow", "green", "orange")),
    "berry": Kind(
        _fruit(outlines.moved(outlines.heart(0.84), 0, 0.08), weave="dots"), 13.0, colours=("red", "pink")
    ),
    "banana": Kind(_draw_banana, 12.0, colours=("yellow", "green", "red")),
    "cherry": Kind(
        _bunch(((-0.5, 0.52), (0.5, 0.48)), 0.4), 12.0, colours=("red", "purple", "pink", "orange")
    ),
    "grapes": Kind(_bunch(_GRAPES, 0.23), 14.0, colours=("purple", "green", "blue", "red")),
    "oval leaf": Kind(_blade(lambda t: 0.4 * np.sin(np.pi * t)), 12.0),
    "needle leaf": Kind(_blade(lambda t: 0.13 * np.sin(np.pi * t) ** 0.6), 12.0),
    "toothed leaf": Kind(_blade(_toothed, 81), 16.0),
    "lobed leaf": Kind(
        _blade(lambda t: 0.5 * np.sin(np.pi * t) ** 0.7 * (0.5 + 0.5 * np.cos(6 * np.pi * t + 0.6) ** 2)),
        15.0,
    ),
    "heart leaf": Kind(_blade(lambda t: 0.62 * np.sin(np.pi * t**0.45) ** 0.9), 13.0),
    "paired leaf": Kind(_draw_paired_leaf, 14.0),
    **{f"flower {count}": Kind(_flower(count), 10.0 + count, 0.6, CHROMATIC) for count in (4, 5, 6, 8)},
}
