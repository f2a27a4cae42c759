"""Things made of parts whose number or form tells them apart: plates, rows of ports, plugs, brackets, tags, dials."""

from __future__ import annotations

import math

import numpy as np

from argusvl.synthetic.canvas import shade
from argusvl.synthetic.shapes import outlines
from argusvl.synthetic.shapes.fasteners import STEEL
from argusvl.synthetic.shapes.look import BLACK, WHITE, Draw, Kind, Look
from argusvl.synthetic.shapes.outlines import Outline
from argusvl.synthetic.shapes.paint import Paint, mottle
from argusvl.synthetic.shapes.sheet import Sheet

_HOLES: dict[int, list[tuple[float, float]]] = {
    1: [(0, 0)],
    2: [(-0.52, 0), (0.52, 0)],
    3: [(-0.62, 0), (0, 0), (0.62, 0)],
    4: [(-0.62, -0.5), (0.62, -0.5), (-0.62, 0.5), (0.62, 0.5)],
    5: [(-0.62, -0.5), (0.62, -0.5), (-0.62, 0.5), (0.62, 0.5), (0, 0)],
    6: [(-0.62, -0.5), (0.62, -0.5), (-0.62, 0.5), (0.62, 0.5), (0, -0.5), (0, 0.5)],
}
"""Where a plate's holes are, as shares of its half sides."""


def _bracket(form: str) -> Draw:
    """A flat piece in the shape of an L, a T or a U, with screw holes."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        a, t = 0.72 * r, rng.uniform(0.3, 0.42) * r
        if form == "L":
            shape = outlines.points((-a, -a), (-a + t, -a), (-a + t, a - t), (a, a - t), (a, a), (-a, a))
            holes = [
                (-a + t / 2, -0.6 * a),
                (-a + t / 2, 0.1 * a),
                (0.05 * a, a - t / 2),
                (0.7 * a, a - t / 2),
            ]
        elif form == "T":
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

    return draw


def _plate(count: int) -> Draw:
    """A plate with so many holes."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        x, y = 0.85 * r, r * rng.uniform(0.42, 0.6)
        shape = outlines.rounded(-x, -y, x, y, rng.choice((0.02, 0.15, 0.3)) * r)
        brushed = mottle(rng, 2.0, 0.3)
        sheet.lay(look.paint(other=shade(look.colour, 0.8), weave=brushed), shape)
        sheet.trace(look.shade(0.65), 0.06 * r, shape, atop=True)
        hole = rng.uniform(0.32, 0.42) * y
        places = [(u * x, v * y) for u, v in _HOLES[count]]
        if count > 2:
            hole *= 0.72
        rings = [outlines.ellipse(px, py, hole, hole) for px, py in places]
        sheet.trace(look.paint(look.contrary), 0.07 * r, *rings, atop=True)
        sheet.cut(*rings)

    return draw


def _ports(count: int) -> Draw:
    """A strip with a row of ports: all of them plugged, or none."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        pitch = 1.8 * r / max(count, 3)
        edge = 0.5 * pitch * count + 0.07 * r
        x, y = edge, min(0.75 * pitch, 0.45 * r)
        sheet.lay(look.paint(), outlines.rounded(-x, -y, x, y, 0.12 * y))
        sheet.trace(look.shade(0.6), 0.03 * r, outlines.rect(-x, -y, x, y), atop=True)
        w, h = 0.36 * pitch, 0.62 * y
        centres = [(i + 0.5 - 0.5 * count) * pitch for i in range(count)]
        inside = Paint((62, 64, 70) if look.dark else BLACK)
        sheet.lay(inside, *(outlines.rect(x - w, -h, x + w, h) for x in centres), atop=True)
        if look.dark:
            sheet.trace(
                Paint(STEEL), 0.02 * r, *(outlines.rect(x - w, -h, x + w, h) for x in centres), atop=True
            )
        plugged = centres if look.state == "plugged" else []
        if plugged:
            body = Paint(rng.choice(((236, 236, 230), (70, 150, 220), (240, 200, 60), (90, 200, 120))))
            sheet.lay(
                body,
                *(outlines.rect(x - 0.8 * w, -0.75 * h, x + 0.8 * w, 0.8 * h) for x in plugged),
                atop=True,
            )
            latches = (outlines.rect(x - 0.3 * w, -0.3 * h, x + 0.3 * w, 0.8 * h) for x in plugged)
            sheet.lay(Paint((60, 62, 66)), *latches, atop=True)

    return draw


def _plug(pins: int) -> Draw:
    """A plug: so many pins, a body with grips, a boot and the stub of its cable."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        w = rng.uniform(0.3, 0.42) * r
        for i in range(pins):
            y = (i - (pins - 1) / 2) * 1.3 * w / max(1, pins - 1)
            half = 0.13 * w if pins > 1 else 0.34 * w
            sheet.lay(look.paint(STEEL), outlines.rect(-r, y - half, -0.4 * r, y + half))
        sheet.lay(
            look.shade(0.5),
            outlines.ribbon(outlines.points((0.5 * r, 0), (0.7 * r, 0), (0.92 * r, 0)), 0.3 * w),
        )
        sheet.lay(
            look.shade(0.72),
            outlines.points(
                (0.2 * r, -0.62 * w), (0.66 * r, -0.3 * w), (0.66 * r, 0.3 * w), (0.2 * r, 0.62 * w)
            ),
        )
        sheet.lay(look.paint(), outlines.rounded(-0.55 * r, -w, 0.26 * r, w, 0.25 * w))
        grips = [outlines.rect(x * r, -0.6 * w, (x + 0.05) * r, 0.6 * w) for x in (-0.3, -0.14, 0.02)]
        sheet.lay(look.paint(look.contrary), *grips, atop=True)

    return draw


