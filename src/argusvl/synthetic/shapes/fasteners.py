"""Fasteners: heads from above by form and recess, the same from the side, nuts, washers, nails."""

from __future__ import annotations

from argusvl.synthetic.canvas import Colour, mix
from argusvl.synthetic.shapes import outlines
from argusvl.synthetic.shapes.look import BLACK, WHITE, Draw, Kind, Look
from argusvl.synthetic.shapes.outlines import Outline
from argusvl.synthetic.shapes.paint import Paint, stripes
from argusvl.synthetic.shapes.sheet import Sheet

STEEL: Colour = (178, 180, 184)


def _bolt(recess: str) -> Draw:
    """A hexagonal head on a washer, with a recess."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        sheet.lay(look.shade(0.7), outlines.ellipse(0, 0, r, r))
        sheet.lay(look.shade(0.92), outlines.ellipse(0, 0, 0.93 * r, 0.93 * r), atop=True)
        sheet.lay(look.paint(look.contrary), outlines.regular(6, 0.84 * r), atop=True, opacity=0.6)
        sheet.lay(look.paint(), outlines.regular(6, 0.8 * r), atop=True)
        if rng.random() < 0.6:
            ring = outlines.ellipse(0, 0, 0.64 * r, 0.64 * r)
            sheet.trace(look.tint(0.35), 0.05 * r, ring, atop=True)
        _recess(sheet, look, recess, 0.5 * r)

    return draw


def _screw(recess: str) -> Draw:
    """A round head with a recess."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        sheet.lay(look.shade(0.62), outlines.ellipse(0, 0, r, r))
        sheet.lay(look.paint(), outlines.ellipse(0, 0, 0.9 * r, 0.9 * r), atop=True)
        glint = outlines.ellipse(-0.3 * r, -0.36 * r, 0.42 * r, 0.26 * r)
        sheet.lay(look.tint(0.55), glint, atop=True, soft=0.12 * r, opacity=rng.uniform(0.2, 0.8))
        _recess(sheet, look, recess, 0.62 * r)

    return draw


def _recess(sheet: Sheet, look: Look, form: str, r: float) -> None:
    hole = Paint(mix(look.colour, WHITE, 0.55) if look.dark else BLACK)
    turn = look.rng.uniform(0, 180)
    slot = outlines.rect(-1.15 * r, -0.17 * r, 1.15 * r, 0.17 * r)
    shapes: dict[str, list[Outline]] = {
        "socket": [outlines.regular(6, 0.86 * r)],
        "square": [outlines.regular(4, 0.95 * r)],
        "torx": [outlines.star(6, 1.05 * r, 0.62)],
        "slot": [slot],
        "cross": [slot, outlines.moved(slot, 0, 0, 90)],
        "flat": [],
    }
    if shapes[form]:
        sheet.lay(hole, *(outlines.moved(shape, 0, 0, turn) for shape in shapes[form]), atop=True)


