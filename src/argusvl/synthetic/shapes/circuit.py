"""Parts of circuit boards: chips by their pins, resistors by their bands, and what is soldered beside them."""

from __future__ import annotations

from argusvl.synthetic.canvas import Colour, mix
from argusvl.synthetic.shapes import outlines
from argusvl.synthetic.shapes.fasteners import STEEL
from argusvl.synthetic.shapes.look import BLACK, WHITE, Draw, Kind, Look
from argusvl.synthetic.shapes.outlines import Outline
from argusvl.synthetic.shapes.paint import Paint
from argusvl.synthetic.shapes.sheet import Sheet

_GOLD: Colour = (214, 172, 72)
_BANDS: tuple[Colour, ...] = (
    (20, 20, 22),
    (120, 70, 30),
    (206, 40, 36),
    (240, 130, 30),
    (244, 216, 50),
    (40, 150, 60),
    (40, 80, 200),
    (130, 60, 160),
    (250, 250, 248),
)


def _chip(pins: int, sides: int) -> Draw:
    """A chip with so many pins altogether, on two sides or on four."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        count = pins // sides
        y = r * (0.72 if sides == 4 else rng.uniform(0.34, 0.44))
        x = y if sides == 4 else min(0.95 * r, 0.27 * r * count)
        legs: list[Outline] = []
        for turned in range(0, sides // 2):
            along, across = (x, y) if not turned else (y, x)
            for i in range(count):
                at = along * (-0.8 + 1.6 * i / max(1, count - 1))
                half = 0.4 * along / count
                pin = outlines.rect(at - half, across - 0.02 * r, at + half, across + 0.17 * r)
                legs += [outlines.moved(pin, 0, 0, 90 * turned), outlines.moved(pin, 0, 0, 90 * turned + 180)]
        sheet.lay(look.paint(STEEL), *legs)
        sheet.lay(look.paint(), outlines.rect(-x, -y, x, y))
        dot = outlines.ellipse(-0.78 * x, 0.6 * y, 0.08 * r, 0.08 * r)
        sheet.lay(look.paint(look.contrary), dot, atop=True)
        if rng.random() < 0.6:
            rows = [
                outlines.rect(-0.4 * x, v * y, rng.uniform(0.2, 0.6) * x, (v + 0.16) * y)
                for v in (-0.35, 0.0)
            ]
            sheet.lay(look.paint(look.contrary), *rows, atop=True)

    return draw


def _resistor(bands: int) -> Draw:
    """A resistor with wires: a waisted body with coloured bands."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        y = rng.uniform(0.24, 0.3) * r
        sheet.lay(look.paint(STEEL), outlines.rect(-r, -0.04 * r, r, 0.04 * r))
        x = 0.66 * r
        sheet.lay(
            look.paint(),
            outlines.rounded(-x, -y, -0.4 * x, y, 0.6 * y),
            outlines.rounded(0.4 * x, -y, x, y, 0.6 * y),
            outlines.rect(-0.7 * x, -0.82 * y, 0.7 * x, 0.82 * y),
        )
        seen = [c for c in _BANDS if sum(abs(a - b) for a, b in zip(c, look.colour, strict=True)) > 160]
        for i in range(bands):
            at = (-0.72 + 1.44 * i / (bands - 1)) * x
            band = outlines.rect(at - 0.055 * r, -1.05 * y, at + 0.055 * r, 1.05 * y)
            sheet.lay(Paint(rng.choice(seen)), band, atop=True)
        shine = outlines.rect(-x, -0.6 * y, x, -0.3 * y)
        sheet.lay(Paint(WHITE), shine, atop=True, opacity=0.35, soft=0.08 * y)

    return draw


def _draw_can(sheet: Sheet, look: Look) -> None:
    """An electrolytic capacitor from above: a metal lid with a score, and the dark third of its sleeve."""
    r = look.radius
    sheet.lay(look.paint(), outlines.ellipse(0, 0, r, r))
    sheet.lay(look.paint(mix(STEEL, WHITE, 0.3)), outlines.ellipse(0, 0, 0.84 * r, 0.84 * r), atop=True)
    mark = outlines.arc(0, 0, 0.84 * r, -50, 50, 14)
    sheet.lay(Paint(look.colour if look.brightness < 150 else BLACK), mark, atop=True)
    sheet.trace(
        Paint((96, 98, 104)),
        0.05 * r,
        outlines.points((-0.5 * r, 0), (0.5 * r, 0)),
        outlines.points((0, -0.5 * r), (0, 0.5 * r)),
        closed=False,
        atop=True,
    )


