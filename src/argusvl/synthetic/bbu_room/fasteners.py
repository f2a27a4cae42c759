"""Small things: screws, bolts, plugs and stickers. Each is painted around the origin of its pen's frame.

What a person would look for is what is painted: the kind by shape and surroundings, the state by geometry. A
loose screw stands out of its hole, tilted, with its thread and the hole in view; a plug that is not seated hangs
askew below its port, with the port open and its metal ferrules bare.
"""

from __future__ import annotations

import math
from random import Random

from argusvl.synthetic.canvas import Colour, Pen, mix, shade

SHADOW = (0, 0, 0, 90)
BLACK: Colour = (22, 22, 24)
STEEL: Colour = (186, 188, 192)
BRASS: Colour = (196, 158, 84)


def paint_screw(pen: Pen, radius: float, tilt: float | None, metal: Colour, collar: Colour) -> None:
    """A cross-head screw of a BBU's ear, about its hole; ``radius`` and ``collar`` are those of the washer.

    ``tilt`` is the direction in degrees in which a loose screw leans out; ``None``: tight.
    """
    r = radius
    if tilt is None:
        pen.ellipse(0.08 * r, 0.14 * r, 1.06 * r, 1.06 * r, SHADOW, counted=False)
        pen.ellipse(0, 0, r, r, collar)
        _head(pen, 0.82 * r, 1.0, metal)
        return
    pen.ellipse(0, 0, 0.92 * r, 0.92 * r, collar)
    pen.ellipse(0, 0, 0.6 * r, 0.6 * r, BLACK)
    lean = pen.at(0, 0, tilt)
    _shadow(lean, r, 0.75 * r)
    _thread(lean, 0.3 * r, 1.1 * r, metal)
    _head(lean.at(1.25 * r, 0), 0.78 * r, 0.55, metal)


def paint_ground_bolt(pen: Pen, radius: float, tilt: float | None, metal: Colour) -> None:
    """A hexagonal bolt with its washer, as on a ground bar; arguments as for :func:`paint_screw`."""
    r = radius
    if tilt is None:
        pen.ellipse(0.1 * r, 0.16 * r, 1.04 * r, 1.04 * r, SHADOW, counted=False)
        pen.ellipse(0, 0, r, r, shade(metal, 0.72))
        pen.ellipse(0, 0, 0.93 * r, 0.93 * r, shade(metal, 1.08))
        _hexagon(pen.at(0, 0, 17), 0.76 * r, 1.0, metal)
        return
    pen.ellipse(0, 0, 0.95 * r, 0.95 * r, shade(metal, 0.72))
    pen.ellipse(0, 0, 0.5 * r, 0.5 * r, BLACK)
    lean = pen.at(0, 0, tilt)
    _shadow(lean, r, 0.8 * r)
    _thread(lean, 0.32 * r, 1.1 * r, metal)
    _hexagon(lean.at(1.25 * r, 0), 0.76 * r, 0.6, metal)


def paint_cabinet_ground(pen: Pen, radius: float, tilt: float | None, metal: Colour) -> None:
    """The ground wire's end at the cabinet: a bare patch, a lug with a striped sleeve, a bolt through its eye."""
    r = radius
    pen.rect(-1.25 * r, -1.15 * r, 1.25 * r, 1.15 * r, (206, 204, 196))
    pen.bevel(-1.25 * r, -1.15 * r, 1.25 * r, 1.15 * r, (150, 148, 142), 0.09 * r)
    lug = pen if tilt is None else pen.at(0, 0, -24 if math.cos(math.radians(tilt)) < 0 else 24)
    lug.rect(-0.42 * r, 0.5 * r, 0.42 * r, 1.9 * r, shade(STEEL, 0.9))
    lug.rect(-0.5 * r, 1.5 * r, 0.5 * r, 2.5 * r, (226, 204, 40))
    lug.rect(-0.12 * r, 1.5 * r, 0.16 * r, 2.5 * r, (40, 132, 62))
    lug.ellipse(0, 0, 0.95 * r, 0.95 * r, shade(STEEL, 0.8))
    if tilt is None:
        for i in range(8):  # a star washer's teeth tell it from the ground bar's plain one
            tooth = pen.at(0, 0, i * 45)
            tooth.polygon([(0.9 * r, -0.1 * r), (0.9 * r, 0.14 * r), (0.6 * r, 0.0)], shade(metal, 0.5))
        pen.ellipse(0, 0, 0.66 * r, 0.66 * r, shade(metal, 0.7))
        _hexagon(pen, 0.58 * r, 1.0, metal)
        return
    pen.ellipse(0, 0, 0.42 * r, 0.42 * r, BLACK)
    lean = pen.at(0, 0, tilt)
    _thread(lean, 0.24 * r, 0.8 * r, metal)
    _hexagon(lean.at(0.9 * r, 0), 0.6 * r, 0.6, metal)


