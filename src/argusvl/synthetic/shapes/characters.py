"""What is read or counted: letters, digits, dice, dominoes, signs."""

from __future__ import annotations

import math
from functools import lru_cache
from random import Random

from PIL import Image, ImageDraw, ImageFont

from argusvl.synthetic.canvas import mix
from argusvl.synthetic.shapes import outlines
from argusvl.synthetic.shapes.look import BLACK, WHITE, Draw, Kind, Look
from argusvl.synthetic.shapes.outlines import Outline
from argusvl.synthetic.shapes.paint import Paint
from argusvl.synthetic.shapes.sheet import Sheet

CAPITALS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
SMALL = "abdefghnqrty"  # those whose form is not that of the capital
DIGITS = "0123456789"
_UPRIGHT = 35.0  # degrees either way: an M is not yet a W, a 6 not a 9


@lru_cache(maxsize=256)
def glyph(text: str, weight: int) -> Image.Image:
    """Characters as a tight mask; ``weight`` thickens their strokes."""
    font = ImageFont.load_default(96)  # Pillow's own font: the same on every machine
    image = Image.new("L", (120 + 70 * len(text), 190))
    ImageDraw.Draw(image).text((40, 30), text, fill=255, font=font, stroke_width=weight)
    return image.crop(image.getbbox())


