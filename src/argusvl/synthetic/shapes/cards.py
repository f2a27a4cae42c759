"""Playing cards: a rank and a suit, in the corners and as so many pips; and the corner of a card by itself."""

from __future__ import annotations

from argusvl.synthetic.canvas import Colour, mix, shade
from argusvl.synthetic.shapes import outlines
from argusvl.synthetic.shapes.characters import SUITS, glyph
from argusvl.synthetic.shapes.look import WHITE, Draw, Kind, Look
from argusvl.synthetic.shapes.outlines import Outline
from argusvl.synthetic.shapes.paint import Paint
from argusvl.synthetic.shapes.sheet import Sheet

RANKS = ("A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K")

_COLUMN = {2: (-1, 1), 3: (-1, 0, 1), 4: (-1, -0.33, 0.33, 1)}
_PIPS: dict[str, list[tuple[float, float]]] = {
    "A": [(0, 0)],
    "2": [(0, y) for y in _COLUMN[2]],
    "3": [(0, y) for y in _COLUMN[3]],
    "4": [(x, y) for x in (-1, 1) for y in _COLUMN[2]],
    "5": [*((x, y) for x in (-1, 1) for y in _COLUMN[2]), (0, 0)],
    "6": [(x, y) for x in (-1, 1) for y in _COLUMN[3]],
    "7": [*((x, y) for x in (-1, 1) for y in _COLUMN[3]), (0, -0.5)],
    "8": [*((x, y) for x in (-1, 1) for y in _COLUMN[3]), (0, -0.5), (0, 0.5)],
    "9": [*((x, y) for x in (-1, 1) for y in _COLUMN[4]), (0, 0)],
    "10": [*((x, y) for x in (-1, 1) for y in _COLUMN[4]), (0, -0.66), (0, 0.66)],
}
"""Where the pips are: -1 to 1 across and along the middle field."""

_ROBES: tuple[Colour, ...] = ((206, 60, 48), (236, 196, 60), (48, 84, 168), (40, 44, 52), (60, 140, 90))


def _card(rank: str, suit: str) -> Draw:
    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        y = 0.92 * r
        x = y * rng.uniform(0.64, 0.72)
        card = outlines.rounded(-x, -y, x, y, 0.09 * r)
        sheet.lay(Paint(mix(WHITE, (236, 226, 204), rng.random()), light=look.light), card)
        sheet.trace(Paint((150, 150, 148)), max(0.6, 0.025 * r), card, atop=True)
        ink = Paint(look.colour)
        mask = glyph(rank, rng.choice((2, 4)))
        height = min(0.27 * r, 0.27 * r * mask.height / mask.width)
        parts: list[Outline] = []
        for sign, turn in ((1, 0.0), (-1, 180.0)):
            sheet.stamp(ink, mask, height, -sign * 0.79 * x, -sign * 0.78 * y, turn, atop=True)
            parts += [
                outlines.moved(part, -sign * 0.79 * x, -sign * 0.5 * y, turn)
                for part in outlines.suit(suit, 0.1 * r)
            ]
        size = 0.42 * r if rank == "A" else 0.13 * r
        for u, v in _PIPS.get(rank, []):
            turn = 180.0 if v > 0 else 0.0
            parts += [
                outlines.moved(part, 0.33 * x * u, 0.74 * y * v, turn) for part in outlines.suit(suit, size)
            ]
        if rank in "JQK":
            _court(sheet, look, 0.56 * x, 0.8 * y)
            for turn in (0.0, 180.0):  # each bust bears the suit
                parts += [
                    outlines.moved(outlines.moved(part, -0.36 * x, -0.58 * y), 0, 0, turn)
                    for part in outlines.suit(suit, 0.13 * r)
                ]
        sheet.lay(ink, *parts, atop=True)

    return draw


def _court(sheet: Sheet, look: Look, x: float, y: float) -> None:
    """A framed figure that is the same from above and from below."""
    rng = look.rng
    robe, other = rng.sample(_ROBES, 2)
    sheet.lay(Paint((244, 232, 190)), outlines.rect(-x, -y, x, y), atop=True)
    half = outlines.points((-0.95 * x, 0), (-0.6 * x, -0.42 * y), (0.6 * x, -0.42 * y), (0.95 * x, 0))
    face = outlines.ellipse(0, -0.56 * y, 0.36 * x, 0.2 * y)
    hat = outlines.points(
        (-0.4 * x, -0.7 * y), (-0.5 * x, -0.95 * y), (0, -0.8 * y), (0.5 * x, -0.95 * y), (0.4 * x, -0.7 * y)
    )
    belt = outlines.rect(-0.14 * x, -0.42 * y, 0.14 * x, 0)
    for colour, part in ((robe, half), ((240, 206, 176), face), (other, hat), (other, belt)):
        sheet.lay(Paint(colour), part, outlines.moved(part, 0, 0, 180), atop=True)
    sheet.trace(Paint(shade(other, 0.6)), 0.03 * look.radius, outlines.rect(-x, -y, x, y), atop=True)


def _corner(rank: str, suit: str) -> Draw:
    """Rank over suit as printed in a card's corner, on nothing but the card's white."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        x = 0.56 * r
        sheet.lay(Paint(WHITE, light=look.light), outlines.rounded(-x, -0.95 * r, x, 0.95 * r, 0.06 * r))
        mask = glyph(rank, rng.choice((2, 4)))
        height = min(0.9 * r, 0.92 * r * mask.height / mask.width)
        sheet.stamp(Paint(look.colour), mask, height, 0.0, -0.4 * r, atop=True)
        parts = [outlines.moved(part, 0, 0.5 * r) for part in outlines.suit(suit, 0.36 * r)]
        sheet.lay(Paint(look.colour), *parts, atop=True)

    return draw


CARDS: dict[str, Kind] = {
    **{
        f"card {suit} {rank}": Kind(
            _card(rank, suit), 34.0, 0.75, ("red",) if suit in ("heart", "diamond") else ("black",)
        )
        for suit in SUITS
        for rank in RANKS
    },
    **{
        f"corner {suit} {rank}": Kind(
            _corner(rank, suit), 12.0, 0.75, ("red",) if suit in ("heart", "diamond") else ("black",)
        )
        for suit in SUITS
        for rank in RANKS
    },
}
