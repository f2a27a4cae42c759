"""What fills a rack: BBUs of three makers, baffles and the openings they leave, ODF trays, ground bars, and other
equipment that is nobody's object. Each is painted into a rectangle whose top left corner is the pen's origin.

The makers differ in layout and not only in colour, so that a warm light or a dim room leaves them apart:
Huawei: light grey, a fan to the left, two columns of horizontal boards. ZTE: blue-grey with a blue band, upright
boards, the fan to the right. Ericsson: charcoal, one row of ports between two handles, a thin bright line.
"""

from __future__ import annotations

from random import Random

from argusvl.synthetic.bbu_room.fasteners import BLACK, SHADOW, STEEL, paint_adapter, paint_port
from argusvl.synthetic.canvas import Colour, Pen, Point, mix, shade


def ear_width(width: float, height: float) -> float:
    """Width of the flanges that a unit is screwed to the rails by."""
    return min(0.12 * width, max(0.095 * width, 0.34 * height))


def ports_of_bbu(maker: str, width: float, height: float) -> tuple[float, list[Point]]:
    """Size of a BBU's optical ports, and their centres in the unit's frame."""
    ear = ear_width(width, height)
    left, inner = ear, width - 2 * ear
    if maker == "huawei":
        places = [(f, 0.3) for f in (0.2, 0.32, 0.44, 0.64, 0.76, 0.88)]
    elif maker == "zte":
        places = [(0.075 + 0.145 * i, 0.4) for i in range(5)]
    else:
        places = [(0.14 + 0.12 * i, 0.38) for i in range(7)]
    size = min(0.1 * inner, (0.36 if maker == "ericsson" else 0.34) * height)
    return size, [(left + inner * across, down * height) for across, down in places]


def paint_bbu(pen: Pen, w: float, h: float, maker: str, tone: float, seed: int) -> None:
    """A BBU with empty ports. ``tone`` darkens or lightens its face (1: as it left the factory)."""
    rng = Random(seed)
    _MAKERS[maker](pen, w, h, tone, rng)
    size, ports = ports_of_bbu(maker, w, h)
    for x, y in ports:
        paint_port(pen.at(x, y), size)
        colour = rng.choice(((70, 230, 90), (70, 230, 90), (250, 190, 60), (60, 70, 60)))
        pen.ellipse(x + 0.3 * size, y - 0.62 * size, 0.09 * size + 0.5, 0.09 * size + 0.5, colour, sides=6)


def _front(pen: Pen, w: float, h: float, face: Colour, contrast: float) -> None:
    pen.shaded(0, 0, w, h, face, contrast)
    pen.bevel(0, 0, w, h, face, 1.0)


def _eared_front(pen: Pen, w: float, h: float, face: Colour, contrast: float) -> tuple[float, float]:
    """A front with the flanges that it is screwed on by; returns the width of one, and of what is between them."""
    pen.shaded(0, 0, w, h, face, contrast)
    ear = ear_width(w, h)
    for x in (0.0, w - ear):
        pen.shaded(x, 0, x + ear, h, shade(face, 0.86), 0.08, steps=3)
        pen.bevel(x, 0, x + ear, h, shade(face, 0.86), 0.9)
    return ear, w - 2 * ear


def _huawei(pen: Pen, w: float, h: float, tone: float, rng: Random) -> None:
    face = shade((190, 193, 195), tone)
    left, inner = _eared_front(pen, w, h, face, 0.07)
    fan = left + 0.13 * inner
    pen.rect(left + 0.02 * inner, 0.1 * h, fan, 0.9 * h, shade(face, 0.5))
    for i in range(6):
        y = h * (0.14 + 0.127 * i)
        pen.rect(left + 0.03 * inner, y, fan - 0.01 * inner, y + 0.05 * h, shade(face, 0.22))
    # Two columns of three boards, parted by dark gaps, with a lever at the outer end of each.
    for column in range(2):
        x0 = fan + inner * (0.015 + 0.43 * column)
        x1 = x0 + 0.415 * inner
        for row in range(3):
            y0, y1 = h * (0.08 + 0.29 * row), h * (0.08 + 0.29 * row + 0.265)
            pen.shaded(x0, y0, x1, y1, shade(face, 1.08), 0.05, steps=3)
            pen.bevel(x0, y0, x1, y1, face, 0.8)
            if row:
                lever = x1 - 0.05 * inner
                pen.rect(lever, y0 + 0.07 * h, x1 - 0.012 * inner, y1 - 0.07 * h, shade(face, 0.45))
                _sockets(pen, x0 + 0.03 * inner, lever - 0.02 * inner, (y0 + y1) / 2, 0.1 * h, rng)
    pen.ellipse(left + 0.075 * inner, 0.5 * h, 0.06 * h, 0.06 * h, (214, 34, 44), sides=12)


