"""The date and time that an inspector's camera writes over a picture."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from PIL import Image, ImageDraw, ImageFont

from argusvl.synthetic.canvas import Colour

_INKS: tuple[Colour, ...] = ((255, 255, 255), (255, 226, 92), (255, 150, 60))
_FORMS = ("%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y  %H:%M", "%Y-%m-%d %H:%M  BBU-{room}")
_FIRST = datetime(2019, 1, 1)
_SHARE = 0.35


@dataclass(frozen=True, slots=True)
class Stamp:
    """One line in a corner of the picture (0 or 1 across, 0 or 1 down), and the size of its letters in pixels."""

    text: str
    corner: tuple[int, int]
    size_px: int
    ink: Colour


def random_stamp(rng: Random, unit: float) -> Stamp | None:
    """A stamp, or none, as most pictures have; ``unit`` is the picture's size over that of 448 × 336."""
    when = _FIRST + timedelta(minutes=rng.randrange(7 * 365 * 24 * 60))
    text = when.strftime(rng.choice(_FORMS)).format(room=rng.randrange(1, 400))
    corner = (rng.choice((0, 1, 1)), rng.choice((0, 1, 1)))
    stamp = Stamp(text, corner, max(round(rng.uniform(10, 15) * unit), 6), rng.choice(_INKS))
    return stamp if rng.random() < _SHARE else None


def apply_stamp(image: Image.Image, stamp: Stamp) -> Image.Image:
    """The picture with the line over it, edged so that it can be read on any ground. Nothing below moves."""
    image = image.copy()
    pen = ImageDraw.Draw(image)
    # Pillow's own font: the same bytes on every machine.
    font = ImageFont.load_default(stamp.size_px)
    margin = 0.6 * stamp.size_px
    across, down = stamp.corner
    place = (image.width - margin if across else margin, image.height - margin if down else margin)
    anchor = ("r" if across else "l") + ("b" if down else "t")
    pen.text(place, stamp.text, stamp.ink, font, anchor, stroke_width=1, stroke_fill=(30, 30, 30))
    return image
