"""Things made of parts: fasteners, plates, rows of ports, plugs, tags, dials, chips, and a few from a house."""

from __future__ import annotations

import math

import numpy as np

from argusvl.synthetic.canvas import Colour, mix, shade
from shapes import outlines
from shapes.look import BLACK, WHITE, Draw, Look
from shapes.outlines import Outline
from shapes.paint import Paint, mottle, stripes
from shapes.sheet import Sheet

_STEEL: Colour = (178, 180, 184)


def draw_bolt(sheet: Sheet, look: Look) -> None:
    """A hexagonal head on a washer, with a recess."""
    r, rng = look.radius, look.rng
    sheet.lay(look.shade(0.7), outlines.ellipse(0, 0, r, r))
    sheet.lay(look.shade(0.92), outlines.ellipse(0, 0, 0.93 * r, 0.93 * r), atop=True)
    sheet.lay(look.paint(look.contrary), outlines.regular(6, 0.84 * r), atop=True, opacity=0.6)
    sheet.lay(look.paint(), outlines.regular(6, 0.8 * r), atop=True)
    if rng.random() < 0.6:
        sheet.trace(look.tint(0.35), 0.05 * r, outlines.ellipse(0, 0, 0.64 * r, 0.64 * r), atop=True)
    _recess(sheet, look, 0.5 * r)


def draw_screw(sheet: Sheet, look: Look) -> None:
    """A round head with a recess."""
    r, rng = look.radius, look.rng
    sheet.lay(look.shade(0.62), outlines.ellipse(0, 0, r, r))
    sheet.lay(look.paint(), outlines.ellipse(0, 0, 0.9 * r, 0.9 * r), atop=True)
    glint = outlines.ellipse(-0.3 * r, -0.36 * r, 0.42 * r, 0.26 * r)
    sheet.lay(look.tint(0.55), glint, atop=True, soft=0.12 * r, opacity=rng.uniform(0.2, 0.8))
    _recess(sheet, look, 0.62 * r)


def _recess(sheet: Sheet, look: Look, r: float) -> None:
    rng = look.rng
    hole = Paint(mix(look.colour, WHITE, 0.55) if look.dark else BLACK)
    turn = rng.uniform(0, 180)
    half = 0.17 * r
    if look.state == "socket":
        sheet.lay(hole, outlines.moved(outlines.regular(6, 0.86 * r), 0, 0, turn), atop=True)
        return
    slot = outlines.rect(-1.15 * r, -half, 1.15 * r, half)
    arms = [outlines.moved(slot, 0, 0, turn)]
    if look.state == "crosshead":
        arms.append(outlines.moved(slot, 0, 0, turn + 90))
    sheet.lay(hole, *arms, atop=True)


def draw_nut(sheet: Sheet, look: Look) -> None:
    """A hexagonal nut, its bore open."""
    r, rng = look.radius, look.rng
    bore = rng.uniform(0.42, 0.52) * r
    sheet.lay(look.paint(), outlines.regular(6, r))
    sheet.trace(look.shade(0.6), 0.06 * r, outlines.regular(6, 0.97 * r), atop=True)
    sheet.trace(look.tint(0.3), 0.06 * r, outlines.ellipse(0, 0, 0.78 * r, 0.78 * r), atop=True)
    sheet.trace(look.paint(look.contrary), 0.18 * r, outlines.ellipse(0, 0, bore, bore), atop=True)
    sheet.cut(outlines.ellipse(0, 0, bore, bore))


def draw_bracket(sheet: Sheet, look: Look) -> None:
    """A flat piece in the shape of an L, a T or a U, with screw holes."""
    r, rng = look.radius, look.rng
    a, t = 0.72 * r, rng.uniform(0.3, 0.42) * r
    if look.state == "l_shaped":
        shape = outlines.points((-a, -a), (-a + t, -a), (-a + t, a - t), (a, a - t), (a, a), (-a, a))
        holes = [(-a + t / 2, -0.6 * a), (-a + t / 2, 0.1 * a), (0.05 * a, a - t / 2), (0.7 * a, a - t / 2)]
    elif look.state == "t_shaped":
        h = t / 2
        shape = outlines.points(
            (-a, -a), (a, -a), (a, -a + t), (h, -a + t), (h, a), (-h, a), (-h, -a + t), (-a, -a + t)
        )
        holes = [(-0.7 * a, -a + h), (0.7 * a, -a + h), (0, 0.1 * a), (0, 0.7 * a)]
    else:
        shape = outlines.points(
            (-a, -a), (-a + t, -a), (-a + t, a - t), (a - t, a - t), (a - t, -a), (a, -a), (a, a), (-a, a)
        )
        holes = [(-a + t / 2, -0.65 * a), (a - t / 2, -0.65 * a), (0, a - t / 2)]
    sheet.lay(look.paint(), shape)
    sheet.trace(look.shade(0.62), 0.08 * r, shape, atop=True)
    sheet.cut(*(outlines.ellipse(x, y, 0.26 * t, 0.26 * t) for x, y in holes))


