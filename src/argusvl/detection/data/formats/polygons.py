"""Outlines → boxes."""

from __future__ import annotations

from typing import Any

from argusvl.core.strict_json import shown
from argusvl.detection.data.formats.json_text import numbers
from argusvl.detection.data.resize import Box


def enclosing_box(outline: Any) -> Box | str:
    """The box around an outline: points ``[[x, y], …]``, flat ``[x, y, x, y, …]``, or a list of either (rings, parts).

    Returns:
        The box, or ``kind: why`` there is none: a polygon of fewer than three points encloses nothing.
    """
    points = points_of(outline)
    if points is None:
        return f"box-not-a-number: the polygon is {shown(outline)}, not a list of points [x, y] of finite numbers"
    distinct = len(set(points))
    if distinct < 3:
        return f"polygon-too-short: the polygon has {distinct} point{'s' if distinct != 1 else ''}: {shown(outline)}"
    return around(points)


def around(points: list[tuple[float, float]]) -> Box:
    """The box around points."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return (min(xs), min(ys), max(xs), max(ys))


def points_of(outline: Any, depth: int = 5) -> list[tuple[float, float]] | None:
    """All points of an outline nested up to ``depth`` deep (GeoJSON needs four); ``None`` where it is none."""
    if not isinstance(outline, list) or not outline or depth == 0:
        return None
    flat = numbers(outline)
    if flat is not None:
        if len(flat) % 2:
            return None
        return list(zip(flat[::2], flat[1::2], strict=True))
    points: list[tuple[float, float]] = []
    for part in outline:
        inner = points_of(part, depth - 1)
        if inner is None:
            return None
        points += inner
    return points
