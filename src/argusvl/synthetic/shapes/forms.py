"""Geometric forms: every outline with every filling is a kind; arrows by where they point; gears by their teeth."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from argusvl.synthetic.canvas import mix, shade
from argusvl.synthetic.shapes import outlines
from argusvl.synthetic.shapes.look import BLACK, WHITE, Draw, Kind, Look
from argusvl.synthetic.shapes.outlines import Outline
from argusvl.synthetic.shapes.paint import Paint, checks, dots, grading, mottle, stripes
from argusvl.synthetic.shapes.sheet import Sheet
from argusvl.synthetic.shapes.terms import CHROMATIC, COLOURS

Filling = Callable[[Look], Paint]


def _filled(look: Look) -> Paint:
    if look.rng.random() < 0.3:  # a rough surface, still of one colour
        rough = mottle(look.rng, look.rng.uniform(1, 4), 0.35)
        return look.paint(other=shade(look.colour, 1.3 if look.dark else 0.72), weave=rough)
    return look.paint()


def _striped(look: Look) -> Paint:
    waviness = look.rng.uniform(0.1, 0.25) if look.rng.random() < 0.25 else 0.0
    weave = stripes(_pitch(look), look.rng.uniform(0, 180), look.rng.uniform(0.35, 0.5), waviness)
    return look.paint(other=_second(look), weave=weave)


def _checked(look: Look) -> Paint:
    return look.paint(other=_second(look), weave=checks(0.8 * _pitch(look), look.rng.uniform(0, 180)))


def _dotted(look: Look) -> Paint:
    weave = dots(_pitch(look), look.rng.uniform(0, 180), look.rng.uniform(0.45, 0.62))
    return look.paint(other=_second(look), weave=weave)


def _graded(look: Look) -> Paint:
    direction = look.rng.uniform(0, 360) if look.rng.random() < 0.6 else None
    return look.paint(other=mix(look.colour, WHITE, 0.85), weave=grading(look.radius, direction))


def _pitch(look: Look) -> float:
    return max(5.0, look.radius * look.rng.uniform(0.28, 0.55))


def _second(look: Look) -> tuple[int, int, int]:
    return look.rng.choice((WHITE, BLACK, mix(look.colour, WHITE, 0.72), shade(look.colour, 0.35)))


def _solid(outline: Callable[[Random, float], Outline], filling: Filling) -> Draw:
    def draw(sheet: Sheet, look: Look) -> None:
        shape = outline(look.rng, look.radius)
        sheet.lay(filling(look), shape)
        if look.rng.random() < 0.3 and look.radius > 8:  # some have an edge of another tone
            colour = look.rng.choice((BLACK, look.contrary, look.contrary, WHITE))
            sheet.trace(Paint(colour), 2 * max(0.8, 0.05 * look.radius), shape, atop=True)

    return draw


def _hollow(outline: Callable[[Random, float], Outline]) -> Draw:
    def draw(sheet: Sheet, look: Look) -> None:
        width = max(1.4, look.radius * look.rng.uniform(0.06, 0.14))
        sheet.trace(look.paint(), width, outline(look.rng, look.radius))

    return draw


def _draw_ring(sheet: Sheet, look: Look) -> None:
    """A thick ring; sometimes with a fine line along its middle."""
    r, rng = look.radius, look.rng
    inner = r * rng.uniform(0.42, 0.66)
    sheet.lay(_filled(look), outlines.ellipse(0, 0, r, r), holes=[outlines.ellipse(0, 0, inner, inner)])
    if rng.random() < 0.25 and r > 12:
        middle = (r + inner) / 2
        sheet.trace(look.paint(look.contrary), 0.06 * r, outlines.ellipse(0, 0, middle, middle), atop=True)


def _gear(teeth: int) -> Draw:
    """A gear wheel with a bore, and sometimes spokes or a hub."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        sheet.lay(_filled(look), outlines.gear(teeth, r, rng.uniform(0.18, 0.26)))
        inner = 0.56 * r
        if rng.random() < 0.5:
            sheet.trace(look.paint(look.contrary), 0.05 * r, outlines.ellipse(0, 0, inner, inner), atop=True)
        if rng.random() < 0.4 and r > 14:
            holes = outlines.around(rng.choice((3, 4, 5, 6)), 0.42 * r)
            sheet.cut(*(outlines.ellipse(x, y, 0.11 * r, 0.11 * r) for x, y in holes))
        bore = rng.uniform(0.14, 0.24) * r
        sheet.cut(outlines.ellipse(0, 0, bore, bore))

    return draw


