"""Drawing boxes with their labels on an image, so that they can be read.

Small images are enlarged first. A few labels are written at their boxes; many would cover the picture, so they
get numbers at the boxes and a list beside it.
"""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from argusvl.core.errors import ArgusError
from argusvl.visual.fonts import OnMissing, drawable_text, load_font

Box = Sequence[float]
Colour = tuple[int, int, int]
Style = Literal["auto", "inline", "numbered"]
"""``inline``: the label at its box. ``numbered``: a number there, and a list at the side. ``auto``: by room."""

_LEGIBLE_SIDE_PX = 1080  # smaller images are enlarged to this, by four at most
_INK: Colour = (24, 26, 30)
_PAPER: Colour = (250, 250, 248)
_FAINT: Colour = (110, 114, 120)


def colour_of(label: str) -> Colour:
    """A colour for a label: always the same, bright enough to be seen on a photograph."""
    digest = hashlib.blake2s(label.encode("utf-8"), digest_size=4).digest()
    hue = int.from_bytes(digest[:2], "big") / 65536
    lightness = (0.5, 0.58, 0.66)[digest[2] % 3]
    r, g, b = colorsys.hls_to_rgb(hue, lightness, 0.85)
    return round(255 * r), round(255 * g), round(255 * b)


def distinct_colours(labels: Iterable[str]) -> dict[str, Colour]:
    """Colours that are far apart, for a vocabulary that is known as a whole; the same for the same set of labels."""
    names = sorted(set(labels))
    colours = {}
    for i, name in enumerate(names):
        # Steps of the golden angle keep neighbours apart, however many there are.
        r, g, b = colorsys.hls_to_rgb((0.02 + i * 0.6180340) % 1.0, (0.6, 0.48, 0.7)[i % 3], 0.85)
        colours[name] = (round(255 * r), round(255 * g), round(255 * b))
    return colours


def draw_boxes(
    image: Image.Image,
    boxes_xyxy_px: Sequence[Box],
    labels: Sequence[str],
    scores: Sequence[float] | None = None,
    *,
    font_path: str | Path | None = None,
    style: Style = "auto",
    on_missing: OnMissing = "refuse",
    colours: Mapping[str, Colour] | None = None,
) -> Image.Image:
    """Draws boxes and labels on a copy of the image.

    Args:
        image: Any mode; drawn as RGB. A small one is enlarged.
        boxes_xyxy_px: ``N`` boxes in the image's pixels; what is outside the image is cut off.
        labels: ``N`` texts.
        scores: ``N`` numbers in 0..1, written behind the labels.
        font_path: Font file; the one that the installation brings when ``None``.
        style: Where the labels go.
        on_missing: What to do with a character that the font lacks.
        colours: Colours of labels, e.g. from :func:`distinct_colours`; :func:`colour_of` gives the others'.

    Returns:
        A new RGB image, perhaps larger, with a list at its right side when the style is ``numbered``.

    Raises:
        ArgusError: The lists differ in length, there is no font, or it lacks a character.
    """
    _check(boxes_xyxy_px, labels, scores)
    factor = min(4.0, max(1.0, _LEGIBLE_SIDE_PX / max(image.size)))
    picture = image.convert("RGB")
    if factor > 1:
        size = round(image.width * factor), round(image.height * factor)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    if not len(boxes_xyxy_px):
        return picture
    pen = _Pen(picture, load_font(font_path, max(15, round(max(picture.size) / 62))))
    marks = []
    for i, (box, label) in enumerate(zip(boxes_xyxy_px, labels, strict=True)):
        text = drawable_text(label, font_path, on_missing)
        tail = "" if scores is None else f"{scores[i]:.2f}"
        corners = [float(v) * factor for v in box]
        colour = (colours or {}).get(label) or colour_of(label)
        marks.append(_Mark(pen.fit(corners), colour, text, tail))
    for mark in sorted(marks, key=lambda m: -m.area):  # small boxes over large ones
        pen.frame(mark)
    inline = pen.place([f"{m.text} {m.tail}".strip() for m in marks], marks)
    if style == "inline" or (style == "auto" and inline.crowding < 0.02 and inline.cover < 0.1):
        pen.write(inline, marks)
        return picture
    pen.write(pen.place([str(i + 1) for i in range(len(marks))], marks), marks)
    return _beside(picture, _listing(marks, pen.font, picture.height))