def paint_cpri_plug(pen: Pen, size: float, tilt: float | None, latch: Colour) -> None:
    """An optical module with a duplex plug in a BBU's port of a width ``size``, about the port's centre.

    ``tilt`` is by how many degrees a plug that is not seated hangs askew; ``None``: seated.
    """
    s = size
    paint_port(pen, s)
    plug = pen
    if tilt is not None:
        plug = pen.at(0.1 * s * math.copysign(1, tilt), 0.62 * s, tilt)
        for x in (-0.36, 0.1):
            plug.rect(x * s, -0.3 * s, (x + 0.26) * s, 0.12 * s, (232, 234, 238))
            plug.rect((x + 0.09) * s, -0.42 * s, (x + 0.17) * s, -0.3 * s, (250, 250, 250))
    plug.rect(-0.5 * s, -0.08 * s, 0.5 * s, 0.3 * s, (146, 150, 156))
    plug.bevel(-0.5 * s, -0.08 * s, 0.5 * s, 0.3 * s, (146, 150, 156), 0.06 * s)
    for x in (-0.42, 0.06):
        plug.rect(x * s, 0.08 * s, (x + 0.36) * s, 0.78 * s, latch)
        plug.rect((x + 0.06) * s, 0.14 * s, (x + 0.14) * s, 0.7 * s, shade(latch, 1.5))
        wide, narrow = ((x + 0.04) * s, (x + 0.32) * s), ((x + 0.12) * s, (x + 0.24) * s)
        plug.slanted((0.78 * s, *wide), (1.12 * s, *narrow), BLACK)


def paint_port(pen: Pen, size: float) -> None:
    """An optical port without a plug: a metal cage around a dark hole."""
    s = size
    pen.rect(-0.52 * s, -0.42 * s, 0.52 * s, 0.36 * s, (176, 178, 180))
    pen.rect(-0.43 * s, -0.34 * s, 0.43 * s, 0.3 * s, (16, 16, 18))
    pen.rect(-0.43 * s, -0.34 * s, 0.43 * s, -0.26 * s, (78, 80, 82))


def paint_odf_plug(pen: Pen, size: float, tilt: float | None, body: Colour) -> None:
    """A square fibre plug in an ODF's adapter; arguments as for :func:`paint_cpri_plug`."""
    s = size
    paint_adapter(pen, s, body)
    plug = pen
    if tilt is not None:
        plug = pen.at(0.1 * s * math.copysign(1, tilt), 0.66 * s, tilt)
        plug.rect(-0.24 * s, -0.34 * s, 0.24 * s, 0.0, (228, 228, 224))
        plug.rect(-0.07 * s, -0.5 * s, 0.07 * s, -0.34 * s, (250, 250, 250))
    plug.rect(-0.38 * s, -0.18 * s, 0.38 * s, 0.5 * s, body)
    plug.bevel(-0.38 * s, -0.18 * s, 0.38 * s, 0.5 * s, body, 0.06 * s)
    plug.rect(-0.2 * s, -0.04 * s, 0.2 * s, 0.08 * s, (240, 240, 236))
    plug.slanted((0.5 * s, -0.26 * s, 0.26 * s), (1.1 * s, -0.13 * s, 0.13 * s), shade(body, 0.62))


def paint_adapter(pen: Pen, size: float, body: Colour, *, capped: bool = False) -> None:
    """An ODF adapter without a plug: a flange with two rivets around a hole, or under a dust cap."""
    s = size
    pen.rect(-0.5 * s, -0.46 * s, 0.5 * s, 0.46 * s, shade(body, 0.8))
    pen.bevel(-0.5 * s, -0.46 * s, 0.5 * s, 0.46 * s, body, 0.06 * s)
    pen.rect(-0.27 * s, -0.3 * s, 0.27 * s, 0.3 * s, BLACK)
    if capped:
        pen.rect(-0.24 * s, -0.27 * s, 0.24 * s, 0.27 * s, (204, 66, 54))
        pen.rect(-0.16 * s, -0.2 * s, 0.04 * s, -0.08 * s, (236, 140, 128))