def _tag(marks_are: str) -> Draw:
    """A tag with a barcode, or with lines of text."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        x, y = 0.86 * r, r * rng.uniform(0.4, 0.55)
        sheet.lay(look.paint(), outlines.rounded(-x, -y, x, y, rng.choice((0.0, 0.12)) * r + 0.01))
        if rng.random() < 0.5:
            sheet.trace(look.shade(0.7), 0.04 * r, outlines.rect(-x, -y, x, y), atop=True)
        ink = Paint(WHITE if look.dark or sum(look.colour) < 330 else BLACK)
        marks: list[Outline] = []
        if marks_are == "barcode":
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

    return draw


def _draw_dial(sheet: Sheet, look: Look) -> None:
    """A dial: a rim in its colour, a pale or dark face with ticks, and a hand."""
    r, rng = look.radius, look.rng
    sheet.lay(look.paint(), outlines.ellipse(0, 0, r, r))
    face, ink = (
        (WHITE, BLACK) if look.dark or (rng.random() < 0.6 and sum(look.colour) < 600) else (BLACK, WHITE)
    )
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


def _grille(openings: str) -> Draw:
    """A round or square cover with slots or a grid of holes."""

    def draw(sheet: Sheet, look: Look) -> None:
        r, rng = look.radius, look.rng
        round_ = rng.random() < 0.5
        x = r if round_ else 0.76 * r
        y = r if round_ else x * rng.uniform(0.6, 1.0)
        shape = outlines.ellipse(0, 0, r, r) if round_ else outlines.rounded(-x, -y, x, y, 0.1 * r)
        sheet.lay(look.paint(), shape)
        sheet.trace(look.shade(0.65), 0.06 * r, shape, atop=True)
        rows = rng.choice((5, 6, 7))
        holes: list[Outline] = []
        for i in range(rows):
            v = y * (-0.74 + 1.48 * i / (rows - 1))
            half = 0.82 * x * (np.sqrt(max(0.0, 1 - (v / y) ** 2)) if round_ else 1.0)
            thick = 0.4 * 1.48 * y / (rows - 1)
            if openings == "slots":
                if half > 0.15 * x:
                    holes.append(outlines.rounded(-half, v - thick / 2, half, v + thick / 2, thick / 2))
                continue
            step = 1.48 * y / (rows - 1)
            for j in range(-rows, rows + 1):
                if abs(j * step) + thick / 2 <= half:
                    holes.append(outlines.ellipse(j * step, v, 0.62 * thick, 0.62 * thick, 10))
        sheet.lay(Paint((96, 98, 104) if look.dark else BLACK), *holes, atop=True)

    return draw


def _draw_tube(sheet: Sheet, look: Look) -> None:
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


DEVICES: dict[str, Kind] = {
    **{f"bracket {form}": Kind(_bracket(form), 14.0, 0.75) for form in "LTU"},
    **{f"plate {count}": Kind(_plate(count), 16.0, 0.75) for count in _HOLES},
    **{
        f"ports {count}": Kind(_ports(count), 14.0 + count, 0.75, states=("unplugged", "plugged"))
        for count in range(2, 9)
    },
    **{f"plug {pins}": Kind(_plug(pins), 16.0, 0.7) for pins in (1, 2, 3)},
    **{f"tag {marks}": Kind(_tag(marks), 14.0) for marks in ("barcode", "text")},
    **{f"grille {openings}": Kind(_grille(openings), 16.0) for openings in ("slots", "dots")},
    "dial": Kind(_draw_dial, 15.0),
    "tube": Kind(_draw_tube, 12.0),
}