def _character(character: str) -> Draw:
    """A character by itself, cut out, or printed on a tile."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        mask = glyph(character, rng.choice((0, 2, 4, 8)))
        wide = rng.uniform(0.75, 1.2)
        mask = mask.resize((max(8, round(mask.width * wide)), mask.height)) if abs(wide - 1) > 0.08 else mask
        height = 2 * r * mask.height / math.hypot(mask.width, mask.height)
        slant = rng.choice((0.0, 0.0, rng.uniform(-0.1, 0.25)))
        if r > 14 and rng.random() < 0.25:
            tile = outlines.rounded(-0.74 * r, -0.74 * r, 0.74 * r, 0.74 * r, rng.choice((0.03, 0.2)) * r)
            sheet.lay(look.paint(), tile)
            sheet.trace(look.shade(0.7), 0.06 * r, tile, atop=True)
            sheet.stamp(Paint(look.ink), mask, 0.6 * height, slant=slant, atop=True)
            return
        sheet.stamp(look.paint(), mask, 0.96 * height, slant=slant)

    return draw


def pips(count: int, reach: float) -> list[tuple[float, float]]:
    """Where the pips of a die's face are, in a square of this half side."""
    places = {
        1: [(0, 0)],
        2: [(-1, -1), (1, 1)],
        3: [(-1, -1), (0, 0), (1, 1)],
        4: [(-1, -1), (1, -1), (-1, 1), (1, 1)],
        5: [(-1, -1), (1, -1), (0, 0), (-1, 1), (1, 1)],
        6: [(-1, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (1, 1)],
    }
    return [(x * reach, y * reach) for x, y in places.get(count, [])]


def _die(count: int) -> Draw:
    """A die from above, or so that two more sides show."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        a = 0.7 * r
        ink = Paint(look.ink)
        x = y = 0.0
        if rng.random() < 0.5:  # two sides, darker, without pips that would count
            a, depth = 0.56 * r, rng.uniform(0.18, 0.3) * r
            x, y = -depth / 2 * rng.choice((-1, 1)), depth / 2
            way = -2 * x
            front = outlines.points((x - a, y - a), (x + a, y - a), (x + a, y + a), (x - a, y + a))
            edge = outlines.points(
                (x - a, y - a), (x - a + way, y - a - depth), (x + a + way, y - a - depth), (x + a, y - a)
            )
            right = 1 if way > 0 else -1
            side = outlines.points(
                (x + right * a, y - a),
                (x + right * a + way, y - a - depth),
                (x + right * a + way, y + a - depth),
                (x + right * a, y + a),
            )
            sheet.lay(look.shade(0.62), side)
            sheet.lay(look.shade(0.8), edge)
            sheet.lay(look.paint(), front)
        else:
            sheet.lay(look.paint(), outlines.rounded(-a, -a, a, a, rng.uniform(0.1, 0.45) * a))
            if rng.random() < 0.6:
                tone = look.shade(0.78) if not look.dark else look.tint(0.25)
                sheet.trace(tone, 0.1 * a, outlines.rounded(-a, -a, a, a, 0.2 * a), atop=True)
        size = rng.uniform(0.15, 0.21) * a
        dots = [outlines.ellipse(x + u, y + v, size, size) for u, v in pips(count, 0.52 * a)]
        sheet.lay(ink, *dots, atop=True)

    return draw


def _domino(first: int, second: int) -> Draw:
    """A domino tile: two faces with a line between them."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        x, y = 0.94 * r, 0.47 * r
        tile = outlines.rounded(-x, -y, x, y, rng.uniform(0.05, 0.25) * y)
        sheet.lay(look.paint(), tile)
        sheet.trace(look.shade(0.7), 0.05 * r, tile, atop=True)
        size = rng.uniform(0.16, 0.2) * y
        places = [(-x / 2 + u, v) for u, v in pips(first, 0.5 * y)]
        places += [(x / 2 + u, v) for u, v in pips(second, 0.5 * y)]
        line = outlines.rect(-0.02 * r, -0.8 * y, 0.02 * r, 0.8 * y)
        sheet.lay(Paint(look.ink), line, *(outlines.ellipse(u, v, size, size) for u, v in places), atop=True)

    return draw


def _sign_plate(form: str, rng: Random, r: float) -> Outline:
    if form == "round":
        return outlines.ellipse(0, 0, r, r)
    if form == "triangle":
        return outlines.regular(3, r)
    return outlines.rounded(-0.74 * r, -0.74 * r, 0.74 * r, 0.74 * r, 0.12 * r)


def _sign(form: str, text: str) -> Draw:
    """A sign as beside a road: a rim in its colour about a pale face, or a face in its colour, and a text."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        plate = _sign_plate(form, rng, r)
        y = 0.12 * r if form == "triangle" else 0.0
        sheet.lay(look.paint(), plate)
        rimmed = rng.random() < 0.6
        face = WHITE if look.brightness < 200 else BLACK
        if rimmed:
            sheet.lay(Paint(face), rng.uniform(0.74, 0.82) * plate, atop=True)
        else:
            sheet.trace(Paint(mix(look.colour, face, 0.8)), 0.07 * r, 0.88 * plate, atop=True)
        ink = (BLACK if face == WHITE else WHITE) if rimmed else look.ink
        height = {"round": 0.85, "triangle": 0.54, "square": 0.85}[form] * r
        mask = glyph(text, rng.choice((2, 4, 7)))
        height = min(height, 1.05 * r * mask.height / mask.width * (0.7 if form == "triangle" else 1.0))
        sheet.stamp(Paint(ink), mask, height, 0.0, y, atop=True)

    return draw


def _suit(name: str) -> Draw:
    def draw(sheet: Sheet, look: Look) -> None:
        sheet.lay(look.paint(), *outlines.suit(name, look.radius))

    return draw


SUITS = ("heart", "diamond", "spade", "club")
_PALE = ("white", "yellow", "red", "green", "blue", "black", "orange", "pink", "cyan", "purple")

CHARACTERS: dict[str, Kind] = {
    **{f"letter {c}": Kind(_character(c), 9.0, 0.6, sway=_UPRIGHT) for c in CAPITALS},
    **{f"small letter {c}": Kind(_character(c), 9.0, 0.6, sway=_UPRIGHT) for c in SMALL},
    **{f"digit {c}": Kind(_character(c), 9.0, 0.6, sway=_UPRIGHT) for c in DIGITS},
}

GAMES: dict[str, Kind] = {
    **{f"die {n}": Kind(_die(n), 10.0, 0.75, _PALE) for n in range(1, 7)},
    **{
        f"domino {a}-{b}": Kind(_domino(a, b), 18.0, 0.75, _PALE)
        for a in range(7)
        for b in range(a, 7)
        if (a + b) % 2 == 0
    },
    # The suits of hearts and diamonds are forms: a filled heart, a filled diamond.
    **{f"suit {name}": Kind(_suit(name), 8.0, 0.6, sway=60.0) for name in ("spade", "club")},
}

SIGNS: dict[str, Kind] = {
    f"{form} sign {text}": Kind(_sign(form, text), 15.0, 0.6, sway=25.0)
    for form, texts in (
        ("round", ("20", "30", "50", "60", "80", "90", "X")),
        ("triangle", ("!", "?", "X", "A", "5")),
        ("square", ("P", "H", "K", "B", "7", "!")),
    )
    for text in texts
}