def _draw_lying_can(sheet: Sheet, look: Look) -> None:
    """An electrolytic capacitor from the side: a sleeve with a pale stripe, and two legs."""
    r = look.radius
    x = look.rng.uniform(0.36, 0.46) * r
    legs = [outlines.rect(u * x - 0.04 * r, 0.3 * r, u * x + 0.04 * r, r) for u in (-0.45, 0.45)]
    sheet.lay(look.paint(STEEL), *legs)
    sheet.lay(look.paint(), outlines.rounded(-x, -r, x, 0.55 * r, 0.14 * r))
    stripe = Paint(mix(look.ink, look.colour, 0.2))
    sheet.lay(stripe, outlines.rect(0.4 * x, -0.95 * r, 0.8 * x, 0.5 * r), atop=True)
    sheet.lay(Paint(STEEL), outlines.rect(-x, -r, x, -0.88 * r), atop=True)


def _draw_ceramic(sheet: Sheet, look: Look) -> None:
    """A ceramic capacitor: a lens on two legs, with a number."""
    r = look.radius
    for sign in (-1, 1):
        sheet.lay(
            look.paint(STEEL),
            outlines.points(
                (sign * 0.2 * r, 0), (sign * 0.28 * r, 0), (sign * 0.36 * r, r), (sign * 0.28 * r, r)
            ),
        )
    sheet.lay(look.paint(), outlines.ellipse(0, -0.3 * r, 0.62 * r, 0.62 * r))
    marks = [outlines.rect(u * r, -0.4 * r, (u + 0.12) * r, -0.18 * r) for u in (-0.26, -0.06, 0.14)]
    sheet.lay(look.paint(look.contrary), *marks, atop=True)


def _draw_block(sheet: Sheet, look: Look) -> None:
    """A small block with metal ends, as is soldered flat on a board."""
    r = look.radius
    y = look.rng.uniform(0.42, 0.55) * r
    sheet.lay(look.paint(STEEL), outlines.rect(-0.9 * r, -y, 0.9 * r, y))
    sheet.lay(look.paint(), outlines.rect(-0.55 * r, -y, 0.55 * r, y), atop=True)


def _draw_inductor(sheet: Sheet, look: Look) -> None:
    """A ring with wire wound about it."""
    r = look.radius
    core = [outlines.ellipse(0, 0, 0.9 * r, 0.9 * r)]
    sheet.lay(look.paint(), *core, holes=[outlines.ellipse(0, 0, 0.42 * r, 0.42 * r)])
    wire = Paint((196, 110, 60) if look.brightness < 90 or look.brightness > 170 else BLACK)
    turn = outlines.rounded(0.36 * r, -0.07 * r, r, 0.07 * r, 0.06 * r)
    sheet.lay(wire, *(outlines.moved(turn, 0, 0, 24 * i) for i in range(15) if i not in (6, 7, 8)))


def _draw_crystal(sheet: Sheet, look: Look) -> None:
    """A flat metal can with round ends and a stamped text."""
    r = look.radius
    y = look.rng.uniform(0.34, 0.44) * r
    can = outlines.rounded(-0.95 * r, -y, 0.95 * r, y, y)
    sheet.lay(look.paint(), can)
    sheet.trace(look.shade(0.62), 0.07 * r, 0.97 * can, atop=True)
    sheet.trace(look.tint(0.5), 0.05 * r, 0.8 * can, atop=True)
    text = [outlines.rect(u * r, -0.3 * y, (u + 0.1) * r, 0.3 * y) for u in (-0.4, -0.24, -0.08, 0.12, 0.28)]
    sheet.lay(look.paint(look.contrary), *text, atop=True)


def _draw_diode(sheet: Sheet, look: Look) -> None:
    """A small cylinder on wires, with one band near its end."""
    r = look.radius
    y = look.rng.uniform(0.2, 0.26) * r
    sheet.lay(look.paint(STEEL), outlines.rect(-r, -0.045 * r, r, 0.045 * r))
    sheet.lay(look.paint(), outlines.rounded(-0.52 * r, -y, 0.52 * r, y, 0.2 * y))
    band = outlines.rect(0.24 * r, -1.05 * y, 0.4 * r, 1.05 * y)
    sheet.lay(Paint(mix(STEEL, WHITE, 0.4) if look.brightness < 150 else BLACK), band, atop=True)


def _draw_lamp(sheet: Sheet, look: Look) -> None:
    """A light-emitting diode from the side: a dome with a rim on two legs of unequal length."""
    r = look.radius
    legs = [
        outlines.rect(-0.2 * r, 0.3 * r, -0.13 * r, r),
        outlines.rect(0.13 * r, 0.3 * r, 0.2 * r, 0.82 * r),
    ]
    sheet.lay(look.paint(STEEL), *legs)
    dome = outlines.joined(
        [
            outlines.arc(0, -0.52 * r, 0.42 * r, 180, 360, 18),
            outlines.points((0.42 * r, 0.28 * r), (-0.42 * r, 0.28 * r)),
        ]
    )
    sheet.lay(look.paint(), dome)
    sheet.lay(look.shade(0.8), outlines.rect(-0.54 * r, 0.2 * r, 0.54 * r, 0.38 * r))
    sheet.lay(
        Paint(WHITE),
        outlines.ellipse(-0.14 * r, -0.5 * r, 0.1 * r, 0.24 * r),
        atop=True,
        opacity=0.7,
        soft=0.05 * r,
    )
    sheet.lay(look.shade(0.6), outlines.rect(-0.16 * r, -0.2 * r, 0.16 * r, 0.1 * r), atop=True, opacity=0.6)