def _zte(pen: Pen, w: float, h: float, tone: float, rng: Random) -> None:
    face = shade((164, 178, 196), tone)
    left, inner = _eared_front(pen, w, h, face, 0.07)
    pen.rect(left, 0.02 * h, w - left, 0.13 * h, shade((28, 84, 190), tone))
    pen.rect(left + 0.02 * inner, 0.05 * h, left + 0.13 * inner, 0.1 * h, (236, 240, 250))
    for i in range(5):
        x0 = left + inner * (0.01 + 0.145 * i)
        x1 = x0 + 0.135 * inner
        pen.shaded(x0, 0.16 * h, x1, 0.95 * h, shade(face, 1.12), 0.06, steps=4)
        pen.bevel(x0, 0.16 * h, x1, 0.95 * h, face, 0.8)
        pen.rect(x0 + 0.02 * inner, 0.82 * h, x1 - 0.02 * inner, 0.9 * h, shade((40, 78, 150), tone))
        _sockets(pen, x0 + 0.02 * inner, x1 - 0.02 * inner, 0.7 * h, 0.12 * h, rng)
    x0, x1 = left + 0.75 * inner, w - left - 0.01 * inner
    pen.rect(x0, 0.18 * h, x1, 0.94 * h, shade(face, 0.4))
    cx, radius = (x0 + x1) / 2, min((x1 - x0) / 2, 0.37 * h) * 0.92
    for share, factor in ((1.0, 0.2), (0.78, 0.55), (0.66, 0.2), (0.42, 0.55), (0.3, 0.7)):
        pen.ellipse(cx, 0.56 * h, share * radius, share * radius, shade(face, factor))


def _ericsson(pen: Pen, w: float, h: float, tone: float, rng: Random) -> None:
    face = shade((62, 65, 70), tone)
    left, inner = _eared_front(pen, w, h, face, 0.14)
    for x in (left + 0.015 * inner, w - left - 0.055 * inner):
        pen.rect(x, 0.12 * h, x + 0.04 * inner, 0.88 * h, shade(face, 1.9))
        pen.rect(x + 0.012 * inner, 0.2 * h, x + 0.03 * inner, 0.8 * h, shade(face, 0.4))
    pen.rect(left + 0.075 * inner, 0.1 * h, w - left - 0.075 * inner, 0.72 * h, shade(face, 0.6))
    pen.rect(left + 0.075 * inner, 0.8 * h, w - left - 0.075 * inner, 0.85 * h, shade((226, 230, 234), tone))
    for i in range(3):  # the slanted mark
        x = left + inner * (0.1 + 0.022 * i)
        lower, upper = (x, x + 0.012 * inner), (x + 0.014 * inner, x + 0.026 * inner)
        pen.slanted((0.96 * h, *lower), (0.87 * h, *upper), (230, 232, 236))
    _sockets(pen, w - left - 0.34 * inner, w - left - 0.1 * inner, 0.92 * h, 0.07 * h, rng)


_MAKERS = {"huawei": _huawei, "zte": _zte, "ericsson": _ericsson}


def _sockets(pen: Pen, x0: float, x1: float, y: float, size: float, rng: Random) -> None:
    """Small sockets and lamps along a line."""
    x = x0
    while x + size < x1:
        if rng.random() < 0.6:
            pen.rect(x, y - size / 2, x + size, y + size / 2, (34, 34, 38))
            pen.rect(x + 0.2 * size, y - 0.3 * size, x + 0.8 * size, y, (96, 90, 60))
        elif rng.random() < 0.5:
            lamp = rng.choice(((80, 220, 90), (240, 160, 40)))
            pen.rect(x, y - 0.2 * size, x + 0.35 * size, y + 0.2 * size, lamp)
        x += size * 1.45


