"""Charts as files of their own: the SVG of the page with its sizes and colours resolved, and the same as PNG.

A chart is drawn once, for the page, in shares of a width that only the page knows and in colours that its style sheet
has. Here both are settled: each element becomes a :class:`Shape` in pixels, which is written as SVG and painted by
Pillow, so that no browser and no further library is needed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from xml.etree.ElementTree import Element

from defusedxml import ElementTree

from argusvl.core.files import refuse_replacing, write_bytes_atomically, write_text_atomically
from argusvl.visual.curves import Chart, chart_groups
from argusvl.visual.fonts import load_font
from argusvl.visual.health import health_of
from argusvl.visual.inner import Inner
from argusvl.visual.report import ReportData
from argusvl.visual.shapes import Shape, paint

_WIDE, _NARROW = 1000, 560  # pixels
_MARGIN, _LEFT, _RIGHT, _TITLE, _ROW = 14, 46, 12, 30, 22
_SMALL = 13


def chart_files(data: ReportData, inner: Inner | None, folder: Path, *, overwrite: bool = False) -> list[str]:
    """Writes every chart of a report, and the attention over pictures; returns their names.

    Raises:
        ArgusError: A file is there already and ``overwrite`` is not set; one cannot be written.
    """
    groups = chart_groups(data.log_history, data.declared)
    health = health_of(data.log_history, data.events, groups)
    shown = [*(health.groups if health is not None else ()), *(g for g in groups if not g.health)]
    charts = {file_name(g.title, c.title): c for g in shown for c in g.charts}
    if inner is not None:
        seen = {"features-by-layer": inner.features(), "loss-landscape": inner.landscape}
        charts |= {name: chart for name, chart in seen.items() if chart is not None}
    names = [name for name, chart in charts.items() if chart.svg]
    files = [f"{name}.{suffix}" for name in names for suffix in ("svg", "png")]
    files += [f"{file_name('attention', one.name)}.png" for one in (inner.attention if inner else ())]
    refuse_replacing(*(folder / file for file in files), overwrite=overwrite)
    for name in names:
        write_chart(charts[name], folder, name)
    for one in inner.attention if inner is not None else ():
        encoded = io.BytesIO()
        one.sheet().save(encoded, "PNG")
        names.append(file_name("attention", one.name))
        write_bytes_atomically(folder / f"{names[-1]}.png", encoded.getvalue())
    return names


def write_chart(chart: Chart, folder: Path, name: str) -> list[Path]:
    """Writes ``name.svg`` and ``name.png``.

    Raises:
        ArgusError: One of them cannot be written.
    """
    width, height, shapes = settled(chart)
    vector, raster = folder / f"{name}.svg", folder / f"{name}.png"
    write_text_atomically(vector, as_svg(width, height, shapes))
    write_bytes_atomically(raster, paint(width, height, shapes))
    return [vector, raster]


def settled(chart: Chart) -> tuple[int, int, list[Shape]]:
    """Width, height and the shapes of a chart with its title and legend."""
    width = _WIDE if chart.wide else _NARROW
    svg = ElementTree.fromstring(chart.svg)
    left = 4 if "layer-strip" in svg.get("class", "").split() else _LEFT
    area = _Area(_MARGIN + left, _MARGIN + _TITLE, width - 2 * _MARGIN - left - (4 if left == 4 else _RIGHT))
    shapes = [
        Shape("text", ((_MARGIN, _MARGIN + 13),), fill=_colour("ink"), size=15, bold=True, text=chart.title)
    ]
    shapes += _walk(svg, area, ())
    y = _MARGIN + _TITLE + float(svg.get("height", 0)) + 16
    x: float = _MARGIN
    for entry in chart.legend:
        text = f"{entry.name} {entry.last}".strip()
        long = 24 + load_font(None, _SMALL).getlength(text) + 14
        if x > _MARGIN and x + long > width - _MARGIN:
            x, y = _MARGIN, y + _ROW
        key = Shape("line", ((x, y - 4), (x + 16, y - 4)), width=3)
        shapes.append(_styled(key, (*entry.colour.split(), "line")))
        shapes.append(Shape("text", ((x + 22, y),), fill=_colour("soft"), size=_SMALL, text=text))
        x += long
    if chart.legend:
        y += _ROW
    if chart.warning:
        shapes.append(Shape("text", ((_MARGIN, y),), fill=_colour("missed"), size=_SMALL, text=chart.warning))
        y += _ROW
    return width, round(y), shapes


def as_svg(width: int, height: int, shapes: Iterable[Shape]) -> str:
    """A file that needs no style sheet."""
    body = "\n".join(shape.to_svg() for shape in shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def file_name(*words: str) -> str:
    """Words as a file's name."""
    return re.sub(r"[^\w]+", "-", " ".join(words).lower()).strip("-")[:80] or "chart"


