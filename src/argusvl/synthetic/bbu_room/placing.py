"""Placing what is small: screws, plugs, stickers, ground terminals, and leading the cables around them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from argusvl.synthetic.bbu_room import fasteners, surroundings
from argusvl.synthetic.bbu_room.plan import Draft
from argusvl.synthetic.bbu_room.terms import Label
from argusvl.synthetic.canvas import Colour, Point, Rect, shade

LOOSE = 0.4  # share of connections that are not as they should be: common enough here to be learned


@dataclass(frozen=True, slots=True)
class Plug:
    """A plug's lower end, where its cable begins."""

    tail: Point
    thickness: float
    colour: Colour
    place: Rect


def small(
    draft: Draft,
    at: Point,
    bounds: Rect,
    label: Label,
    paint: Callable[..., None],
    degrees: float = 0.0,
    **options: Any,
) -> bool:
    """Places a small object, which ``paint(pen, **options)`` paints; ``bounds`` are relative to ``at``."""
    x, y = at
    place = Rect(x + bounds.x0, y + bounds.y0, x + bounds.x1, y + bounds.y1)
    return draft.place(place, lambda pen: paint(pen.at(x, y, degrees), **options), label)


def cabinet_grounds(draft: Draft, x: float, radius: float, count: int) -> None:
    """Ground terminals on a post around ``x``, each with its wire running down the post."""
    rng, h = draft.rng, draft.height
    for i in range(count):
        y = h * (0.14 + (0.72 * i + rng.uniform(0.1, 0.55)) / count)
        tilt = random_tilt(rng)
        metal = shade(fasteners.STEEL, rng.uniform(0.85, 1.05))
        bounds = Rect(-1.3 * radius, -1.2 * radius, 1.3 * radius, 2.55 * radius)
        side = 0.0
        if tilt is not None:
            side = -24.0 if math.cos(math.radians(tilt)) < 0 else 24.0
            bounds = Rect(-1.9 * radius, -1.6 * radius, 1.9 * radius, 2.6 * radius)
        label: Label = ("connection", "cabinet_ground", "correct" if tilt is None else "loose")
        paint = fasteners.paint_cabinet_ground
        if not small(draft, (x, y), bounds, label, paint, radius=radius, tilt=tilt, metal=metal):
            continue
        sin, cos = math.sin(math.radians(side)), math.cos(math.radians(side))
        start = (x - 2.4 * radius * sin, y + 2.4 * radius * cos)
        end = y + rng.uniform(3.4, 4.6) * radius
        drift = rng.uniform(-1, 1) * radius
        lower = (start[0] - radius * sin, start[1] + radius)
        path = surroundings.bend(start, lower, (x + drift, end), (x + 3 * drift, end + 1.5 * h), steps=20)
        if _clear(draft, path, draft.taken[-1], 0.4 * radius):
            draft.add_above(surroundings.paint_ground_wire, path=path, thickness=0.5 * radius)


def stickers(draft: Draft, count: int) -> None:
    """Stickers on the faces that have room for one."""
    rng, u = draft.rng, draft.unit
    scale = rng.uniform(1.0, 1.35)
    paper = rng.choice(((236, 236, 232), (236, 236, 232), (240, 224, 116), (186, 212, 232), (212, 214, 216)))
    ink = rng.choice(((24, 24, 28), (24, 24, 28), (28, 40, 110)))
    for _ in range(count if draft.surfaces else 0):
        width, height = rng.uniform(42, 68) * u * scale, rng.uniform(21, 28) * u * scale
        size = {"width": width, "height": height}
        look: dict[str, Any] = {**size, "paper": paper, "ink": ink, "seed": rng.getrandbits(32)}
        reach = Rect(-0.54 * width, -0.6 * height, 0.54 * width, 0.6 * height)
        for _ in range(12):
            face = rng.choice(draft.surfaces)
            if face.width > 2 * reach.x1 and face.height > 2 * reach.y1:
                x = rng.uniform(face.x0 + reach.x1, face.x1 - reach.x1)
                y = rng.uniform(face.y0 + reach.y1, face.y1 - reach.y1)
                turn = rng.uniform(-5, 5)
                if small(draft, (x, y), reach, ("sticker",), fasteners.paint_sticker, turn, **look):
                    break