def draw_comparison(
    image: Image.Image,
    truth: tuple[Sequence[Box], Sequence[str]],
    predicted: tuple[Sequence[Box], Sequence[str], Sequence[float]],
    *,
    font_path: str | Path | None = None,
    on_missing: OnMissing = "escape",
) -> Image.Image:
    """Truth above, prediction below, each drawn as by :func:`draw_boxes`.

    Args:
        image: The image.
        truth: Boxes and labels.
        predicted: Boxes, labels and scores.
        font_path: As for :func:`draw_boxes`.
        on_missing: By default a character that the font lacks is written as its code: a model in training may
            write anything.
    """
    colours = distinct_colours([*truth[1], *predicted[1]])
    upper = draw_boxes(image, *truth, font_path=font_path, on_missing=on_missing, colours=colours)
    lower = draw_boxes(image, *predicted, font_path=font_path, on_missing=on_missing, colours=colours)
    font = load_font(font_path, max(15, round(max(upper.size) / 62)))
    band = round(font.size * 1.9)
    sheet = Image.new("RGB", (max(upper.width, lower.width), upper.height + lower.height + 2 * band), _PAPER)
    draw = ImageDraw.Draw(sheet)
    y = 0
    for title, drawing in ((f"truth: {len(truth[0])}", upper), (f"predicted: {len(predicted[0])}", lower)):
        draw.text((font.size * 0.6, y + band / 2), title, fill=_INK, font=font, anchor="lm")
        sheet.paste(drawing, (0, y + band))
        y += band + drawing.height
    return sheet


@dataclass(frozen=True, slots=True)
class _Mark:
    """A box with its texts, in the pixels of the enlarged picture."""

    box: tuple[float, float, float, float]
    colour: Colour
    text: str
    tail: str

    @property
    def area(self) -> float:
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


@dataclass(frozen=True, slots=True)
class _Placement:
    """Plates for texts: where they are, and how well that went.

    Attributes:
        texts: What is written.
        plates: ``(x0, y0, x1, y1)`` of each.
        crowding: Share of the plates' area that overlaps other plates.
        cover: Share of the picture that the plates cover.
    """

    texts: list[str]
    plates: list[tuple[float, float, float, float]]
    crowding: float
    cover: float


