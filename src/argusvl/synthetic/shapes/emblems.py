"""Badges made by rule: an outline, a mark in it, and how many marks.

Every outline with every mark is a family of its own, whose members differ in the number of marks alone; across
families, badges differ in the outline alone or in the mark alone.
"""

from __future__ import annotations

from collections.abc import Callable

from argusvl.synthetic.canvas import mix
from argusvl.synthetic.shapes import outlines
from argusvl.synthetic.shapes.look import WHITE, Draw, Kind, Look
from argusvl.synthetic.shapes.outlines import Outline
from argusvl.synthetic.shapes.paint import Paint
from argusvl.synthetic.shapes.sheet import Sheet

_OUTLINES: dict[str, tuple[Callable[[float], Outline], float, float]] = {
    # outline, half width of the field for marks, its height above the middle (shares of the radius)
    "disc": (lambda r: outlines.ellipse(0, 0, r, r), 0.72, 0.0),
    "square": (lambda r: outlines.rounded(-0.76 * r, -0.76 * r, 0.76 * r, 0.76 * r, 0.1 * r), 0.66, 0.0),
    "triangle": (lambda r: outlines.regular(3, r), 0.43, -0.1),
    "diamond": (lambda r: outlines.regular(4, r), 0.56, 0.0),
    "hexagon": (lambda r: outlines.regular(6, r, 0.0), 0.7, 0.0),
    "octagon": (lambda r: outlines.regular(8, r, 22.5), 0.7, 0.0),
    "shield": (outlines.shield, 0.6, 0.12),
    "heart": (lambda r: outlines.moved(outlines.heart(r), 0, 0.06 * r), 0.62, 0.08),
}

_MARKS: dict[str, Callable[[float], Outline]] = {
    "bars": lambda s: outlines.rect(-0.3 * s, -s, 0.3 * s, s),
    "dots": lambda s: outlines.ellipse(0, 0, 0.72 * s, 0.72 * s),
    "chevrons": lambda s: outlines.points(
        (-s, 0.5 * s), (0, -0.6 * s), (s, 0.5 * s), (s, 1.05 * s), (0, 0.0), (-s, 1.05 * s)
    ),
    "crosses": lambda s: outlines.moved(outlines.cross(s, 0.5), 0, 0, 45),
    "wedges": lambda s: outlines.points((-0.8 * s, 0.75 * s), (0, -s), (0.8 * s, 0.75 * s)),
    "stars": lambda s: outlines.star(5, 1.05 * s, 0.45),
    "rings": lambda s: outlines.ellipse(0, 0, 0.8 * s, 0.8 * s),
    "arcs": lambda s: outlines.crescent(0.95 * s, 0.6),
}

_PLACES = {
    1: ((0.0, 0.0),),
    2: ((-0.5, 0.0), (0.5, 0.0)),
    3: ((-0.5, 0.42), (0.5, 0.42), (0.0, -0.46)),
    4: ((-0.48, -0.48), (0.48, -0.48), (-0.48, 0.48), (0.48, 0.48)),
}
_SIZES = {1: 0.74, 2: 0.44, 3: 0.4, 4: 0.38}


def _badge(outline: str, mark: str, count: int) -> Draw:
    shape_of, field, above = _OUTLINES[outline]

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        shape = shape_of(r)
        sheet.lay(look.paint(), shape)
        ink = mix(look.ink, look.colour, rng.uniform(0, 0.15))
        if rng.random() < 0.5:
            rim = Paint(rng.choice((ink, look.contrary, WHITE)))
            sheet.trace(rim, 0.1 * r, shape, atop=True)
        size = field * _SIZES[count] * r
        marks = [
            outlines.moved(_MARKS[mark](size), u * field * r, (v * field - above) * r)
            for u, v in _PLACES[count]
        ]
        if mark == "rings":
            sheet.trace(Paint(ink), 0.34 * size, *marks, atop=True)
        else:
            sheet.lay(Paint(ink), *marks, atop=True)

    return draw


EMBLEMS: dict[str, Kind] = {
    f"{outline} badge {mark} {count}": Kind(
        _badge(outline, mark, count), (9.0 + 1.5 * count) / field, 0.7, sway=30.0
    )
    for outline, (_, field, _) in _OUTLINES.items()
    for mark in _MARKS
    for count in (1, 2, 3, 4)
    if (outline, mark) != ("square", "dots")  # which is a die
}