def draw_plate(sheet: Sheet, look: Look) -> None:
    """A plate with one, two or four holes."""
    r, rng = look.radius, look.rng
    x, y = 0.85 * r, r * rng.uniform(0.42, 0.6)
    shape = outlines.rounded(-x, -y, x, y, rng.choice((0.02, 0.15, 0.3)) * r)
    brushed = mottle(rng, 2.0, 0.3)
    sheet.lay(look.paint(other=shade(look.colour, 0.8), weave=brushed), shape)
    sheet.trace(look.shade(0.65), 0.06 * r, shape, atop=True)
    hole = rng.uniform(0.32, 0.45) * y
    places = {
        "one_hole": [(0.0, 0.0)],
        "two_holes": [(-0.52 * x, 0.0), (0.52 * x, 0.0)],
        "four_holes": [(sx * 0.62 * x, sy * 0.5 * y) for sx in (-1, 1) for sy in (-1, 1)],
    }[look.state]
    if look.state == "four_holes":
        hole *= 0.72
    rings = [outlines.ellipse(px, py, hole, hole) for px, py in places]
    sheet.trace(look.paint(look.contrary), 0.07 * r, *rings, atop=True)
    sheet.cut(*rings)


def draw_ports(sheet: Sheet, look: Look) -> None:
    """A strip with a row of ports: all empty, half of them plugged, or all."""
    r, rng = look.radius, look.rng
    count = rng.randrange(4, 9)
    pitch = 1.8 * r / count
    x, y = 0.97 * r, min(0.75 * pitch, 0.45 * r)
    sheet.lay(look.paint(), outlines.rounded(-x, -y, x, y, 0.12 * y))
    sheet.trace(look.shade(0.6), 0.03 * r, outlines.rect(-x, -y, x, y), atop=True)
    w, h = 0.36 * pitch, 0.62 * y
    centres = [(i + 0.5) * pitch - 0.9 * r for i in range(count)]
    ports = [outlines.rect(x - w, -h, x + w, h) for x in centres]
    sheet.lay(Paint((62, 64, 70) if look.dark else BLACK), *ports, atop=True)
    if look.dark:
        sheet.trace(Paint(_STEEL), 0.02 * r, *ports, atop=True)
    filled = {"empty": 0, "half_full": count // 2, "full": count}[look.state]
    plugged = rng.sample(centres, filled) if rng.random() < 0.5 else centres[:filled]
    if plugged:
        body = Paint(rng.choice(((236, 236, 230), (70, 150, 220), (240, 200, 60), (90, 200, 120))))
        plugs = (outlines.rect(x - 0.8 * w, -0.75 * h, x + 0.8 * w, 0.8 * h) for x in plugged)
        sheet.lay(body, *plugs, atop=True)
        latches = (outlines.rect(x - 0.3 * w, -0.3 * h, x + 0.3 * w, 0.8 * h) for x in plugged)
        sheet.lay(Paint((60, 62, 66)), *latches, atop=True)


def draw_plug(sheet: Sheet, look: Look) -> None:
    """A plug: pins, a body with grips, a boot and the stub of its cable."""
    r, rng = look.radius, look.rng
    w = rng.uniform(0.3, 0.42) * r
    pins = rng.choice((1, 2, 2, 3))
    for i in range(pins):
        y = (i - (pins - 1) / 2) * 1.3 * w / max(1, pins - 1)
        half = 0.13 * w if pins > 1 else 0.34 * w
        sheet.lay(look.paint(_STEEL), outlines.rect(-r, y - half, -0.4 * r, y + half))
    cable = outlines.points((0.5 * r, 0), (0.7 * r, 0), (0.92 * r, 0))
    sheet.lay(look.shade(0.5), outlines.ribbon(cable, 0.3 * w))
    wide, narrow = ((0.2 * r, -0.62 * w), (0.2 * r, 0.62 * w)), ((0.66 * r, -0.3 * w), (0.66 * r, 0.3 * w))
    sheet.lay(look.shade(0.72), outlines.points(wide[0], *narrow, wide[1]))
    sheet.lay(look.paint(), outlines.rounded(-0.55 * r, -w, 0.26 * r, w, 0.25 * w))
    grips = [outlines.rect(x * r, -0.6 * w, (x + 0.05) * r, 0.6 * w) for x in (-0.3, -0.14, 0.02)]
    sheet.lay(look.paint(look.contrary), *grips, atop=True)


def draw_tag(sheet: Sheet, look: Look) -> None:
    """A tag with a barcode, or with lines of text."""
    r, rng = look.radius, look.rng
    x, y = 0.86 * r, r * rng.uniform(0.4, 0.55)
    sheet.lay(look.paint(), outlines.rounded(-x, -y, x, y, rng.choice((0.0, 0.12)) * r + 0.01))
    if rng.random() < 0.5:
        sheet.trace(look.shade(0.7), 0.04 * r, outlines.rect(-x, -y, x, y), atop=True)
    ink = Paint(WHITE if look.dark or sum(look.colour) < 330 else BLACK)
    marks: list[Outline] = []
    if look.state == "barcode":
        at = -0.82 * x
        while at < 0.78 * x:
            width = rng.choice((0.03, 0.05, 0.09)) * x
            marks.append(outlines.rect(at, -0.68 * y, min(at + width, 0.82 * x), 0.62 * y))
            at += width + rng.choice((0.04, 0.06, 0.1)) * x
    else:
        rows = rng.choice((2, 3, 4))
        for row in range(rows):
            top = y * (-0.72 + 1.44 * row / rows)
            at, end = -0.82 * x, x * rng.uniform(0.2, 0.82)
            while at < end:
                width = x * rng.uniform(0.08, 0.3)
                marks.append(outlines.rect(at, top, min(at + width, end), top + 0.8 * y / rows))
                at += width + 0.07 * x
    sheet.lay(ink, *marks, atop=True)


def draw_dial(sheet: Sheet, look: Look) -> None:
    """A dial: a rim in its colour, a pale or dark face with ticks, and a hand."""
    r, rng = look.radius, look.rng
    sheet.lay(look.paint(), outlines.ellipse(0, 0, r, r))
    pale = look.dark or (rng.random() < 0.6 and sum(look.colour) < 600)
    face, ink = (WHITE, BLACK) if pale else (BLACK, WHITE)
    inner = 0.74 * r
    sheet.lay(Paint(face), outlines.ellipse(0, 0, inner, inner), atop=True)
    ticks = [
        outlines.moved(outlines.rect(0.8 * inner, -0.035 * r, 0.95 * inner, 0.035 * r), 0, 0, a)
        for a in range(0, 360, rng.choice((30, 45)))
    ]
    sheet.lay(Paint(ink), *ticks, atop=True)
    hand = outlines.points((-0.15 * r, -0.07 * r), (0.62 * r, 0), (-0.15 * r, 0.07 * r))
    sheet.lay(look.paint(), outlines.moved(hand, 0, 0, rng.uniform(0, 360)), atop=True)
    sheet.lay(look.paint(), outlines.ellipse(0, 0, 0.11 * r, 0.11 * r), atop=True)


def draw_chip(sheet: Sheet, look: Look) -> None:
    """A chip with legs on two or on four sides."""
    r, rng = look.radius, look.rng
    four = rng.random() < 0.4
    x = (0.58 if four else 0.8) * r
    y = x if four else r * rng.uniform(0.34, 0.46)
    leg = 0.16 * r
    legs: list[Outline] = []
    for sides, (along, across) in enumerate(((x, y), (y, x))):
        if sides and not four:
            break
        count = rng.randrange(4, 8)
        for i in range(count):
            at = along * (-0.84 + 1.68 * i / (count - 1))
            half = 0.42 * along / count
            for sign in (-1, 1):
                pin = outlines.rect(at - half, across - 0.02 * r, at + half, across + leg)
                legs.append(outlines.moved(pin, 0, 0, 90 * sides + (180 if sign < 0 else 0)))
    sheet.lay(look.paint(_STEEL), *legs)
    sheet.lay(look.paint(), outlines.rect(-x, -y, x, y))
    sheet.lay(look.paint(look.contrary), outlines.ellipse(-0.75 * x, 0.55 * y, 0.1 * r, 0.1 * r), atop=True)
    if rng.random() < 0.6:
        ends = [(v, rng.uniform(0.2, 0.7) * x) for v in (-0.35, 0.0)]
        lines = [outlines.rect(-0.4 * x, v * y, end, (v + 0.16) * y) for v, end in ends]
        sheet.lay(look.paint(look.contrary), *lines, atop=True)


def draw_grille(sheet: Sheet, look: Look) -> None:
    """A round or square cover with slots or a grid of holes."""
    r, rng = look.radius, look.rng
    round_ = rng.random() < 0.5
    x = r if round_ else 0.76 * r
    y = r if round_ else x * rng.uniform(0.6, 1.0)
    shape = outlines.ellipse(0, 0, r, r) if round_ else outlines.rounded(-x, -y, x, y, 0.1 * r)
    sheet.lay(look.paint(), shape)
    sheet.trace(look.shade(0.65), 0.06 * r, shape, atop=True)
    rows = rng.choice((5, 6, 7))
    holes: list[Outline] = []
    slotted = rng.random() < 0.5
    for i in range(rows):
        v = y * (-0.74 + 1.48 * i / (rows - 1))
        half = 0.82 * x * (np.sqrt(max(0.0, 1 - (v / y) ** 2)) if round_ else 1.0)
        thick = 0.4 * 1.48 * y / (rows - 1)
        if slotted:
            if half > 0.15 * x:
                holes.append(outlines.rounded(-half, v - thick / 2, half, v + thick / 2, thick / 2))
            continue
        step = 1.48 * y / (rows - 1)
        for j in range(-rows, rows + 1):
            if abs(j * step) + thick / 2 <= half:
                holes.append(outlines.ellipse(j * step, v, 0.62 * thick, 0.62 * thick, 10))
    sheet.lay(Paint((96, 98, 104) if look.dark else BLACK), *holes, atop=True)


def draw_tube(sheet: Sheet, look: Look) -> None:
    """A thick bent tube with a flange at either end, lit along its middle."""
    r, rng = look.radius, look.rng
    width = rng.uniform(0.2, 0.3) * r
    if rng.random() < 0.5:
        path = outlines.wave(rng, 0.88 * r - width / 2, rng.uniform(0.35, 0.6) * r)
    else:
        path = outlines.arc(0, 0, 0.9 * r - width / 2, 0, rng.uniform(110, 240), 30)
    sheet.lay(look.shade(0.62), outlines.ribbon(path, width))
    flange = outlines.rect(-0.05 * r, -0.8 * width, 0.05 * r, 0.8 * width)
    for end, before in ((0, 1), (-1, -2)):
        dx, dy = path[end] - path[before]
        turn = math.degrees(math.atan2(dy, dx))
        sheet.lay(look.shade(0.8), outlines.moved(flange, float(path[end, 0]), float(path[end, 1]), turn))
    sheet.lay(look.paint(), outlines.ribbon(path, 0.74 * width), atop=True)
    sheet.trace(look.tint(0.5), 0.16 * width, path, closed=False, atop=True)


def draw_key(sheet: Sheet, look: Look) -> None:
    """A key: a bow with a hole, a shaft, a bit with teeth."""
    r, rng = look.radius, look.rng
    bow = rng.uniform(0.36, 0.44) * r
    shaft = 0.09 * r
    teeth = [
        outlines.rect(x * r, 0, (x + 0.1) * r, rng.uniform(0.2, 0.36) * r)
        for x in (0.86, 0.66, 0.46)[: rng.choice((2, 3))]
    ]
    head = outlines.regular(6, bow) if rng.random() < 0.3 else outlines.ellipse(0, 0, bow, bow)
    rod = outlines.rect(-r + 1.6 * bow, -shaft, 0.98 * r, shaft)
    sheet.lay(look.paint(), outlines.moved(head, -r + bow, 0), rod, *teeth)
    hole = rng.uniform(0.35, 0.55) * bow
    sheet.cut(outlines.ellipse(-r + bow, 0, hole, hole))


def draw_flower(sheet: Sheet, look: Look) -> None:
    """Petals around a heart of another colour."""
    r, rng = look.radius, look.rng
    count = rng.choice((5, 6, 7, 8))
    long = 0.36 * r
    wide = long * min(1.0, rng.uniform(4.4, 5.6) / count)
    for i in range(count):
        petal = outlines.moved(outlines.ellipse(r - long, 0, long, wide), 0, 0, 360 * i / count)
        sheet.lay(look.paint(), petal)
        sheet.trace(look.shade(0.72), 0.04 * r, petal, atop=True, opacity=0.7)
    heart = rng.choice((BLACK, WHITE, (70, 60, 40)))
    size = rng.uniform(0.28, 0.36) * r
    sheet.lay(Paint(heart), outlines.ellipse(0, 0, size, size))


def draw_leaf(sheet: Sheet, look: Look) -> None:
    """A pointed leaf with a stalk and veins."""
    r, rng = look.radius, look.rng
    t = np.linspace(0, 1, 18)
    half = rng.uniform(0.34, 0.5) * r * np.sin(np.pi * t) ** rng.uniform(0.8, 1.3)
    xs = -0.7 * r + 1.7 * r * t
    blade = np.concatenate([np.stack((xs, half), 1), np.stack((xs, -half), 1)[::-1]])
    sheet.lay(look.shade(0.7), outlines.rect(-r, -0.04 * r, -0.6 * r, 0.04 * r))
    sheet.lay(look.paint(other=shade(look.colour, 0.8), weave=mottle(rng, 4.0, 0.6)), blade)
    vein = look.paint(look.contrary)
    sheet.trace(vein, 0.05 * r, outlines.points((-0.7 * r, 0), (0.9 * r, 0)), closed=False, atop=True)
    ribs = [
        outlines.points((x * r, 0), ((x + 0.28) * r, sign * 0.4 * r))
        for x in (-0.4, -0.1, 0.2)
        for sign in (-1, 1)
    ]
    sheet.trace(vein, 0.03 * r, *ribs, closed=False, atop=True)


def draw_bottle(sheet: Sheet, look: Look) -> None:
    """A bottle with a label on it, capped or open."""
    r, rng = look.radius, look.rng
    w = rng.uniform(0.34, 0.46) * r
    neck = rng.uniform(0.34, 0.45) * w
    top = -r if look.state == "open" else -0.8 * r
    shape = np.concatenate(
        [
            outlines.points((-neck, top), (neck, top), (neck, -0.45 * r)),
            outlines.arc(w - 0.3 * w, -0.1 * r, 0.3 * w, -80, 0, 6),
            outlines.points((w, 0.95 * r), (0.85 * w, r), (-0.85 * w, r), (-w, 0.95 * r)),
            outlines.arc(-w + 0.3 * w, -0.1 * r, 0.3 * w, 180, 260, 6),
            outlines.points((-neck, -0.45 * r)),
        ]
    )
    sheet.lay(look.paint(), shape)
    if look.state == "capped":
        cap = rng.choice((BLACK, WHITE, _STEEL))
        sheet.lay(look.paint(cap), outlines.rect(-1.25 * neck, -r, 1.25 * neck, -0.72 * r))
    else:
        sheet.lay(look.paint(look.contrary), outlines.rect(-0.8 * neck, -r, 0.8 * neck, -0.93 * r), atop=True)
    sheet.lay(look.tint(0.5), outlines.rect(-0.75 * w, -0.05 * r, -0.55 * w, 0.9 * r), atop=True, opacity=0.6)
    if rng.random() < 0.6:
        band = outlines.rect(-w, 0.2 * r, w, rng.uniform(0.5, 0.75) * r)
        lines = stripes(max(3.0, 0.14 * r), 90, 0.4)
        sheet.lay(Paint(WHITE, (120, 120, 124), lines), band, atop=True)


DEVICES: dict[str, Draw] = {
    "bolt": draw_bolt,
    "screw": draw_screw,
    "nut": draw_nut,
    "bracket": draw_bracket,
    "plate": draw_plate,
    "ports": draw_ports,
    "plug": draw_plug,
    "tag": draw_tag,
    "dial": draw_dial,
    "chip": draw_chip,
    "grille": draw_grille,
    "tube": draw_tube,
    "key": draw_key,
    "flower": draw_flower,
    "leaf": draw_leaf,
    "bottle": draw_bottle,
}