def paint_baffle(pen: Pen, w: float, h: float, face: Colour, seed: int) -> None:
    """A baffle in its place: a plain folded plate with a field of slots and a latch at either end."""
    rng = Random(seed)
    pen.shaded(0, 0, w, h, face, 0.1)
    pen.rect(0, 0, w, 0.1 * h, shade(face, 1.22))
    pen.rect(0, 0.88 * h, w, h, shade(face, 0.62))
    pen.bevel(0, 0, w, h, face, 1.1)
    for x in (0.035 * w, 0.925 * w):
        pen.rect(x, 0.34 * h, x + 0.04 * w, 0.66 * h, shade(face, 0.42))
        pen.rect(x + 0.012 * w, 0.4 * h, x + 0.028 * w, 0.6 * h, shade(face, 1.3))
    first, last = rng.choice(((0.12, 0.46), (0.54, 0.88), (0.12, 0.88), (0.3, 0.7)))
    rows = 2 if h < 48 else 3
    count = max(3, int((last - first) * w / (0.26 * h + 6)))
    for i in range(count):
        x = w * (first + (last - first) * i / count)
        for row in range(rows):
            y = h * (0.22 + 0.58 * row / rows)
            pen.rect(x, y, x + 0.62 * (last - first) * w / count, y + 0.3 * h / rows, shade(face, 0.3))


def paint_opening(pen: Pen, w: float, h: float, inside: Colour, rail: Colour, seed: int) -> None:
    """A place whose baffle is missing: bare rails, side walls that run into the dark, cables at the back."""
    rng = Random(seed)
    edge, deep = 0.07 * w, 0.16 * w
    back = mix(inside, (0, 0, 0), 0.35)
    pen.rect(0, 0, w, h, shade(inside, 0.9))
    for outer, inner, light in ((edge, deep, 1.7), (w - edge, w - deep, 1.45)):
        side = [(outer, 0), (inner, 0.2 * h), (inner, 0.86 * h), (outer, h)]
        pen.polygon(side, shade(inside, light))
    pen.polygon([(edge, h), (deep, 0.86 * h), (w - deep, 0.86 * h), (w - edge, h)], shade(inside, 2.1))
    pen.rect(deep, 0.2 * h, w - deep, 0.86 * h, back)
    for _ in range(rng.randrange(0, 4)):
        x = rng.uniform(deep, w - deep)
        colour = shade(rng.choice(((70, 70, 74), (110, 100, 40), (90, 50, 30))), 0.7)
        sway = rng.uniform(-0.06, 0.06) * w
        low, high = max(deep, min(x + sway, w - deep)), max(deep, min(x - sway, w - deep))
        pen.line([(low, 0.21 * h), (x, 0.5 * h), (high, 0.85 * h)], max(1.4, 0.05 * h), colour, counted=False)
    paint_rail(pen, 0, 0, edge, h, rail)
    paint_rail(pen, w - edge, 0, w, h, rail)


