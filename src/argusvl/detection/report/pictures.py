"""The gallery's pictures, made small enough to travel inside a page, worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from PIL import Image

from argusvl.core.errors import ImageError
from argusvl.core.images import open_image
from argusvl.detection.measure.pairing import (
    KINDS,
    LabelledBox,
    Pair,
    above,
    count_kinds,
    num_errors,
    pair_up,
)
from argusvl.visual.pictures import jpeg_uri, reduced_jpeg

MAX_PICTURES = 60
MAX_BYTES = 4_000_000
"""Of all pictures together, as JPEG: the page can still be sent by mail."""


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """Truth and prediction of one image, in its stored pixels.

    Attributes:
        image: A file, or the image itself.
        truth: What is there.
        predicted: What was found, also below the score from which it counts.
        caption: The picture's name, e.g. its file's.
        size: Its width and height when it was measured; ``None`` where that is not known.
    """

    image: Path | Image.Image
    truth: Sequence[LabelledBox]
    predicted: Sequence[LabelledBox]
    caption: str = ""
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A gallery item, ready for the template; boxes are in pixels of the stored image, ``width`` × ``height``.

    ``uri`` is the picture, reduced; ``predicted`` is all that was found, ``pairs`` what became of the objects at the
    score threshold.
    """

    name: str
    width: int
    height: int
    uri: str
    truth: Sequence[LabelledBox]
    predicted: Sequence[LabelledBox]
    pairs: Sequence[Pair]

    @property
    def tally(self) -> str:
        """``2 missed, 8 right``."""
        counts = count_kinds(self.pairs)
        return ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]) or "nothing to find"


def make_pictures(gallery: Sequence[GalleryItem], score_threshold: float) -> tuple[list[Picture], list[str]]:
    """The pictures with the most errors first, as many as fit into a page.

    Returns:
        The pictures, and why others could not be used: a data set may be gone when a report of it is written.
    """
    paired = [(item, pair_up(item.truth, above(item.predicted, score_threshold))) for item in gallery]
    paired.sort(key=lambda entry: -num_errors(entry[1]))
    pictures: list[Picture] = []
    unusable: list[str] = []
    room = MAX_BYTES
    for item, pairs in paired:
        if len(pictures) == MAX_PICTURES:
            break
        try:
            image = _open(item)
        except ImageError as error:
            unusable.append(str(error).splitlines()[0])
            continue
        jpeg = reduced_jpeg(image)
        room -= len(jpeg)
        if room < 0 and pictures:
            break
        uri = jpeg_uri(jpeg)
        pictures.append(Picture(item.caption, *image.size, uri, item.truth, item.predicted, pairs))
    return pictures, unusable


def _open(item: GalleryItem) -> Image.Image:
    """The picture that was measured: of another size than then, its boxes would lie elsewhere."""
    image = item.image if isinstance(item.image, Image.Image) else open_image(item.image, exif="ignore")
    if item.size and image.size != item.size:
        (width, height), (before, high) = image.size, item.size
        raise ImageError(
            f"is {width}×{height} now, and was {before}×{high} when it was measured", where=item.caption
        )
    return image


def gallery_data(pictures: Sequence[Picture], score_threshold: float) -> dict[str, Any]:
    """What ``templates/gallery.js`` works on, JSON-ready: every text once, boxes as rows of numbers.

    A truth is ``[x1, y1, x2, y2, text, class]``, a prediction has its score after that; text and class are indices.
    """
    texts: dict[str, int] = {}

    def row(box: LabelledBox) -> list[float]:
        corners = [round(v, 2) for v in box.box_xyxy_px]
        names = [texts.setdefault(text, len(texts)) for text in (box.label, box.counted_as)]
        return [*corners, *names, *([] if box.score is None else [round(box.score, 5)])]

    shown = [
        {
            "name": p.name,
            "width": p.width,
            "height": p.height,
            "truth": [row(b) for b in p.truth],
            "found": [row(b) for b in p.predicted],
        }
        for p in pictures
    ]
    scores = [b.score for p in pictures for b in p.predicted if b.score is not None]
    return {
        "threshold": score_threshold,
        "lowest": min([*scores, score_threshold]),
        "texts": list(texts),
        "pictures": shown,
    }


def source_of(environment: Environment, name: str) -> Markup:
    """A style sheet or a script of the templates, as it is."""
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])
