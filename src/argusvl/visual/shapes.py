"""A few shapes in pixels, as SVG elements and as Pillow paints them."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from PIL import Image, ImageColor, ImageDraw

from argusvl.core.images import open_image
from argusvl.visual.fonts import drawable_text, load_font

Point = tuple[float, float]

_SCALE = 2  # pixels of a PNG for one of the chart's
_FINER = 2  # drawn so much larger again and then reduced: smooth lines


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape.

    Attributes:
        kind: ``line``, ``circle``, ``rect``, ``image`` or ``text``.
        points: Of a line all; of a rectangle or an image two corners; else its place.
        stroke: Colour of a line; of a text, that of what is around its letters.
        fill: Colour of the rest.
        width: Of a line, pixels.
        dash: Of a line: on and off, pixels.
        opacity: 0 to 1.
        size: Of a text, or a circle's radius, pixels.
        bold: Of a text.
        text: What is written; of an image, its ``data:`` URI.
        anchor: Of a text: ``start``, ``middle`` or ``end``.
        more: Further lines of the same look.
    """

    kind: str
    points: tuple[Point, ...]
    stroke: str = ""
    fill: str = ""
    width: float = 1.0
    dash: tuple[float, ...] = ()
    opacity: float = 1.0
    size: float = 12.0
    bold: bool = False
    text: str = ""
    anchor: str = "start"
    more: tuple[tuple[Point, ...], ...] = ()

    def to_svg(self) -> str:
        """The element."""
        (x, y), (right, bottom) = self.points[0], self.points[-1]
        box = f'x="{x:.2f}" y="{y:.2f}" width="{right - x:.2f}" height="{bottom - y:.2f}"'
        if self.kind == "text":
            bold = ' font-weight="600"' if self.bold else ""
            look = f'font-size="{self.size:g}" fill="{self.fill}" text-anchor="{self.anchor}"{bold}'
            if self.stroke:
                look += f' stroke="{self.stroke}" stroke-width="3" paint-order="stroke"'
            return f'<text x="{x:.2f}" y="{y:.2f}" {look}>{escape(self.text)}</text>'
        if self.kind == "circle":
            return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{self.size:g}" fill="{self.fill}"/>'
        if self.kind == "image":
            return f'<image {box} preserveAspectRatio="none" href="{escape(self.text)}"/>'
        if self.kind == "rect":
            return f'<rect {box} fill="{self.fill}"/>'
        d = "".join("M" + "L".join(f"{u:.1f} {v:.1f}" for u, v in one) for one in (self.points, *self.more))
        dash = f' stroke-dasharray="{" ".join(map(str, self.dash))}"' if self.dash else ""
        look = f'stroke="{self.stroke}" stroke-width="{self.width:g}" stroke-opacity="{self.opacity:g}"{dash}'
        return f'<path d="{d}" fill="none" stroke-linejoin="round" {look}/>'


def paint(width: int, height: int, shapes: Iterable[Shape]) -> bytes:
    """The shapes on white, as PNG."""
    scale = _SCALE * _FINER
    picture = Image.new("RGB", (width * scale, height * scale), (255, 255, 255))
    for shape in shapes:
        _paint(picture, shape, scale)
    encoded = io.BytesIO()
    picture.resize((width * _SCALE, height * _SCALE), Image.Resampling.BOX).save(
        encoded, "PNG", optimize=True
    )
    return encoded.getvalue()


def _paint(picture: Image.Image, shape: Shape, scale: int) -> None:
    pen = ImageDraw.Draw(picture)
    points = [(x * scale, y * scale) for x, y in shape.points]
    (x, y), (right, bottom) = points[0], points[-1]
    if shape.kind == "text":
        font = load_font(None, round(shape.size * scale))
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
        bold = scale // 4 if shape.bold else 0
        text = drawable_text(shape.text, None, "escape")
        layers = [(shape.fill, bold)]
        if shape.stroke:  # around the letters, so that lines do not run through them
            layers.insert(0, (shape.stroke, bold + 3 * scale // 2))
        for ink, width in layers:
            pen.text((x, y), text, ink, font, anchor, stroke_width=width, stroke_fill=ink)
    elif shape.kind == "circle":
        r = shape.size * scale
        pen.ellipse((x - r, y - r, x + r, y + r), fill=shape.fill)
    elif shape.kind == "rect":
        pen.rectangle((x, y, right, bottom), fill=shape.fill)
    elif shape.kind == "image":
        data = base64.b64decode(shape.text.split(",", 1)[1])
        size = max(1, round(right - x)), max(1, round(bottom - y))
        image = open_image("an image of a chart", exif="ignore", data=data)
        picture.paste(image.resize(size), (round(x), round(y)))
    else:
        colour = _on_white(shape.stroke, shape.opacity)
        thick = max(1, round(shape.width * scale))
        for line in (points, *([(u * scale, v * scale) for u, v in one] for one in shape.more)):
            for stretch in _dashes(line, [d * scale for d in shape.dash]) if shape.dash else [line]:
                pen.line(list(stretch), fill=colour, width=thick, joint="curve")


def _dashes(line: Sequence[Point], lengths: Sequence[float]) -> Iterator[list[Point]]:
    """The stretches of a dashed line that are drawn."""
    number, left = 0, lengths[0]
    for (x1, y1), (x2, y2) in pairwise(line):
        whole, done = math.hypot(x2 - x1, y2 - y1), 0.0
        while done < whole:
            step = min(left, whole - done)
            if number % 2 == 0:
                ends = (done / whole, (done + step) / whole)
                yield [(x1 + t * (x2 - x1), y1 + t * (y2 - y1)) for t in ends]
            done, left = done + step, left - step
            if left <= 1e-9:
                number += 1
                left = lengths[number % len(lengths)]


def _on_white(colour: str, opacity: float) -> tuple[int, ...]:
    return tuple(round(255 + (c - 255) * opacity) for c in ImageColor.getrgb(colour)[:3])