def route_cables(draft: Draft, plugs: list[Plug], opening: Rect) -> None:
    """Leads each plug's cable to one side and down, by a way that crosses no small object."""
    rng, u = draft.rng, draft.unit
    for plug in plugs:
        x, y = plug.tail
        side = opening.x0 - 8 * u if x < opening.centre[0] else opening.x1 + 8 * u
        for _ in range(8):
            sag = rng.uniform(10, 60) * u
            goal = (side, y + sag + rng.uniform(-4, 30) * u)
            path = surroundings.bend((x, y), (x, y + sag), (x + 0.4 * (side - x), y + sag), goal)
            lower, end = (goal[0], goal[1] + 30 * u), (goal[0], 1.4 * draft.height)
            path += surroundings.bend(goal, lower, goal, end, steps=8)
            if _clear(draft, path, plug.place, plug.thickness):
                break
        else:
            end = (x + rng.uniform(-3, 3) * u, y + 9 * u)
            path = surroundings.bend((x, y), (x, y + 4 * u), (x, y + 6 * u), end, steps=4)
            if not _clear(draft, path, plug.place, plug.thickness):
                continue
        cable: dict[str, Any] = {"path": path, "thickness": plug.thickness, "colour": plug.colour}
        draft.add_above(surroundings.paint_cable, **cable)


def _clear(draft: Draft, path: list[Point], own: Rect, margin: float) -> bool:
    """Whether a path stays clear of all small objects but the one where it begins."""
    others = [place.grown(margin) for place in draft.taken if place is not own]
    dense = [
        (p[0] + (q[0] - p[0]) * t, p[1] + (q[1] - p[1]) * t)
        for p, q in itertools.pairwise(path)
        for t in (0.0, 0.5)
    ]
    return not any(place.holds(point) for place in others for point in dense)


def random_tilt(rng: Random) -> float | None:
    """Direction in which a loose screw leans; ``None`` for a tight one."""
    return rng.uniform(0, 360) if rng.random() < LOOSE else None


def random_hang(rng: Random) -> float | None:
    """Degrees by which a plug that is not seated hangs askew; ``None`` for a seated one."""
    return rng.choice((-1, 1)) * rng.uniform(8, 18) if rng.random() < LOOSE else None


def screw_bounds(radius: float, tilt: float | None) -> Rect:
    """What a screw or bolt may cover, relative to its hole."""
    if tilt is None:
        return Rect(-radius, -radius, radius, radius)
    x, y = 1.25 * radius * math.cos(math.radians(tilt)), 1.25 * radius * math.sin(math.radians(tilt))
    reach, hole = 0.8 * radius, 0.95 * radius
    return Rect(min(-hole, x - reach), min(-hole, y - reach), max(hole, x + reach), max(hole, y + reach))


def plug_bounds(size: float, hang: float | None, tail: float) -> Rect:
    """What a plug of length ``tail`` (in port widths) and its port may cover, relative to the port's centre."""
    if hang is None:
        return Rect(-0.52 * size, -0.46 * size, 0.52 * size, tail * size)
    return Rect(-0.85 * size, -0.46 * size, 0.85 * size, (tail + 0.68) * size)


def plug_tail(at: Point, size: float, hang: float | None, length: float) -> Point:
    """Where a plug's cable leaves it."""
    x, y = at
    if hang is None:
        return x, y + length * size
    angle = math.radians(hang)
    across = 0.1 * size * math.copysign(1, hang)
    down = y + 0.62 * size + length * size * math.cos(angle)
    return x + across - length * size * math.sin(angle), down
