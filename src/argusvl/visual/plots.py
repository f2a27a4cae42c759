"""Line charts as inline SVG: sharp at every size, in the page's own colours by day and by night, without a library.

Colours and fonts are left to the page's style sheet (classes ``axis``, ``grid``, ``raw``, ``line``, ``s0`` …). A chart
is as wide as its place: texts keep their size, lines are stretched. Values are read by pointing at them;
``templates/charts.js`` only switches lines and says what is pointed at, it draws nothing.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from argusvl.visual.marks import Mark, draw_marks, place_marks, room_for

NUM_COLOURS = 8
"""Series colours that the style sheet has; further series begin again."""

SPAN = 1000.0
"""The chart's width in the numbers of its lines; on the page it is what the page has room for."""

_LEFT, _TOP, _BOTTOM = 46, 10, 26  # pixels; the first one is the padding of `.chart` in `report.css`
_HEIGHT, _WIDE_HEIGHT, _UNIT_HEIGHT = 220, 320, 360  # pixels
_NAME = 16  # height of an axis's name
_MAX_POINTS = 400  # more than there are pixels to show; the page stays small after a long run
_MAX_BAD = 50  # marks of values that are not finite; their number is said in words
_MAX_READINGS = 120  # places at which values can be read
_SMOOTH_FROM = 20  # with fewer points the raw line is clear enough

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
    wide: bool = False,
    x_name: str = "step",
    y_name: str = "",
    marks: Sequence[Mark] = (),
) -> str:
    """A chart of lines.

    Args:
        series: What to draw; nothing is returned when there is no point at all.
        log_scale: A logarithmic vertical axis; values of 0 and below are left out.
        zero_based: The vertical axis begins at 0, as for shares.
        smooth: Draw a line of many points faintly, with its running mean over it.
        unit_square: Both axes are 0 to 1.
        wide: It has the page's whole width, and is taller.
        x_name: What the horizontal axis is.
        y_name: What the vertical axis is. Without it neither is written: the text around the chart says it.
        marks: What was found or happened at steps; the axis reaches all of them.

    Returns:
        An ``<svg>`` element, or an empty text.
    """
    lines = [s.finite() for s in series]
    if log_scale:
        lines = [[(x, y) for x, y in points if y > 0] for points in lines]
    every = [point for points in lines for point in points]
    if not every:
        return ""
    steps, values = [x for x, _ in every] + [mark.step for mark in marks], [y for _, y in every]
    first, last, low, high = min(steps), max(steps), min(values), max(values)
    if unit_square:
        first, last, low, high = 0.0, 1.0, 0.0, 1.0
    elif zero_based and not log_scale:
        low = min(0.0, low)
    height = _UNIT_HEIGHT if unit_square else _WIDE_HEIGHT if wide else _HEIGHT
    room = _NAME if y_name else 0  # for the axes' names
    bottom = height - _TOP - _BOTTOM - 2 * room
    x_axis = _Axis.linear(first, last, 0.0, SPAN, 8 if wide else 5)
    make = _Axis.logarithmic if log_scale else _Axis.linear
    y_axis = make(low, high, bottom, 0.0, 4)
    placed = place_marks(marks, lambda step: x_axis.at(step) / SPAN)
    height, top = height + room_for(placed), _TOP + room + room_for(placed)
    names = ""
    if y_name:
        names = f'<text class="axis" x="{2 - _LEFT}" y="14">{escape(y_name)}</text>'
        names += f'<text class="axis" x="100%" y="{height - 5}" text-anchor="end">{escape(x_name)}</text>'
    body = [_grid(x_axis, y_axis)]
    for i, (one, points) in enumerate(zip(series, lines, strict=True)):
        body.append(_series(one, points, x_axis, y_axis, colour_class(i, one.style), smooth))
    body.append(_readings(series, x_axis, bottom, x_name))
    body.append(draw_marks(placed, lambda step: x_axis.at(step) / SPAN, bottom))
    label = escape(", ".join(s.name for s in series), quote=True)
    return (
        f'<svg class="chart" height="{height}" role="img" aria-label="{label}" tabindex="0">{names}'
        f'<g transform="translate(0 {top})">{"".join(body)}</g></svg>'
    )


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

    def share(self, value: float) -> str:
        """Where a value is, as a percentage of the axis."""
        return f"{100 * self.at(value) / self.end:.2f}%"


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
        parts.append(f'<line class="grid" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="axis" x="-8" y="{y + 4:.1f}" text-anchor="end">{_tick(tick)}</text>')
    for tick in x_axis.ticks:
        place = f'x="{x_axis.share(tick)}" y="{y_axis.begin + 19:g}"'
        parts.append(f'<text class="axis" {place} text-anchor="middle">{_tick(tick)}</text>')
    return "".join(parts)


