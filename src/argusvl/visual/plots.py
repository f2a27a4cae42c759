"""Line charts as inline SVG: sharp at every size, in the page's own colours by day and by night, without a library.

Colours and fonts are left to the page's style sheet (classes ``axis``, ``grid``, ``raw``, ``line``, ``s0`` …).
They are what a reader without JavaScript sees; ``templates/charts.js`` draws the same data again, to be played with.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

NUM_COLOURS = 8
"""Series colours that the style sheet has; further series begin again."""

_WIDTH, _HEIGHT = 460.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 10.0, 24.0
_NAME = 16.0  # height of an axis's name
_MAX_POINTS = 400  # more than there are pixels to show; the page stays small after a long run
_MAX_BAD = 50  # marks of values that are not finite; their number is said in words
_SMOOTH_FROM = 50  # with fewer points the raw line is clear enough


Style = Literal["line", "mean", "guide", "dots"]


@dataclass(frozen=True, slots=True)
class Series:
    """A named line.

    Attributes:
        name: As shown in the legend.
        steps: Horizontal positions, ascending.
        values: Of the same length; one that is not finite leaves a gap and is reported.
        notes: What to add to each value when it is read, e.g. ``score 0.31``; empty, or of the same length.
        style: ``mean``: in the text's colour, before all others; ``guide``: faint and dashed, such as a diagonal,
            without a place in the legend; ``dots``: its points are marked.
    """

    name: str
    steps: Sequence[float]
    values: Sequence[float]
    notes: Sequence[str] = ()
    style: Style = "line"

    def finite(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        return [(x, y) for x, y in zip(self.steps, self.values, strict=True) if math.isfinite(y)]


def line_chart(
    series: Sequence[Series],
    *,
    log_scale: bool = False,
    zero_based: bool = False,
    smooth: bool = False,
    unit_square: bool = False,
    x_name: str = "step",
    y_name: str = "",
) -> str:
    """A chart of lines.

    Args:
        series: What to draw; nothing is returned when there is no point at all.
        log_scale: A logarithmic vertical axis; values of 0 and below are left out.
        zero_based: The vertical axis begins at 0, as for shares.
        smooth: Draw a line of many points faintly, with its running mean over it.
        unit_square: Both axes are 0 to 1.
        x_name: What the horizontal axis is.
        y_name: What the vertical axis is. Without it neither is written: the text around the chart says it.

    Returns:
        An ``<svg>`` element, or an empty text.
    """
    lines = [s.finite() for s in series]
    if log_scale:
        lines = [[(x, y) for x, y in points if y > 0] for points in lines]
    every = [point for points in lines for point in points]
    if not every:
        return ""
    steps, values = [x for x, _ in every], [y for _, y in every]
    first, last, low, high = min(steps), max(steps), min(values), max(values)
    if unit_square:
        first, last, low, high = 0.0, 1.0, 0.0, 1.0
    elif zero_based and not log_scale:
        low = min(0.0, low)
    x_axis = _Axis.linear(first, last, _LEFT, _WIDTH - _RIGHT, 5)
    make = _Axis.logarithmic if log_scale else _Axis.linear
    room = _NAME if y_name else 0.0  # for the axes' names
    y_axis = make(low, high, _HEIGHT - _BOTTOM - room, _TOP + room, 4)
    body = [_grid(x_axis, y_axis)]
    if y_name:
        body.append(f'<text class="axis" x="2" y="14">{escape(y_name)}</text>')
        right = f'x="{_WIDTH - _RIGHT:g}" y="{_HEIGHT - 4:g}"'
        body.append(f'<text class="axis" {right} text-anchor="end">{escape(x_name)}</text>')
    for i, (one, points) in enumerate(zip(series, lines, strict=True)):
        if points:
            body.append(
                _line(_thinned(points), x_axis, y_axis, colour_class(i, one.style), smooth, one.style)
            )
    names = escape(", ".join(s.name for s in series), quote=True)
    box = f"0 0 {_WIDTH:g} {_HEIGHT:g}"
    return f'<svg class="chart" viewBox="{box}" role="img" aria-label="{names}">{"".join(body)}</svg>'


def chart_data(
    series: Sequence[Series],
    *,
    log_scale: bool = False,
    zero_based: bool = False,
    smooth: bool = False,
    unit_square: bool = False,
    x_name: str = "step",
    y_name: str = "",
) -> dict[str, Any]:
    """What ``templates/charts.js`` draws the chart from; JSON-ready, thinned and rounded so that it stays small."""
    return {
        "x": x_name,
        "up": y_name,
        "log": log_scale,
        "zero": zero_based,
        "smooth": smooth,
        "unit": unit_square,
        "series": [_series_data(i, one) for i, one in enumerate(series)],
    }


def colour_class(index: int, style: Style = "line") -> str:
    """The style sheet's classes of a chart's line: a colour, and dashes when the colours begin again."""
    if style in ("mean", "guide"):
        return style
    turn = index // NUM_COLOURS % 3
    return f"s{index % NUM_COLOURS}" + (f" d{turn}" if turn else "")


def format_number(value: float) -> str:
    """A number in at most about six characters."""
    if not math.isfinite(value):
        return "not finite"
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    if size >= 100 or value == int(value):
        return f"{value:.0f}"
    if size >= 1:
        return f"{value:.2f}"
    if size >= 1e-3:
        return f"{value:.3f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values → positions, with round numbers at the ticks."""

    low: float
    high: float
    begin: float
    end: float
    ticks: tuple[float, ...]
    logarithmic_scale: bool = False

    @classmethod
    def linear(cls, low: float, high: float, begin: float, end: float, count: int) -> _Axis:
        if high <= low:
            pad = abs(low) * 0.1 or 1.0
            low, high = low - pad, high + pad
        rough = (high - low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(i * step for i in range(first, last + 1))
        if begin > end:  # vertical: the grid closes the picture above and below
            low, high = ticks[0], ticks[-1]
        return cls(low, high, begin, end, tuple(t for t in ticks if low <= t <= high))

    @classmethod
    def logarithmic(cls, low: float, high: float, begin: float, end: float, count: int) -> _Axis:
        first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
        last = max(last, first + 1)
        stride = max(1, math.ceil((last - first) / count))
        ticks = tuple(10.0**e for e in range(first, last + 1, stride))
        return cls(10.0**first, 10.0**last, begin, end, ticks, logarithmic_scale=True)

    def at(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic_scale:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.begin + (self.end - self.begin) * (value - low) / (high - low)


def _tick(value: float) -> str:
    """A round number, without zeros at its end."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= 10 * size:
            return f"{value / size:g}{unit}"
    if 0 < abs(value) < 0.01:
        mantissa, exponent = f"{value:.4e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.6g}"


def _grid(x_axis: _Axis, y_axis: _Axis) -> str:
    parts = []
    for tick in y_axis.ticks:
        y = y_axis.at(tick)
        parts.append(f'<path class="grid" d="M{_LEFT:g} {y:.1f}H{_WIDTH - _RIGHT:g}"/>')
        parts.append(
            f'<text class="axis" x="{_LEFT - 7:g}" y="{y + 4:.1f}" text-anchor="end">{_tick(tick)}</text>'
        )
    for tick in x_axis.ticks:
        x = x_axis.at(tick)
        parts.append(
            f'<text class="axis" x="{x:.1f}" y="{y_axis.begin + 18:g}" text-anchor="middle">{_tick(tick)}</text>'
        )
    return "".join(parts)


def _line(
    points: list[tuple[float, float]], x_axis: _Axis, y_axis: _Axis, colour: str, smooth: bool, style: Style
) -> str:
    if len(points) == 1:
        x, y = points[0]
        return f'<circle class="dot {colour}" cx="{x_axis.at(x):.1f}" cy="{y_axis.at(y):.1f}" r="3.5"/>'
    raw = _path(points, x_axis, y_axis)
    if smooth and len(points) >= _SMOOTH_FROM:
        mean = _path(_running_mean(points), x_axis, y_axis)
        return f'<path class="raw {colour}" d="{raw}"/><path class="line {colour}" d="{mean}"/>'
    dots = [
        f'<circle class="dot {colour}" cx="{x_axis.at(x):.1f}" cy="{y_axis.at(y):.1f}" r="3"/>'
        for x, y in (points if style == "dots" else [])
    ]
    return f'<path class="line {colour}" d="{raw}"/>' + "".join(dots)


def _series_data(index: int, series: Series) -> dict[str, Any]:
    points = series.finite()
    data: dict[str, Any] = {"name": series.name, "colour": colour_class(index, series.style)}
    if series.notes:
        notes = zip(series.values, series.notes, strict=True)
        data["notes"] = [note for y, note in notes if math.isfinite(y)]
    else:
        points = _thinned(points)
    bad = [x for x, y in zip(series.steps, series.values, strict=True) if not math.isfinite(y)]
    if bad:
        data["bad"] = [_rounded(x) for x in bad[:_MAX_BAD]]
    if series.style in ("dots", "guide"):
        data["style"] = series.style
    return data | {"at": [_rounded(x) for x, _ in points], "y": [_rounded(y) for _, y in points]}


def _rounded(value: float) -> float | int:
    """Five digits: more than a screen shows."""
    short = float(f"{value:.5g}") if abs(value) < 1e5 else value
    return int(short) if short == int(short) else short


def _path(points: Sequence[tuple[float, float]], x_axis: _Axis, y_axis: _Axis) -> str:
    return "M" + "L".join(f"{x_axis.at(x):.1f} {y_axis.at(y):.1f}" for x, y in points)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means over equal runs of points, when there are too many to show."""
    if len(points) <= _MAX_POINTS:
        return points
    size = math.ceil(len(points) / _MAX_POINTS)
    runs = [points[start : start + size] for start in range(0, len(points), size)]
    return [(run[-1][0], sum(y for _, y in run) / len(run)) for run in runs]


def _running_mean(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The mean of a twentieth of the points around each: centred, so that it does not lag behind."""
    reach = len(points) // 40
    sums = list(itertools.accumulate((y for _, y in points), initial=0.0))
    smooth = []
    for i, (x, _) in enumerate(points):
        side = min(reach, i, len(points) - 1 - i)
        smooth.append((x, (sums[i + side + 1] - sums[i - side]) / (2 * side + 1)))
    return smooth
