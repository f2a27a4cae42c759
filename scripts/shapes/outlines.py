"""Outlines of drawn things as arrays of points ``[n, 2]``, around the origin, x to the right and y down."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.floating[Any]]


def points(*pairs: tuple[float, float]) -> Outline:
    """Points as an array."""
    return np.array(pairs, dtype=np.float64)


def ellipse(x: float, y: float, rx: float, ry: float, sides: int = 0) -> Outline:
    """An ellipse; as many sides as its size asks for when ``sides`` is 0."""
    n = sides or int(min(96, max(14, 5 * math.sqrt(max(rx, ry)) * 2)))
    angles = np.arange(n) * (2 * math.pi / n)
    return np.stack((x + rx * np.cos(angles), y + ry * np.sin(angles)), axis=1)


def arc(x: float, y: float, radius: float, start: float, end: float, n: int = 24) -> Outline:
    """Points along an arc of a circle, angles in degrees."""
    angles = np.radians(np.linspace(start, end, n))
    return np.stack((x + radius * np.cos(angles), y + radius * np.sin(angles)), axis=1)


def rect(x0: float, y0: float, x1: float, y1: float) -> Outline:
    """An upright rectangle."""
    return points((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def rounded(x0: float, y0: float, x1: float, y1: float, radius: float) -> Outline:
    """An upright rectangle with round corners."""
    r = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
    corners = ((x1 - r, y1 - r, 0), (x0 + r, y1 - r, 90), (x0 + r, y0 + r, 180), (x1 - r, y0 + r, 270))
    return np.concatenate([arc(x, y, r, start, start + 90, 6) for x, y, start in corners])


def regular(sides: int, radius: float) -> Outline:
    """A regular polygon with a corner at the top."""
    angles = np.radians(-90.0) + np.arange(sides) * (2 * math.pi / sides)
    return radius * np.stack((np.cos(angles), np.sin(angles)), axis=1)


def star(tips: int, radius: float, depth: float) -> Outline:
    """A star; ``depth`` is the inner radius as a share of the outer one."""
    angles = -math.pi / 2 + np.arange(2 * tips) * (math.pi / tips)
    radii = np.where(np.arange(2 * tips) % 2 == 0, radius, depth * radius)
    return np.stack((radii * np.cos(angles), radii * np.sin(angles)), axis=1)


def cross(radius: float, thickness: float) -> Outline:
    """An upright cross; ``thickness`` of an arm as a share of the radius."""
    r, t = radius, 0.5 * thickness * radius
    arm, corners = [(-t, -r), (t, -r), (t, -t)], []
    for _ in range(4):
        corners += arm
        arm = [(-y, x) for x, y in arm]
    return points(*corners)


def arrow(radius: float, shaft: float, head: float) -> Outline:
    """An arrow to the right: half the shaft's thickness and the head's length as shares of the radius."""
    r, s, neck = radius, shaft * radius, radius - head * radius
    wing = 0.62 * r
    return points((-r, -s), (neck, -s), (neck, -wing), (r, 0), (neck, wing), (neck, s), (-r, s))


def crescent(radius: float, bite: float) -> Outline:
    """A crescent that is open to the right; ``bite`` (0 to 1) is how far the inner arc reaches."""
    outer = arc(0, 0, radius, 60, 300, 30)
    x, y = radius * math.cos(math.radians(60)), radius * math.sin(math.radians(60))
    deep = -radius + (1 - bite) * radius  # where the inner arc crosses the axis
    # The circle through both horns and that point.
    centre = (x * x + y * y - deep * deep) / (2 * (x - deep))
    horn = math.degrees(math.atan2(y, x - centre))
    return np.concatenate([outer, arc(centre, 0, centre - deep, 360 - horn, horn, 24)])


def gear(teeth: int, radius: float, depth: float) -> Outline:
    """A gear wheel with ``teeth`` of ``depth``, a share of the radius."""
    pitch = 2 * math.pi / teeth
    inner = radius * (1 - depth)
    out = []
    for i in range(teeth):
        for share, r in ((-0.3, inner), (-0.17, radius), (0.17, radius), (0.3, inner)):
            angle = (i + share) * pitch
            out.append((r * math.cos(angle), r * math.sin(angle)))
    return np.array(out)


def blob(rng: Random, rx: float, ry: float, rough: float, waves: int = 5) -> Outline:
    """A closed, smooth, irregular outline about an ellipse; ``rough`` is the depth of its waves."""
    n = int(min(72, max(20, 9 * math.sqrt(max(rx, ry)))))
    angles = np.arange(n) * (2 * math.pi / n)
    radii = np.ones(n)
    for k in range(2, waves + 1):
        radii += rough * rng.uniform(-1, 1) * np.cos(k * angles + rng.uniform(0, 2 * math.pi)) / math.sqrt(k)
    return np.stack((rx * radii * np.cos(angles), ry * radii * np.sin(angles)), axis=1)


def ribbon(path: Outline, width: float) -> Outline:
    """A thick line with round ends along a smooth path."""
    steps = np.gradient(path, axis=0)
    normals = np.stack((-steps[:, 1], steps[:, 0]), axis=1)
    normals *= 0.5 * width / np.maximum(1e-9, np.hypot(normals[:, 0], normals[:, 1]))[:, None]
    caps = []
    for end in (-1, 0):
        start = math.degrees(math.atan2(*(normals[end] * (1 if end else -1))[::-1]))
        caps.append(arc(float(path[end, 0]), float(path[end, 1]), 0.5 * width, start, start - 180, 8))
    return np.concatenate([path + normals, caps[0], (path - normals)[::-1], caps[1]])


def wave(rng: Random, length: float, sway: float) -> Outline:
    """A smooth open path from left to right with one or two bends."""
    t = np.linspace(-1, 1, 28)
    bends = rng.choice((0.5, 1.0, 1.0, 1.5))
    return np.stack((length * t, sway * np.sin(bends * math.pi * t + rng.uniform(0, math.pi))), axis=1)


def moved(outline: Outline, x: float, y: float, degrees: float = 0.0) -> Outline:
    """The outline turned clockwise about the origin, then shifted."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return outline @ np.array(((cos, sin), (-sin, cos))) + (x, y)


def around(count: int, radius: float) -> list[tuple[float, float]]:
    """Points at equal distances on a circle."""
    angles = [2 * math.pi * i / count for i in range(count)]
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]