def _draw_transistor(sheet: Sheet, look: Look) -> None:
    """A half-round body on three legs."""
    r = look.radius
    legs = [outlines.rect(u * r - 0.045 * r, 0.1 * r, u * r + 0.045 * r, r) for u in (-0.3, 0, 0.3)]
    sheet.lay(look.paint(STEEL), *legs)
    sheet.lay(look.paint(), outlines.rounded(-0.52 * r, -0.95 * r, 0.52 * r, 0.2 * r, 0.12 * r))
    sheet.lay(look.tint(0.3), outlines.rect(-0.52 * r, -0.95 * r, 0.52 * r, -0.76 * r), atop=True)
    rows = [outlines.rect(-0.32 * r, v * r, 0.3 * r, (v + 0.13) * r) for v in (-0.56, -0.28)]
    sheet.lay(look.paint(look.contrary), *rows, atop=True)


def _header(pins: int) -> Draw:
    """A row of gold pins in a strip."""

    def draw(sheet: Sheet, look: Look) -> None:
        r = look.radius
        half = 0.95 * r / max(pins, 3)
        x = half * pins
        notches = [
            outlines.rounded(-x + 2 * half * i, -half, -x + 2 * half * (i + 1), half, 0.4 * half)
            for i in range(pins)
        ]
        sheet.lay(
            look.paint(), outlines.rect(-x + 0.3 * half, -0.9 * half, x - 0.3 * half, 0.9 * half), *notches
        )
        gold = Paint(_GOLD if abs(look.brightness - 170) > 30 else BLACK)
        places = [-x + half * (2 * i + 1) for i in range(pins)]
        sheet.lay(
            gold,
            *(outlines.rect(u - 0.36 * half, -0.36 * half, u + 0.36 * half, 0.36 * half) for u in places),
            atop=True,
        )

    return draw


def _draw_button(sheet: Sheet, look: Look) -> None:
    """A push button: a metal square with four corners pinned, and a round plunger in its colour."""
    r = look.radius
    a = 0.66 * r
    feet = [
        outlines.rect(sx * a - 0.14 * r, sy * 0.45 * r - 0.1 * r, sx * a + 0.14 * r, sy * 0.45 * r + 0.1 * r)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    sheet.lay(look.paint((120, 122, 128)), *feet)
    sheet.lay(look.paint(mix(STEEL, WHITE, 0.3)), outlines.rounded(-a, -a, a, a, 0.08 * r))
    sheet.lay(
        Paint(BLACK),
        *(
            outlines.ellipse(sx * 0.52 * r, sy * 0.52 * r, 0.07 * r, 0.07 * r)
            for sx in (-1, 1)
            for sy in (-1, 1)
        ),
        atop=True,
    )
    sheet.lay(look.paint(), outlines.ellipse(0, 0, 0.42 * r, 0.42 * r), atop=True)
    sheet.trace(look.shade(0.6), 0.05 * r, outlines.ellipse(0, 0, 0.42 * r, 0.42 * r), atop=True)


CIRCUIT: dict[str, Kind] = {
    **{f"chip {pins}": Kind(_chip(pins, 2), 11.0 + 0.9 * pins, 0.7) for pins in (4, 6, 8, 14, 16)},
    **{f"quad chip {pins}": Kind(_chip(pins, 4), 9.0 + 0.6 * pins, 0.7) for pins in (16, 24)},
    **{f"resistor {bands}": Kind(_resistor(bands), 15.0 + bands, 0.7) for bands in (3, 4, 5)},
    "round capacitor": Kind(_draw_can, 10.0),
    "long capacitor": Kind(_draw_lying_can, 13.0),
    "flat capacitor": Kind(_draw_ceramic, 13.0),
    "short capacitor": Kind(
        _draw_block, 8.0, 0.6, tuple(c for c in Kind(_draw_block).colours if c != "grey")
    ),
    "inductor": Kind(_draw_inductor, 13.0),
    "crystal": Kind(_draw_crystal, 13.0),
    "diode": Kind(_draw_diode, 12.0),
    "lamp": Kind(_draw_lamp, 13.0),
    "transistor": Kind(_draw_transistor, 14.0),
    **{f"header {pins}": Kind(_header(pins), 9.0 + 1.5 * pins, 0.75) for pins in range(2, 9)},
    "button": Kind(_draw_button, 12.0),
}