def paint_sticker(pen: Pen, width: float, height: float, paper: Colour, ink: Colour, seed: int) -> None:
    """A printed label: a bar code and lines of characters, around the pen's origin."""
    rng = Random(seed)
    w, h = width / 2, height / 2
    pen.rect(-w + 0.8, -h + 1.0, w + 1.0, h + 1.2, SHADOW, counted=False)
    pen.rect(-w, -h, w, h, paper)
    pad = 0.14 * height
    left, right = -w + pad, w - pad
    code_at_left = rng.random() < 0.5
    code = (left, left + 0.42 * width) if code_at_left else (right - 0.42 * width, right)
    x = code[0]
    while x < code[1]:
        bar = rng.uniform(0.6, 2.0) * height / 22
        pen.rect(x, -h + pad, min(x + bar, code[1]), h - pad, ink)
        x += bar + rng.uniform(0.8, 2.2) * height / 22
    text = (code[1] + pad, right) if code_at_left else (left, code[0] - pad)
    lines = 2 if height < 26 else 3
    step = (height - 2 * pad) / lines
    for i in range(lines):
        _characters(pen, text[0], text[1], -h + pad + i * step, 0.72 * step, ink, rng)


def _characters(pen: Pen, x0: float, x1: float, top: float, height: float, ink: Colour, rng: Random) -> None:
    """Strokes in boxes: at this size real glyphs would look no different."""
    x, wide = x0, 0.85 * height
    while x + wide <= x1:
        if rng.random() < 0.88:
            stroke = max(0.55, 0.16 * height)
            for _ in range(rng.choice((2, 3))):
                if rng.random() < 0.5:
                    y = top + rng.uniform(0, height - stroke)
                    pen.rect(x, y, x + wide * rng.uniform(0.6, 0.95), y + stroke, ink)
                else:
                    left = x + rng.uniform(0, wide - stroke)
                    pen.rect(left, top, left + stroke, top + height * rng.uniform(0.6, 1.0), ink)
        x += wide * 1.2


def _shadow(pen: Pen, r: float, low: float) -> None:
    """That of a bolt which leans along the frame's x axis."""
    pen.polygon([(0, -0.2 * r), (1.5 * r, 0.1 * r), (1.5 * r, low), (0, 0.5 * r)], SHADOW, counted=False)


def _thread(pen: Pen, half_width: float, length: float, metal: Colour) -> None:
    """A screw's shaft along the frame's x axis."""
    pen.rect(0, -half_width, length, half_width, shade(metal, 0.85))
    pen.rect(0, -half_width, length, -0.4 * half_width, shade(metal, 1.15))
    turns = 4
    for i in range(turns):
        x = length * (i + 0.4) / turns
        left, right = (x, x + 0.1 * length), (x + 0.1 * length, x + 0.2 * length)
        pen.slanted((-half_width, *left), (half_width, *right), shade(metal, 0.4))


def _head(pen: Pen, r: float, squeeze: float, metal: Colour) -> None:
    """A round head with a cross slot; ``squeeze`` < 1 shows it from the side, along the frame's x axis."""
    if squeeze < 1:
        pen.ellipse(-0.3 * r, 0, squeeze * r, r, shade(metal, 0.5))
    pen.ellipse(0, 0, squeeze * r, r, shade(metal, 0.66))
    pen.ellipse(-0.04 * r, -0.05 * r, 0.88 * squeeze * r, 0.88 * r, metal)
    pen.ellipse(-0.16 * squeeze * r, -0.2 * r, 0.52 * squeeze * r, 0.5 * r, mix(metal, (255, 255, 255), 0.45))
    a, b = 0.62 * r, 0.15 * r
    pen.rect(-a * squeeze, -b, a * squeeze, b, shade(metal, 0.26))
    pen.rect(-b * squeeze, -a, b * squeeze, a, shade(metal, 0.26))


def _hexagon(pen: Pen, r: float, squeeze: float, metal: Colour) -> None:
    """A hexagonal head, seen from above or (``squeeze`` < 1) from the side."""
    if squeeze < 1:
        pen.ellipse(-0.42 * r, 0, squeeze * r, r, shade(metal, 0.42), sides=6)
    pen.ellipse(0, 0, squeeze * r, r, shade(metal, 0.5), sides=6)
    pen.ellipse(0, 0, 0.88 * squeeze * r, 0.88 * r, shade(metal, 0.95), sides=6)
    pen.ellipse(0, 0, 0.56 * squeeze * r, 0.56 * r, mix(metal, (255, 255, 255), 0.4), sides=12)
    pen.ellipse(0.04 * r, 0.06 * r, 0.3 * squeeze * r, 0.3 * r, shade(metal, 0.62), sides=12)
