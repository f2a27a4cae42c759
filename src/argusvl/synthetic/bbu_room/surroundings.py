"""What is around the equipment: the room, the cabinet's frame, cables, dirt. Nothing here is an object."""

from __future__ import annotations

import math
from random import Random

from argusvl.synthetic.bbu_room.equipment import paint_rail
from argusvl.synthetic.canvas import Colour, Pen, Point, Rect, mix, shade

WALLS: tuple[Colour, ...] = (
    (206, 204, 196),
    (184, 190, 194),
    (212, 206, 186),
    (160, 166, 166),
    (192, 200, 190),
)
METALS: tuple[Colour, ...] = ((196, 198, 198), (150, 154, 158), (92, 96, 102), (58, 60, 64), (210, 206, 196))
CABLES: tuple[Colour, ...] = (
    (36, 36, 40),
    (36, 36, 40),
    (226, 196, 44),
    (232, 130, 36),
    (44, 150, 170),
    (150, 152, 156),
)


def paint_room(pen: Pen, width: float, height: float, wall: Colour, seed: int) -> None:
    """Wall and floor, with some of: panel joints, conduits, a ladder for cables, a socket, a skirting."""
    rng = Random(seed)
    w, h = width, height
    pen.shaded(-w, -h, 2 * w, 2 * h, wall, rng.uniform(-0.12, 0.12), steps=12)
    if rng.random() < 0.5:
        pitch = w * rng.uniform(0.2, 0.45)
        for i in range(-2, 8):
            x = i * pitch + 0.1 * w
            pen.rect(x, -h, x + 1.2, 2 * h, shade(wall, 0.84))
            pen.rect(x + 1.2, -h, x + 2.2, 2 * h, shade(wall, 1.06))
    floor = h * rng.uniform(0.86, 1.25)
    pen.rect(-w, floor, 2 * w, 2 * h, mix(shade(wall, 0.62), (110, 104, 96), 0.5))
    pen.rect(-w, floor - 0.035 * h, 2 * w, floor, shade(wall, 0.5))
    for _ in range(rng.randrange(0, 4)):
        x, thick = rng.uniform(0, w), rng.uniform(4, 11)
        colour = rng.choice(((200, 200, 196), (124, 128, 130), (176, 60, 48)))
        for part, factor in ((1.0, 0.7), (0.7, 1.0), (0.25, 1.25)):
            pen.rect(x, -h, x + thick * part, floor, shade(colour, factor))
    if rng.random() < 0.35:
        y, thick = h * rng.uniform(0.02, 0.14), h * rng.uniform(0.03, 0.06)
        for i in range(-4, 24):
            pen.rect(i * w / 12, y, i * w / 12 + 3, y + 2.4 * thick, (118, 120, 122))
        for dy in (0.0, 2.0):
            pen.shaded(-w, y + dy * thick, 2 * w, y + (dy + 0.5) * thick, (146, 148, 150), 0.2, steps=2)
    if rng.random() < 0.3:
        x, y, s = rng.uniform(0, w), rng.uniform(0.4, 0.7) * h, rng.uniform(18, 30)
        pen.rect(x, y, x + s, y + s, (230, 230, 226))
        pen.bevel(x, y, x + s, y + s, (200, 200, 196))
        for fx, fy in ((0.3, 0.62), (0.6, 0.62), (0.46, 0.26)):
            pen.rect(x + fx * s, y + fy * s, x + (fx + 0.08) * s, y + (fy + 0.16) * s, (60, 60, 60))


def paint_door(pen: Pen, area: Rect, face: Colour, seed: int) -> None:
    """A closed cabinet door: perforations, a handle, hinges."""
    rng = Random(seed)
    pen.shaded(*area, face, 0.08, steps=8)
    pen.bevel(*area, face, 2.0)
    pitch = max(7.0, 0.03 * area.width)
    x0, x1 = area.x0 + 0.14 * area.width, area.x1 - 0.14 * area.width
    y, y1 = area.y0 + rng.uniform(0.08, 0.3) * area.height, area.y1 - 0.1 * area.height
    while y < y1:
        x = x0
        while x < x1:
            pen.rect(x, y, x + 0.6 * pitch, y + 0.22 * pitch, shade(face, 0.35))
            x += pitch
        y += 0.62 * pitch
    x = area.x1 - 0.09 * area.width
    middle = area.centre[1]
    pen.rect(x, middle - 26, x + 9, middle + 26, shade(face, 0.3))
    pen.rect(x + 3, middle - 20, x + 6, middle + 20, shade(face, 1.5))