class _Pen:
    """Draws marks on a picture in a font; line widths follow the font's size."""

    def __init__(self, picture: Image.Image, font: ImageFont.FreeTypeFont) -> None:
        self.font = font
        self._size = picture.size
        self._draw = ImageDraw.Draw(picture)
        self._line = max(2, round(font.size / 8))

    def fit(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """The part of a box that is in the picture, its corners in order."""
        width, height = self._size
        xs = sorted(min(max(v, 0.0), width - 1.0) for v in (box[0], box[2]))
        ys = sorted(min(max(v, 0.0), height - 1.0) for v in (box[1], box[3]))
        return xs[0], ys[0], xs[1], ys[1]

    def frame(self, mark: _Mark) -> None:
        """The outline: coloured, with a dark rim so that it is seen on any ground."""
        x0, y0, x1, y1 = mark.box
        rim = self._line + 2
        self._draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=_INK, width=rim)
        self._draw.rectangle((x0, y0, x1, y1), outline=mark.colour, width=self._line)

    def place(self, texts: Sequence[str], marks: Sequence[_Mark]) -> _Placement:
        """Finds a place for each text at its box, in the picture, with as little overlap as can be."""
        width, height = self._size
        pad = round(self.font.size * 0.28)
        tall = round(self.font.size * 1.42)
        plates: list[tuple[float, float, float, float]] = []
        overlap = 0.0
        for text, mark in zip(texts, marks, strict=True):
            wide = min(self.font.getlength(text) + 2 * pad, float(width))
            x0, y0, x1, y1 = mark.box
            best, best_cost = (0.0, 0.0, wide, float(tall)), float("inf")
            corners = (
                (x0, y0 - tall),
                (x1 - wide, y0 - tall),
                (x0, y1),
                (x1 - wide, y1),
                (x1, y0),
                (x0 - wide, y0),
            )
            inside = ((x0, y0), (x1 - wide, y0), (x0, y1 - tall), (x1 - wide, y1 - tall))
            for order, (x, y) in enumerate(corners + inside):
                x, y = min(max(x, 0.0), width - wide), min(max(y, 0.0), float(height - tall))
                plate = (x, y, x + wide, y + tall)
                cost = sum(_common(plate, other) for other in plates) + 0.01 * order
                if cost < best_cost:
                    best, best_cost = plate, cost
            overlap += max(0.0, best_cost - 0.1)
            plates.append(best)
        area = sum((p[2] - p[0]) * (p[3] - p[1]) for p in plates)
        return _Placement(list(texts), plates, overlap / area, area / (width * height))

    def write(self, placement: _Placement, marks: Sequence[_Mark]) -> None:
        """The texts on plates in their marks' colours."""
        for text, plate, mark in zip(placement.texts, placement.plates, marks, strict=True):
            self._draw.rectangle(plate, fill=mark.colour, outline=_INK)
            middle = ((plate[0] + plate[2]) / 2, (plate[1] + plate[3]) / 2)
            self._draw.text(middle, text, fill=_on(mark.colour), font=self.font, anchor="mm")


def _listing(marks: Sequence[_Mark], font: ImageFont.FreeTypeFont, height: int) -> Image.Image:
    """Numbers and texts in columns, as tall as the picture beside them."""
    step = round(font.size * 1.75)
    margin = round(font.size * 0.8)
    rows = max(1, (height - 2 * margin) // step)
    columns = [list(enumerate(marks))[start : start + rows] for start in range(0, len(marks), rows)]
    badge = font.getlength("000") + font.size * 0.5
    widths = []
    for column in columns:
        text = max(font.getlength(m.text) for _, m in column)
        tail = max(font.getlength(m.tail) for _, m in column)
        widths.append(round(badge + text + (tail + font.size if tail else 0) + font.size * 1.6))
    panel = Image.new("RGB", (sum(widths) + margin, height), _PAPER)
    draw = ImageDraw.Draw(panel)
    x = margin
    for column, width in zip(columns, widths, strict=True):
        for row, (i, mark) in enumerate(column):
            y = margin + row * step
            middle = y + step / 2
            draw.rectangle((x, y + 2, x + badge, y + step - 3), fill=mark.colour)
            draw.text((x + badge / 2, middle), str(i + 1), fill=_on(mark.colour), font=font, anchor="mm")
            draw.text((x + badge + font.size * 0.5, middle), mark.text, fill=_INK, font=font, anchor="lm")
            if mark.tail:
                draw.text((x + width - font.size, middle), mark.tail, fill=_FAINT, font=font, anchor="rm")
        x += width
    return panel


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (left.width + right.width, max(left.height, right.height)), _PAPER)
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width, 0))
    return sheet


def _common(a: Sequence[float], b: Sequence[float]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _on(colour: Colour) -> Colour:
    """Black or white, whichever can be read on the colour."""
    return (0, 0, 0) if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140 else (255, 255, 255)


def _check(boxes: Sequence[Box], labels: Sequence[str], scores: Sequence[float] | None) -> None:
    if len(boxes) != len(labels) or (scores is not None and len(scores) != len(boxes)):
        counts = f"{len(boxes)} boxes, {len(labels)} labels"
        counts += "" if scores is None else f", {len(scores)} scores"
        raise ArgusError(f"expected one label (and score) for each box, got {counts}", where="draw_boxes")
    for i, box in enumerate(boxes):
        if len(box) != 4:
            raise ArgusError(f"expected four numbers, got {len(box)}", where=f"boxes_xyxy_px[{i}]")