def paint_rail(pen: Pen, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
    """A rack's rail with its square holes."""
    pen.rect(x0, y0, x1, y1, colour)
    pen.rect(x0, y0, x0 + 0.14 * (x1 - x0), y1, shade(colour, 1.25))
    hole = 0.3 * (x1 - x0)
    y = y0 + 0.5 * hole
    while y + hole < y1:
        pen.rect((x0 + x1 - hole) / 2, y, (x0 + x1 + hole) / 2, y + hole, shade(colour, 0.2))
        y += 2.1 * hole


def adapters_of_odf(width: float, height: float) -> tuple[float, list[Point]]:
    """Size of an ODF tray's adapters, and their centres in the tray's frame."""
    size = min(0.085 * width, 0.46 * height)
    return size, [(width * (0.13 + 0.105 * i), 0.36 * height) for i in range(8)]


def paint_odf(pen: Pen, w: float, h: float, face: Colour, adapter: Colour, seed: int) -> None:
    """An ODF tray: a lip, a recessed field of adapters without plugs, some under dust caps."""
    rng = Random(seed)
    _front(pen, w, h, face, 0.1)
    pen.rect(0.06 * w, 0.06 * h, 0.94 * w, 0.86 * h, shade(face, 0.55))
    pen.rect(0.06 * w, 0.8 * h, 0.94 * w, 0.94 * h, shade(face, 1.15))
    size, centres = adapters_of_odf(w, h)
    for x, y in centres:
        paint_adapter(pen.at(x, y), size, adapter, capped=rng.random() < 0.45)


def paint_ground_bar(pen: Pen, w: float, h: float, plate: Colour | None, copper: Colour, seed: int) -> None:
    """A copper bar on two insulators with empty holes; ``plate`` is what carries it in a rack."""
    rng = Random(seed)
    if plate is not None:
        _front(pen, w, h, plate, 0.08)
    top, bottom = 0.24 * h, 0.76 * h
    pen.rect(0.03 * w, top + 0.06 * h, 0.97 * w, bottom + 0.1 * h, SHADOW, counted=False)
    for x in (0.05 * w, 0.91 * w):
        pen.rect(x, 0.1 * h, x + 0.04 * w, 0.9 * h, (170, 44, 36))
        pen.rect(x, 0.1 * h, x + 0.012 * w, 0.9 * h, (214, 96, 84))
    pen.shaded(0.03 * w, top, 0.97 * w, bottom, copper, 0.16)
    pen.rect(0.03 * w, top, 0.97 * w, top + 0.05 * h, mix(copper, (255, 240, 210), 0.5))
    for _ in range(rng.randrange(3, 8)):  # tarnish
        x = rng.uniform(0.05, 0.9) * w
        pen.rect(x, top + 0.06 * h, x + rng.uniform(0.01, 0.06) * w, bottom, (*shade(copper, 0.6), 60))


def paint_power_unit(pen: Pen, w: float, h: float, face: Colour, seed: int) -> None:
    """Breakers in a row: equipment that is nobody's object."""
    rng = Random(seed)
    _front(pen, w, h, face, 0.1)
    count = rng.randrange(6, 11)
    pitch = 0.86 * w / count
    for i in range(count):
        x = 0.07 * w + i * pitch
        pen.rect(x, 0.16 * h, x + 0.8 * pitch, 0.84 * h, (40, 42, 46))
        on = rng.random() < 0.7
        y = 0.3 * h if on else 0.5 * h
        lever = rng.choice(((28, 120, 70), (28, 60, 120))) if on else (140, 36, 34)
        pen.rect(x + 0.22 * pitch, y, x + 0.58 * pitch, y + 0.22 * h, lever)


def paint_fan_tray(pen: Pen, w: float, h: float, face: Colour, seed: int) -> None:
    """A tray of round fan grilles: nobody's object either."""
    rng = Random(seed)
    _front(pen, w, h, face, 0.1)
    count = rng.randrange(3, 6)
    for i in range(count):
        cx, cy, r = w * (i + 0.5) / count, 0.5 * h, min(0.4 * h, 0.4 * w / count)
        pale, dim = shade(face, 0.7), shade(face, 0.6)
        for share, colour in ((1.0, BLACK), (0.86, pale), (0.74, BLACK), (0.54, dim), (0.42, BLACK)):
            pen.ellipse(cx, cy, share * r, share * r, colour)
        pen.ellipse(cx, cy, 0.2 * r, 0.2 * r, STEEL, sides=12)


def paint_cable_manager(pen: Pen, w: float, h: float, face: Colour, seed: int) -> None:
    """A plate with D rings and a brush slot: nobody's object."""
    rng = Random(seed)
    _front(pen, w, h, face, 0.1)
    pen.rect(0.08 * w, 0.4 * h, 0.92 * w, 0.64 * h, (26, 26, 28))
    for i in range(40):
        x = w * (0.085 + 0.83 * i / 40)
        pen.line([(x, 0.42 * h), (x + rng.uniform(-1.5, 1.5), 0.62 * h)], 0.5, (72, 72, 76))
    for i in range(rng.randrange(4, 7)):
        x = w * (0.12 + 0.15 * i)
        pen.rect(x, 0.2 * h, x + 0.03 * w, 0.84 * h, shade(face, 0.4))
        pen.rect(x + 0.009 * w, 0.27 * h, x + 0.021 * w, 0.77 * h, shade(face, 0.75))


def paint_switch(pen: Pen, w: float, h: float, face: Colour, seed: int) -> None:
    """A switch with two rows of network sockets: nobody's object."""
    rng = Random(seed)
    _front(pen, w, h, face, 0.1)
    size = min(0.24 * h, 0.034 * w)
    for i in range(int(0.7 * w / (1.3 * size))):
        x = 0.22 * w + i * 1.3 * size
        for y in (0.28 * h, 0.6 * h):
            pen.rect(x, y, x + size, y + size, (14, 14, 16))
            if rng.random() < 0.4:
                pen.rect(x, y - 0.3 * size, x + 0.4 * size, y - 0.1 * size, (80, 220, 90))
    pen.rect(0.05 * w, 0.36 * h, 0.16 * w, 0.56 * h, shade(face, 0.4))


def paint_filler(pen: Pen, w: float, h: float, face: Colour) -> None:
    """A bare strip that closes what is left of a cabinet."""
    pen.shaded(0, 0, w, h, face, 0.06, steps=3)
    pen.bevel(0, 0, w, h, face, 0.8)


OTHER_EQUIPMENT = (paint_power_unit, paint_fan_tray, paint_cable_manager, paint_switch)