def paint_cabinet(
    pen: Pen, outer: Rect, opening: Rect, frame: Colour, inside: Colour, rail_width: float
) -> None:
    """The cabinet's frame and its dark inside with two rails; equipment goes over the rails."""
    pen.rect(outer.x0 + 6, outer.y0 + 8, outer.x1 + 9, outer.y1 + 9, (0, 0, 0, 70))
    pen.shaded(*outer, frame, 0.07, steps=8)
    pen.bevel(*outer, frame, 2.0)
    for x0, x1 in ((outer.x0, opening.x0), (opening.x1, outer.x1)):
        middle = (x0 + x1) / 2
        pen.rect(middle - 1, outer.y0, middle + 1, outer.y1, shade(frame, 0.78))
    pen.rect(*opening.grown(2.5), shade(frame, 0.5))
    pen.shaded(*opening, inside, -0.3, steps=8)
    paint_rail(pen, opening.x0, opening.y0, opening.x0 + rail_width, opening.y1, shade(frame, 0.8))
    paint_rail(pen, opening.x1 - rail_width, opening.y0, opening.x1, opening.y1, shade(frame, 0.8))


def paint_cable(pen: Pen, path: list[Point], thickness: float, colour: Colour) -> None:
    """A round cable along a path: dark below, lit along its upper side."""
    below = [(x + 0.5 * thickness, y + 0.7 * thickness) for x, y in path]
    pen.line(below, thickness, (0, 0, 0, 70), counted=False)
    pen.line(path, thickness, shade(colour, 0.55), counted=False)
    shift = 0.12 * thickness
    pen.line([(x - shift, y - shift) for x, y in path], 0.7 * thickness, colour, counted=False)
    light = mix(colour, (255, 255, 255), 0.4)
    pen.line([(x - 2 * shift, y - 2 * shift) for x, y in path], 0.2 * thickness, light, counted=False)


def paint_ground_wire(pen: Pen, path: list[Point], thickness: float) -> None:
    """A yellow wire with a green stripe."""
    paint_cable(pen, path, thickness, (224, 200, 40))
    shift = 0.1 * thickness
    for start in range(0, len(path) - 1, 2):
        points = [(x + shift, y + shift) for x, y in path[start : start + 2]]
        pen.line(points, 0.45 * thickness, (38, 128, 58), counted=False)


def bend(start: Point, first: Point, second: Point, end: Point, steps: int = 14) -> list[Point]:
    """A cubic Bézier curve as points."""
    points = []
    for i in range(steps + 1):
        t = i / steps
        a, b, c, d = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
        x, y = (a * p + b * q + c * r + d * s for p, q, r, s in zip(start, first, second, end, strict=True))
        points.append((x, y))
    return points


def paint_dirt(pen: Pen, width: float, height: float, amount: int, seed: int) -> None:
    """Dust, scratches and stains; translucent, so that they cover nothing up."""
    rng = Random(seed)
    for _ in range(amount):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        kind = rng.random()
        if kind < 0.5:
            light = rng.random() < 0.5
            colour = (236, 230, 214) if light else (40, 36, 30)
            r = rng.uniform(0.5, 1.8)
            pen.ellipse(x, y, r, r * rng.uniform(0.6, 1), (*colour, rng.randrange(60, 150)), sides=6)
        elif kind < 0.8:
            angle, length = rng.uniform(0, math.pi), rng.uniform(6, 34)
            end = (x + length * math.cos(angle), y + length * math.sin(angle))
            pen.line([(x, y), end], rng.uniform(0.5, 0.9), (226, 226, 222, rng.randrange(30, 90)))
        else:
            r = rng.uniform(5, 18)
            pen.ellipse(x, y, r, r * rng.uniform(0.3, 0.9), (70, 56, 36, rng.randrange(14, 36)), sides=12)
