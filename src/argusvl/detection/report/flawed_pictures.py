"""Pictures with what is wrong with them, drawn as SVG over their reduced JPEGs.

A picture is drawn in the pixels of the stored image, so that a box that reaches outside of it is seen outside of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jinja2 import Environment
from markupsafe import Markup
from PIL import Image

from argus_doctor.findings import Severity
from argusvl.visual.pictures import jpeg_uri, reduced_jpeg

MAX_BYTES = 5_000_000
"""Of all pictures together, as JPEG: the page can still be sent by mail."""

Box = tuple[float, float, float, float]

_OUTSIDE = 0.2  # how far outside the picture is shown, over its longer side
_RING = 0.035  # radius of the ring about a box that is too small to be seen, over the picture's longer side


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong with a picture.

    Attributes:
        kind: Its kind's name.
        severity: How bad.
        text: What is wrong, with the numbers.
        box_xyxy_px: As it was found, in any order of its corners; ``None`` where it is the whole picture, or no box.
    """

    kind: str
    severity: Severity
    text: str
    box_xyxy_px: Box | None = None


@dataclass(frozen=True, slots=True)
class FlawedPicture:
    """A picture with what is wrong with it, worst first, and the boxes and labels of its other objects.

    Attributes:
        image: The picture; it may be reduced already.
        size: ``(width, height)`` of the stored image; boxes are in its pixels.
        where: ``file:line`` of its annotation.
        more_flaws: How many more things are wrong with it than are named.
    """

    image: Image.Image
    size: tuple[int, int]
    name: str
    where: str
    flaws: Sequence[Flaw]
    others: Sequence[tuple[Box, str]] = ()
    more_flaws: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """A flawed picture, ready for the template: its drawing, and that one's width over its height."""

    picture: FlawedPicture
    svg: Markup
    ratio: float

    @property
    def kinds(self) -> list[str]:
        """Of what is wrong with it, each once."""
        return list(dict.fromkeys(flaw.kind for flaw in self.picture.flaws))


@dataclass(frozen=True, slots=True)
class _Shape:
    """A box as it is drawn: its corners in order, and the centre of a ring where it would hardly be seen."""

    corners: Box
    ring: tuple[float, float] | None
    severity: str
    flaw: int | None
    label: str


def draw_samples(pictures: Iterable[FlawedPicture], environment: Environment) -> list[Sample]:
    """As many of the pictures as a page can carry, drawn; bad boxes over good ones."""
    template = environment.get_template("sample.svg.jinja")
    samples: list[Sample] = []
    room = MAX_BYTES
    for picture in pictures:
        jpeg = reduced_jpeg(picture.image)
        room -= len(jpeg)
        if room < 0 and samples:
            break
        view = _view(picture)
        shapes = [_shape(box, view, picture, "fine", None, label) for box, label in picture.others]
        shapes += [
            _shape(flaw.box_xyxy_px, view, picture, flaw.severity, number, flaw.text)
            for number, flaw in enumerate(picture.flaws)
            if flaw.box_xyxy_px is not None
        ]
        drawn = template.render(
            uri=jpeg_uri(jpeg), picture=picture, view=view, shapes=shapes, radius=_RING * max(picture.size)
        )
        samples.append(Sample(picture, Markup(drawn), view[2] / view[3]))
    return samples


def _view(picture: FlawedPicture) -> Box:
    """What is shown, ``(left, top, width, height)``: the picture, and around it as much as its boxes reach."""
    width, height = picture.size
    reach = _OUTSIDE * max(width, height)
    boxes = [flaw.box_xyxy_px for flaw in picture.flaws if flaw.box_xyxy_px is not None]
    xs = [v for box in boxes for v in (box[0], box[2])]
    ys = [v for box in boxes for v in (box[1], box[3])]
    left, right = max(min([0.0, *xs]), -reach), min(max([float(width), *xs]), width + reach)
    top, bottom = max(min([0.0, *ys]), -reach), min(max([float(height), *ys]), height + reach)
    return left, top, right - left, bottom - top


def _shape(
    box: Box, view: Box, picture: FlawedPicture, severity: str, flaw: int | None, label: str
) -> _Shape:
    """A flaw's box that is small, next to a line, or outside of what is shown gets a ring, wholly inside."""
    # Renderers lose their way with coordinates of many digits; far outside is outside.
    far = 4 * max(picture.size)
    left, right = (min(max(x, -far), far) for x in sorted((box[0], box[2])))
    top, bottom = (min(max(y, -far), far) for y in sorted((box[1], box[3])))
    radius, ring = _RING * max(picture.size), None
    x, y, width, height = view
    sides = right - left, bottom - top
    across, down = min(right, x + width) - max(left, x), min(bottom, y + height) - max(top, y)
    hardly_seen = max(sides) < radius or min(sides) < radius / 6 or min(across, down) < 0
    if flaw is not None and hardly_seen:
        ring = (
            min(max((left + right) / 2, x + radius), max(x + width - radius, x)),
            min(max((top + bottom) / 2, y + radius), max(y + height - radius, y)),
        )
    return _Shape((left, top, right, bottom), ring, severity, flaw, label)


def drawable(box: Sequence[float | str] | None) -> Box | None:
    """A box of four finite numbers, or nothing."""
    if box is None or len(box) != 4:
        return None
    numbers = [v for v in box if isinstance(v, int | float) and math.isfinite(v)]
    return (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 else None