def _arrow(degrees: float) -> Draw:
    return _solid(
        lambda rng, r: outlines.moved(
            outlines.arrow(r, rng.uniform(0.16, 0.28), rng.uniform(0.7, 1.0)), 0, 0, degrees
        ),
        _filled,
    )


def _triangle(rng: Random, r: float) -> Outline:
    width = rng.uniform(0.62, 0.87)
    return outlines.points((0, -r), (width * r, 0.5 * r), (-width * r, 0.5 * r))


def _rectangle(rng: Random, r: float) -> Outline:
    ratio = rng.uniform(0.42, 0.66)
    x = r / (1.0 + ratio * ratio) ** 0.5
    if rng.random() < 0.4:
        return outlines.rounded(-x, -ratio * x, x, ratio * x, 0.2 * ratio * x)
    return outlines.rect(-x, -ratio * x, x, ratio * x)


def _square(rng: Random, r: float) -> Outline:
    x = r / 2**0.5
    if rng.random() < 0.4:
        return outlines.rounded(-x, -x, x, x, rng.uniform(0.1, 0.3) * x)
    return outlines.rect(-x, -x, x, x)


def _diamond(rng: Random, r: float) -> Outline:
    half = r * rng.uniform(0.5, 0.66)
    return outlines.points((0, -r), (half, 0), (0, r), (-half, 0))


def _bar(rng: Random, r: float) -> Outline:
    half = r * rng.uniform(0.1, 0.2)
    if rng.random() < 0.4:
        return outlines.rounded(-r, -half, r, half, half)
    return outlines.rect(-r, -half, r, half)


_OUTLINES: dict[str, tuple[Callable[[Random, float], Outline], float]] = {
    "disc": (lambda rng, r: outlines.ellipse(0, 0, r, r), 4.5),
    "ellipse": (lambda rng, r: outlines.ellipse(0, 0, r, r * rng.uniform(0.42, 0.7)), 7.0),
    "triangle": (_triangle, 6.5),
    "square": (_square, 5.5),
    "rectangle": (_rectangle, 7.0),
    "diamond": (_diamond, 9.0),
    "pentagon": (lambda rng, r: outlines.regular(5, r), 11.0),
    "hexagon": (lambda rng, r: outlines.regular(6, r), 11.0),
    "star": (lambda rng, r: outlines.star(rng.choice((5, 5, 6)), r, rng.uniform(0.4, 0.55)), 9.0),
    "cross": (lambda rng, r: outlines.cross(r, rng.uniform(0.45, 0.7)), 7.0),
    "crescent": (lambda rng, r: outlines.crescent(r, rng.uniform(0.5, 0.72)), 9.0),
    "heart": (lambda rng, r: outlines.heart(r), 9.0),
}
"""Every outline with the least radius at which it is told from the others."""

_FILLINGS: dict[str, tuple[Filling, float, tuple[str, ...]]] = {
    "filled": (_filled, 0.0, tuple(COLOURS)),
    "striped": (_striped, 16.0, CHROMATIC),
    "checked": (_checked, 16.0, CHROMATIC),
    "dotted": (_dotted, 16.0, CHROMATIC),
    "graded": (_graded, 16.0, CHROMATIC),
}
"""Every filling with the least radius at which it shows, and the colours that stay clear beside a second one."""

_DIRECTIONS = {"right": 0.0, "down": 90.0, "left": 180.0, "up": 270.0}

FORMS: dict[str, Kind] = {
    **{
        f"{filled} {form}": Kind(_solid(outline, filling), max(least, shows), 0.35, colours)
        for form, (outline, least) in _OUTLINES.items()
        for filled, (filling, shows, colours) in _FILLINGS.items()
    },
    **{
        f"hollow {form}": Kind(_hollow(outline), max(10.0, least), 0.35)
        for form, (outline, least) in _OUTLINES.items()
    },
    "ring": Kind(_draw_ring, 6.0, 0.35),
    "bar": Kind(_solid(_bar, _filled), 8.0, 0.35),
    **{f"arrow {name}": Kind(_arrow(turn), 9.0, sway=20.0) for name, turn in _DIRECTIONS.items()},
    **{f"gear {teeth}": Kind(_gear(teeth), 1.5 * teeth + 3, 0.75) for teeth in (6, 8, 10, 12)},
}
