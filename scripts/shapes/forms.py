"""Geometric forms, letters and digits. A form's outline is its kind; what is inside it is its state."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from random import Random

from PIL import Image, ImageDraw, ImageFont

from argusvl.synthetic.canvas import mix, shade
from shapes import outlines
from shapes.look import BLACK, WHITE, Draw, Look
from shapes.outlines import Outline
from shapes.paint import Paint, checks, dots, grading, mottle, stripes
from shapes.sheet import Sheet


def form(outline: Callable[[Random, float], Outline]) -> Draw:
    """The drawing function of a form with this outline."""

    def draw(sheet: Sheet, look: Look) -> None:
        shape = outline(look.rng, look.radius)
        if look.state == "hollow":
            width = max(1.4, look.radius * look.rng.uniform(0.06, 0.14))
            sheet.trace(look.paint(), width, shape)
            return
        sheet.lay(_surface(look), shape)
        _rim(sheet, look, shape)

    return draw


def draw_ring(sheet: Sheet, look: Look) -> None:
    """A thick ring; sometimes with a fine line along its middle."""
    r, rng = look.radius, look.rng
    inner = r * rng.uniform(0.42, 0.66)
    sheet.lay(_surface(look), outlines.ellipse(0, 0, r, r), holes=[outlines.ellipse(0, 0, inner, inner)])
    if rng.random() < 0.25 and r > 12:
        middle = (r + inner) / 2
        sheet.trace(look.paint(look.contrary), 0.06 * r, outlines.ellipse(0, 0, middle, middle), atop=True)


def character(characters: str) -> Draw:
    """The drawing function of any one of some characters; its diagonal is the object's size."""

    def draw(sheet: Sheet, look: Look) -> None:
        glyph = _glyph(look.rng.choice(characters), look.rng.choice((0, 0, 4, 8)))
        height = 2 * look.radius * glyph.height / math.hypot(glyph.width, glyph.height)
        sheet.stamp(look.paint(), glyph, height)

    return draw


def draw_gear(sheet: Sheet, look: Look) -> None:
    """A gear wheel with a bore, and sometimes spokes or a hub."""
    r, rng = look.radius, look.rng
    sheet.lay(_surface(look), outlines.gear(rng.randrange(8, 15), r, rng.uniform(0.16, 0.26)))
    inner = 0.56 * r
    if rng.random() < 0.5:
        sheet.trace(look.paint(look.contrary), 0.05 * r, outlines.ellipse(0, 0, inner, inner), atop=True)
    if rng.random() < 0.4 and r > 14:
        count = rng.choice((3, 4, 5, 6))
        sheet.cut(*(outlines.ellipse(x, y, 0.11 * r, 0.11 * r) for x, y in outlines.around(count, 0.42 * r)))
    bore = rng.uniform(0.14, 0.24) * r
    sheet.cut(outlines.ellipse(0, 0, bore, bore))


def _surface(look: Look) -> Paint:
    """The inside of a form that is not hollow, by its state."""
    rng, r = look.rng, look.radius
    other = rng.choice((WHITE, BLACK, mix(look.colour, WHITE, 0.72), shade(look.colour, 0.35)))
    pitch = max(5.0, r * rng.uniform(0.28, 0.55))
    turn = rng.uniform(0, 180)
    if look.state == "striped":
        waviness = rng.uniform(0.1, 0.25) if rng.random() < 0.25 else 0.0
        return look.paint(other=other, weave=stripes(pitch, turn, rng.uniform(0.35, 0.5), waviness))
    if look.state == "checked":
        return look.paint(other=other, weave=checks(0.8 * pitch, turn))
    if look.state == "dotted":
        return look.paint(other=other, weave=dots(pitch, turn, rng.uniform(0.45, 0.62)))
    if look.state == "graded":
        direction = turn * 2 if rng.random() < 0.6 else None
        return look.paint(other=mix(look.colour, WHITE, 0.85), weave=grading(r, direction))
    if rng.random() < 0.3:  # a rough surface, still of one colour
        rough = mottle(rng, rng.uniform(1, 4), 0.35)
        return look.paint(other=shade(look.colour, 1.3 if look.dark else 0.72), weave=rough)
    return look.paint()


def _rim(sheet: Sheet, look: Look, shape: Outline) -> None:
    """Some forms have an edge of another tone."""
    rng = look.rng
    if rng.random() < 0.3 and look.radius > 8:
        colour = rng.choice((BLACK, look.contrary, look.contrary, WHITE))
        sheet.trace(Paint(colour), 2 * max(0.8, 0.05 * look.radius), shape, atop=True)


@lru_cache(maxsize=256)
def _glyph(character: str, weight: int) -> Image.Image:
    """A character as a tight mask; ``weight`` thickens its strokes."""
    font = ImageFont.load_default(120)  # Pillow's own font: the same on every machine
    image = Image.new("L", (220, 220))
    ImageDraw.Draw(image).text((60, 40), character, fill=255, font=font, stroke_width=weight)
    return image.crop(image.getbbox())


def _triangle(rng: Random, r: float) -> Outline:
    width = rng.uniform(0.62, 0.87)
    return outlines.points((0, -r), (width * r, 0.5 * r), (-width * r, 0.5 * r))


def _rectangle(rng: Random, r: float) -> Outline:
    ratio = rng.uniform(0.42, 0.66)
    x = r / math.hypot(1.0, ratio)
    if rng.random() < 0.4:
        return outlines.rounded(-x, -ratio * x, x, ratio * x, 0.2 * ratio * x)
    return outlines.rect(-x, -ratio * x, x, ratio * x)


def _square(rng: Random, r: float) -> Outline:
    x = r / math.sqrt(2)
    if rng.random() < 0.4:
        return outlines.rounded(-x, -x, x, x, rng.uniform(0.1, 0.3) * x)
    return outlines.rect(-x, -x, x, x)


def _bar(rng: Random, r: float) -> Outline:
    half = r * rng.uniform(0.1, 0.2)
    if rng.random() < 0.4:
        return outlines.rounded(-r, -half, r, half, half)
    return outlines.rect(-r, -half, r, half)


FORMS: dict[str, Draw] = {
    "disc": form(lambda rng, r: outlines.ellipse(0, 0, r, r)),
    "ring": draw_ring,
    "ellipse": form(lambda rng, r: outlines.ellipse(0, 0, r, r * rng.uniform(0.42, 0.7))),
    "triangle": form(_triangle),
    "square": form(_square),
    "rectangle": form(_rectangle),
    "bar": form(_bar),
    "hexagon": form(lambda rng, r: outlines.regular(6, r)),
    "star": form(lambda rng, r: outlines.star(rng.choice((5, 5, 6, 8)), r, rng.uniform(0.4, 0.55))),
    "cross": form(lambda rng, r: outlines.cross(r, rng.uniform(0.45, 0.7))),
    "arrow": form(lambda rng, r: outlines.arrow(r, rng.uniform(0.16, 0.28), rng.uniform(0.7, 1.0))),
    "crescent": form(lambda rng, r: outlines.crescent(r, rng.uniform(0.5, 0.72))),
    "letter": character("ABCDEFGHJKLMNPQRSTUVWXYZ"),
    "digit": character("0123456789"),
    "gear": draw_gear,
}
