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

from PIL import Image, ImageDraw, ImageFont

from argusvl.visual.fonts import OnMissing, drawable_text, load_font

Box = Sequence[float]
Colour = tuple[int, int, int]
_Corners = tuple[float, float, float, float]

_LEGIBLE_SIDE_PX = 1080  # smaller images are enlarged to this, by four at most
_INK: Colour = (24, 26, 30)
_PAPER: Colour = (250, 250, 248)
_FAINT: Colour = (110, 114, 120)


def colour_of(label: str) -> Colour:
    """A colour for a label: always the same, bright enough to be seen on a photograph."""
    digest = hashlib.blake2s(label.encode("utf-8"), digest_size=4).digest()
    hue = int.from_bytes(digest[:2], "big") / 65536
    lightness = (0.5, 0.58, 0.66)[digest[2] % 3]
    return _bright(hue, lightness)


def distinct_colours(labels: Iterable[str]) -> dict[str, Colour]:
    """Colours that are far apart, for a vocabulary that is known as a whole; the same for the same set of labels."""
    # Steps of the golden angle keep neighbours apart, however many there are.
    return {
        name: _bright((0.02 + i * 0.6180340) % 1.0, (0.6, 0.48, 0.7)[i % 3])
        for i, name in enumerate(sorted(set(labels)))
    }


def _bright(hue: float, lightness: float) -> Colour:
    r, g, b = (round(255 * v) for v in colorsys.hls_to_rgb(hue, lightness, 0.85))
    return r, g, b


def draw_boxes(
    image: Image.Image,
    boxes_xyxy_px: Sequence[Box],
    labels: Sequence[str],
    scores: Sequence[float] | None = None,
    *,
    font_path: str | Path | None = None,
    on_missing: OnMissing = "refuse",
    colours: Mapping[str, Colour] | None = None,
) -> Image.Image:
    """Draws boxes and labels on a copy of the image, which is enlarged where it is small.

    Args:
        image: Any mode; drawn as RGB.
        boxes_xyxy_px: ``N`` boxes in the image's pixels; what is outside the image is cut off.
        labels: ``N`` texts.
        scores: ``N`` numbers in 0..1, written behind the labels.
        font_path: Font file; the one that the installation brings when ``None``.
        on_missing: What to do with a character that the font lacks.
        colours: Colours of labels, e.g. from :func:`distinct_colours`; :func:`colour_of` gives the others'.

    Raises:
        ArgusError: There is no font, or it lacks a character.
    """
    factor = min(4.0, max(1.0, _LEGIBLE_SIDE_PX / max(image.size)))
    picture = image.convert("RGB")
    if factor > 1:
        size = round(image.width * factor), round(image.height * factor)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    if not len(boxes_xyxy_px):
        return picture
    pen = _Pen(picture, load_font(font_path, max(15, round(max(picture.size) / 62))))
    marks = []
    tails = [""] * len(labels) if scores is None else [f"{score:.2f}" for score in scores]
    for box, label, tail in zip(boxes_xyxy_px, labels, tails, strict=True):
        text = drawable_text(label, font_path, on_missing)
        corners = [float(v) * factor for v in box]
        colour = (colours or {}).get(label) or colour_of(label)
        marks.append(_Mark(pen.fit(corners), colour, text, tail))
    for mark in sorted(marks, key=lambda m: -m.area):  # small boxes over large ones
        pen.frame(mark)
    texts = [f"{m.text} {m.tail}".strip() for m in marks]
    plates, crowding, cover = pen.place(texts, marks)
    if crowding < 0.02 and cover < 0.1:
        pen.write(texts, plates, marks)
        return picture
    numbers = [str(i + 1) for i in range(len(marks))]
    pen.write(numbers, pen.place(numbers, marks)[0], marks)
    listing = _listing(marks, pen.font, picture.height)
    sheet = Image.new("RGB", (picture.width + listing.width, picture.height), _PAPER)
    sheet.paste(picture, (0, 0))
    sheet.paste(listing, (picture.width, 0))
    return sheet


def draw_comparison(
    image: Image.Image,
    truth: tuple[Sequence[Box], Sequence[str]],
    predicted: tuple[Sequence[Box], Sequence[str], Sequence[float]],
) -> Image.Image:
    """Truth (boxes and labels) above, prediction (and scores) below, each drawn as by :func:`draw_boxes`.

    A character that the font lacks is written as its code: a model in training may write anything.
    """
    colours = distinct_colours([*truth[1], *predicted[1]])
    upper = draw_boxes(image, *truth, on_missing="escape", colours=colours)
    lower = draw_boxes(image, *predicted, on_missing="escape", colours=colours)
    font = load_font(None, max(15, round(max(upper.size) / 62)))
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

    box: _Corners
    colour: Colour
    text: str
    tail: str

    @property
    def area(self) -> float:
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


class _Pen:
    """Draws marks on a picture in a font; line widths follow the font's size."""

    def __init__(self, picture: Image.Image, font: ImageFont.FreeTypeFont) -> None:
        self.font = font
        self._size = picture.size
        self._draw = ImageDraw.Draw(picture)
        self._line = max(2, round(font.size / 8))

    def fit(self, box: Sequence[float]) -> _Corners:
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

    def place(self, texts: Sequence[str], marks: Sequence[_Mark]) -> tuple[list[_Corners], float, float]:
        """Finds a plate for each text at its box, in the picture, with as little overlap as can be.

        Returns:
            The plates, the share of their area that overlaps others, and the share of the picture that they cover.
        """
        width, height = self._size
        pad = round(self.font.size * 0.28)
        tall = round(self.font.size * 1.42)
        plates: list[_Corners] = []
        overlap = 0.0
        for text, mark in zip(texts, marks, strict=True):
            wide = min(self.font.getlength(text) + 2 * pad, float(width))
            x0, y0, x1, y1 = mark.box
            best, best_cost = (0.0, 0.0, wide, float(tall)), float("inf")
            above_and_below = ((x0, y0 - tall), (x1 - wide, y0 - tall), (x0, y1), (x1 - wide, y1))
            beside = ((x1, y0), (x0 - wide, y0))
            inside = ((x0, y0), (x1 - wide, y0), (x0, y1 - tall), (x1 - wide, y1 - tall))
            for order, (x, y) in enumerate(above_and_below + beside + inside):
                x, y = min(max(x, 0.0), width - wide), min(max(y, 0.0), float(height - tall))
                plate = (x, y, x + wide, y + tall)
                cost = sum(_common(plate, other) for other in plates) + 0.01 * order
                if cost < best_cost:
                    best, best_cost = plate, cost
            overlap += max(0.0, best_cost - 0.1)
            plates.append(best)
        area = sum((p[2] - p[0]) * (p[3] - p[1]) for p in plates)
        return plates, overlap / area, area / (width * height)

    def write(self, texts: Sequence[str], plates: Sequence[_Corners], marks: Sequence[_Mark]) -> None:
        """The texts on plates in their marks' colours."""
        for text, plate, mark in zip(texts, plates, marks, strict=True):
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


def _common(a: Sequence[float], b: Sequence[float]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _on(colour: Colour) -> Colour:
    """Black or white, whichever can be read on the colour."""
    return (0, 0, 0) if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140 else (255, 255, 255)