@dataclass(frozen=True, slots=True)
class _Area:
    """Where an element's numbers lie, in pixels: shares of ``width``, and numbers times the scale."""

    x: float
    y: float
    width: float
    scale: float = 1.0

    def across(self, text: str | None) -> float:
        if text and text.endswith("%"):
            return self.x + self.width * float(text[:-1]) / 100
        return self.x + self.scale * float(text or 0)


def _walk(element: Element, area: _Area, outer: tuple[str, ...]) -> Iterator[Shape]:
    classes = outer + tuple(element.get("class", "").split())
    if element.tag == "title" or "reading" in classes:
        return
    if element.tag in ("svg", "g"):
        inside = area
        if moved := re.fullmatch(r"translate\(0 ([\d.]+)\)", element.get("transform", "")):
            inside = replace(area, y=area.y + float(moved[1]))
        if box := element.get("viewBox"):
            inside = replace(inside, scale=area.width / float(box.split()[2]))
        for child in element:
            yield from _walk(child, inside, classes)
        return
    shape = _shape(element, area)
    if shape is not None:
        yield _styled(shape, classes)


def _shape(element: Element, area: _Area) -> Shape | None:
    get = element.get
    if element.tag == "line":
        ends = [(area.across(get(f"x{k}")), area.y + float(get(f"y{k}", 0))) for k in "12"]
        return Shape("line", tuple(ends))
    if element.tag == "path":
        lines = [
            tuple(
                (area.x + area.scale * float(x), area.y + float(y))
                for x, y in (p.split() for p in one.split("L"))
            )
            for one in get("d", "").split("M")[1:]
        ]
        return Shape("line", lines[0], more=tuple(lines[1:])) if lines else None
    if element.tag == "circle":
        return Shape(
            "circle", ((area.across(get("cx")), area.y + float(get("cy", 0))),), size=float(get("r", 3))
        )
    if element.tag in ("rect", "image"):
        x, y = area.across(get("x")), area.y + float(get("y", 0))
        right = area.across(get("width")) - area.x + x
        corners = ((x, y), (right, y + float(get("height", 0))))
        return Shape(element.tag, corners, fill=get("fill", ""), text=get("href", ""))
    if element.tag == "text":
        place = (area.across(get("x")) + float(get("dx", 0)), area.y + float(get("y", 0)))
        return Shape("text", (place,), text=element.text or "", anchor=get("text-anchor", "start"))
    return None


def _styled(shape: Shape, classes: Sequence[str]) -> Shape:
    """The shape with what ``report.css`` says of its classes, by day."""
    own = next((c for c in classes if re.fullmatch(r"s\d", c)), "ink" if "mean" in classes else "faint")
    kind = {"of-error": "missed", "of-warning": "misdescribed", "of-event": "soft"}
    marked = next((kind[c] for c in classes if c in kind), "")
    dashed = {"d1": (7, 5), "d2": (2, 5), "guide": (3, 6)}
    dash: tuple[float, ...] = next((dashed[c] for c in classes if c in dashed), ())
    if shape.kind == "text":
        if "level" in classes:
            return replace(shape, fill="#ffffff", stroke="#333333", size=11)
        if marked:
            return replace(shape, fill=_colour(marked), stroke="#ffffff", size=11, bold=True)
        return replace(shape, fill=_colour("faint"), size=12)
    if "centre" in classes:
        return replace(shape, fill="#ffffff")
    if "contour" in classes:
        return replace(shape, stroke="#ffffff", width=1, opacity=0.75)
    if "dot" in classes:
        return replace(shape, fill=_colour(own))
    if marked:
        event = "of-event" in classes
        return replace(shape, stroke=_colour(marked), width=1 if event else 1.5, dash=(2, 3) if event else ())
    for name, colour, width in (("grid", "rule", 1.0), ("bad", "missed", 2.0), ("part", "ink", 1.0)):
        if name in classes:
            return replace(shape, stroke=_colour(colour), width=width)
    if "raw" in classes:
        return replace(shape, stroke=_colour(own), width=1, opacity=0.32)
    if shape.kind == "line":
        width = 3.0 if "mean" in classes else 1.5 if "guide" in classes else max(shape.width, 2.0)
        return replace(shape, stroke=_colour(own), width=width, dash=dash)
    return shape


@cache
def _colours() -> dict[str, str]:
    css = (resources.files("argusvl.visual") / "templates" / "report.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6})", css))


def _colour(name: str) -> str:
    return _colours()[name]