def _from_side(head: str, length: float) -> Draw:
    """A screw that lies on its side: a head, and a shank with a thread that ends in a point or flat."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        thick = (0.2 if length > 1.5 else 0.34) * r  # half of the shank's
        top = -r + 0.36 * r * (1.0 if length > 1.5 else 1.4)
        wide = thick * 1.95
        if head == "round":
            cap = outlines.points(
                (-wide, top),
                (-0.94 * wide, -0.72 * r + 0.28 * top),
                (-0.6 * wide, -r),
                (0.6 * wide, -r),
                (0.94 * wide, -0.72 * r + 0.28 * top),
                (wide, top),
            )
        elif head == "flat":
            cap = outlines.points((-wide, -r), (wide, -r), (thick, top), (-thick, top))
        else:
            cap = outlines.rect(-wide, -r, wide, top)
        tip = r - (1.6 * thick if rng.random() < 0.6 else 0.4 * thick)
        shank = outlines.points(
            (-thick, top), (thick, top), (thick, tip), (0.25 * thick, r), (-0.25 * thick, r), (-thick, tip)
        )
        thread = stripes(max(2.4, 0.13 * r), 80, 0.5)
        dark = look.tint(0.45) if look.dark else look.shade(0.55)
        sheet.lay(look.paint(other=dark.colour, weave=thread), shank)
        sheet.lay(look.paint(), cap)
        glint = outlines.rect(-0.5 * thick, top, -0.15 * thick, 0.95 * tip)
        sheet.lay(Paint(WHITE), glint, atop=True, opacity=0.4, soft=0.1 * thick)
        if head == "bolt":
            for x in (-0.45, 0.45):
                edge = outlines.points((x * wide, -r), (x * wide, top))
                sheet.trace(dark, 0.04 * r, edge, closed=False, atop=True)

    return draw


def _draw_nut(sheet: Sheet, look: Look) -> None:
    _nut(sheet, look, outlines.regular(6, look.radius))


def _draw_square_nut(sheet: Sheet, look: Look) -> None:
    _nut(sheet, look, outlines.regular(4, look.radius))


def _nut(sheet: Sheet, look: Look, shape: Outline) -> None:
    """A nut, its bore open."""
    r = look.radius
    bore = look.rng.uniform(0.38, 0.46) * r
    sheet.lay(look.paint(), shape)
    sheet.trace(look.shade(0.6), 0.06 * r, 0.97 * shape, atop=True)
    sheet.trace(look.tint(0.3), 0.06 * r, outlines.ellipse(0, 0, 0.66 * r, 0.66 * r), atop=True)
    sheet.trace(look.paint(look.contrary), 0.16 * r, outlines.ellipse(0, 0, bore, bore), atop=True)
    sheet.cut(outlines.ellipse(0, 0, bore, bore))


def _draw_washer(sheet: Sheet, look: Look) -> None:
    """A flat ring with lit edges."""
    r = look.radius
    bore = look.rng.uniform(0.46, 0.58) * r
    sheet.lay(look.paint(), outlines.ellipse(0, 0, r, r))
    for at, paint in (
        (0.96 * r, look.shade(0.6)),
        (1.06 * bore, look.shade(0.5)),
        (0.88 * r, look.tint(0.6)),
    ):
        sheet.trace(paint, 0.06 * r, outlines.ellipse(0, 0, at, at), atop=True)
    sheet.cut(outlines.ellipse(0, 0, bore, bore))


def _draw_nail(sheet: Sheet, look: Look) -> None:
    """A nail on its side."""
    r = look.radius
    t = look.rng.uniform(0.05, 0.08) * r
    shank = outlines.points((-0.95 * r, -t), (0.8 * r, -t), (r, 0), (0.8 * r, t), (-0.95 * r, t))
    sheet.lay(look.paint(), shank)
    sheet.lay(look.shade(0.75), outlines.rect(-r, -3.2 * t, -0.92 * r, 3.2 * t))
    glint = outlines.rect(-0.9 * r, -0.5 * t, 0.8 * r, -0.1 * t)
    sheet.lay(Paint(WHITE), glint, atop=True, opacity=0.5)


RECESSES = ("slot", "cross", "socket", "square", "torx", "flat")

FASTENERS: dict[str, Kind] = {
    **{f"screw {recess}": Kind(_screw(recess), 11.0 if recess != "flat" else 9.0) for recess in RECESSES},
    **{f"bolt {recess}": Kind(_bolt(recess), 13.0) for recess in RECESSES},
    **{
        f"{size} side screw {head}": Kind(_from_side(head, length), 13.0, 0.6)
        for size, length in (("long", 2.0), ("short", 1.2))
        for head in ("round", "flat", "bolt")
    },
    "nut": Kind(_draw_nut, 9.0),
    "square nut": Kind(_draw_square_nut, 9.0),
    "washer": Kind(_draw_washer, 8.0),
    "nail": Kind(_draw_nail, 12.0),
}
