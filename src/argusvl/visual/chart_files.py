"""Charts as files of their own: the SVG of the page in pixels and in the colours of the day, and the same as PNG."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from argusvl.core.files import refuse_replacing, write_bytes_atomically, write_text_atomically
from argusvl.visual.curves import Chart, chart_groups
from argusvl.visual.fonts import default_font_path, drawable_text, load_font
from argusvl.visual.health import health_of
from argusvl.visual.inner import Inner
from argusvl.visual.pictures import png
from argusvl.visual.plots import SPAN
from argusvl.visual.report import ReportData

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
    attention = {file_name("attention", one.name): one for one in (inner.attention if inner else ())}
    files += [f"{name}.png" for name in attention]
    refuse_replacing(*(folder / file for file in files), overwrite=overwrite)
    for name in names:
        write_chart(charts[name], folder, name)
    for name, one in attention.items():
        write_bytes_atomically(folder / f"{name}.png", png(one.sheet()))
    return [*names, *attention]


def write_chart(chart: Chart, folder: Path, name: str) -> list[Path]:
    """Writes ``name.svg`` and ``name.png``.

    Raises:
        ArgusError: One of them cannot be written.
    """
    svg = drawing_of(chart)
    vector, raster = folder / f"{name}.svg", folder / f"{name}.png"
    write_text_atomically(vector, svg)
    write_bytes_atomically(raster, as_png(svg))
    return [vector, raster]


def drawing_of(chart: Chart) -> str:
    """The SVG of the page with its title, legend and style, in pixels: a file that needs no style sheet."""
    width = _WIDE if chart.wide else _NARROW
    left, right = (4, 4) if "layer-strip" in chart.svg[:60] else (_LEFT, _RIGHT)
    inner = width - 2 * _MARGIN - left - right
    body = [_text("title", _MARGIN, _MARGIN + 13, chart.title)]
    body.append(_placed(chart.svg, _MARGIN + left, _MARGIN + _TITLE, inner))
    y = _MARGIN + _TITLE + float(re.findall(r'height="([\d.]+)"', chart.svg)[0]) + 16
    x: float = _MARGIN
    for entry in chart.legend:
        text = f"{entry.name} {entry.last}".strip()
        long = 24 + load_font(None, _SMALL).getlength(text) + 14
        if x > _MARGIN and x + long > width - _MARGIN:
            x, y = _MARGIN, y + _ROW
        key = f'<line class="line {entry.colour}" x1="{x:g}" x2="{x + 16:g}" y1="{y - 4:g}" y2="{y - 4:g}"/>'
        body += [f'<g class="chart">{key}</g>', _text("legend", x + 22, y, text)]
        x += long
    if chart.legend:
        y += _ROW
    if chart.warning:
        body.append(_text("warning", _MARGIN, y, chart.warning))
        y += _ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y:g}" viewBox="0 0 {width} {y:g}" '
        f'font-family="system-ui, sans-serif">\n<style>{_style()}</style>\n'
        f'<rect width="{width}" height="{y:g}" fill="#ffffff"/>\n{"".join(body)}\n</svg>\n'
    )


def as_png(svg: str) -> bytes:
    """The picture, with the font that labels have everywhere, twice as large: sharp on paper."""
    import resvg_py

    family, _ = load_font(None, _SMALL).getname()
    fonts: dict[str, Any] = {"font_files": [str(default_font_path())], "sans_serif_family": family}
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=2, skip_system_fonts=True, **fonts))


def file_name(*words: str) -> str:
    """Words as a file's name."""
    return re.sub(r"[^\w]+", "-", " ".join(words).lower()).strip("-")[:80] or "chart"


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(drawable_text(text, None, "escape"))}</text>'


def _placed(svg: str, x: int, y: int, width: int) -> str:
    """A chart of the page at a place and of a width; its lines are stretched here, and not by who draws it."""
    svg = svg.replace("<svg ", f'<svg x="{x}" y="{y}" width="{width}" ', 1)
    svg = svg.replace(f'viewBox="0 0 {SPAN:g} ', f'viewBox="0 0 {width} ')
    return re.sub(r"([ML])(-?[\d.]+) ", lambda m: f"{m[1]}{float(m[2]) * width / SPAN:.1f} ", svg)


@cache
def _style() -> str:
    """The style sheet of charts by day; no reader of SVG files but browsers knows names for colours."""
    folder = resources.files("argusvl.visual") / "templates"
    css = (folder / "charts.css").read_text(encoding="utf-8")
    page = (folder / "colours.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6})", page))
    css = re.sub(r"var\(--(colour|kind)\)", "currentColor", re.sub(r"--(colour|kind):", "color:", css))
    own = (
        f".title {{ font-size: 15px; font-weight: 600; fill: {colours['ink']}; }} "
        f".legend {{ font-size: {_SMALL}px; fill: {colours['soft']}; }} "
        f".warning {{ font-size: {_SMALL}px; fill: {colours['missed']}; }}"
    )
    return re.sub(r"var\(--([\w-]+)\)", lambda name: colours[name[1]], css) + own