def _series(
    series: Series, points: list[tuple[float, float]], x_axis: _Axis, y_axis: _Axis, colour: str, smooth: bool
) -> str:
    bottom, thinned = y_axis.begin, _thinned(points)
    missing = [x for x, y in zip(series.steps, series.values, strict=True) if not math.isfinite(y)]
    marks = [
        f'<line class="bad" x1="{at}" x2="{at}" y1="{bottom:g}" y2="{bottom - 7:g}"/>'
        for at in (x_axis.share(x) for x in missing[:_MAX_BAD])
    ]
    if series.style == "dots" or len(points) == 1:
        marks += [
            f'<circle class="dot {colour}" cx="{x_axis.share(x)}" cy="{y_axis.at(y):.1f}" r="3.5"/>'
            for x, y in points
        ]
    paths = ""
    if len(points) > 1:
        smoothed = smooth and len(points) >= _SMOOTH_FROM
        if smoothed:
            paths = f'<path class="raw {colour}" d="{_path(thinned, x_axis, y_axis)}"/>'
        line = _path(_running_mean(thinned) if smoothed else thinned, x_axis, y_axis)
        paths += f'<path class="line {colour}" d="{line}"/>'
        box = f'viewBox="0 0 {SPAN:g} {bottom:g}" height="{bottom:g}" preserveAspectRatio="none"'
        paths = f'<svg class="stretched" {box}>{paths}</svg>'
    return f'<g class="series">{paths}{"".join(marks)}</g>'


def _readings(series: Sequence[Series], x_axis: _Axis, height: float, x_name: str) -> str:
    """Upright bands over the chart; each has the values at its place as its title, a line for each of the legend's."""
    shown = [one for one in series if one.style != "guide"]
    steps = sorted({x for one in shown for x in one.steps if x_axis.low <= x <= x_axis.high})
    stride = math.ceil(len(steps) / _MAX_READINGS)
    places = steps[::-1][:: max(stride, 1)][::-1]  # the last step is one of them
    if not places:
        return ""
    edges = [x_axis.low, *((a + b) / 2 for a, b in itertools.pairwise(places)), x_axis.high]
    bands = []
    for at, (left, right) in zip(places, itertools.pairwise(edges), strict=True):
        lines = [f"{x_name} {_tick(at)}", *(f"{one.name} {_value(one, at)}" for one in shown)]
        width = f"{(x_axis.at(right) - x_axis.at(left)) * 100 / SPAN:.2f}%"
        bands.append(
            f'<rect class="reading" data-at="{at:g}" x="{x_axis.share(left)}" width="{width}" '
            f'height="{height:g}"><title>{escape(chr(10).join(lines))}</title></rect>'
        )
    return "".join(bands)


def _value(series: Series, at: float) -> str:
    """What a series says at a place: its nearest value, with its note; a dash beyond its ends."""
    if not series.steps or not series.steps[0] <= at <= series.steps[-1]:
        return "–"
    after = bisect.bisect_left(series.steps, at)
    near = min((i for i in (after - 1, after) if i >= 0), key=lambda i: abs(series.steps[i] - at))
    note = f" · {series.notes[near]}" if series.notes and series.notes[near] else ""
    return format_number(series.values[near]) + note


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
