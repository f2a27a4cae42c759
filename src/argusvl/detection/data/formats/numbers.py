"""What annotations write: numbers, the sizes of images, and outlines, which become boxes."""

from __future__ import annotations

from typing import Any

from argusvl.core.strict_json import finite_number, shown
from argusvl.detection.data.resize import Box


def read_number(text: str | None) -> float | None:
    """A finite number written as text; ``None`` for anything else."""
    try:
        # float() would take Python's own "1_000" for a thousand; no tool writes that.
        return None if text is None or "_" in text else finite_number(float(text))
    except ValueError:
        return None


def numbers(value: Any, count: int | None = None) -> list[float] | None:
    """A list of (so many) finite numbers; ``None`` where it is none."""
    if not isinstance(value, list) or count not in (None, len(value)):
        return None
    found = [finite_number(v) for v in value]
    return None if None in found else found  # type: ignore[return-value]


def side_lengths(width: Any, height: Any) -> tuple[int, int] | None:
    """``(width, height)`` where both are positive whole numbers."""
    sides = numbers([width, height])
    if sides is None or not all(side >= 1 and side.is_integer() for side in sides):
        return None
    return int(sides[0]), int(sides[1])


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
