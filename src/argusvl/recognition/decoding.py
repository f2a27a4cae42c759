"""From a file's bytes to an upright RGB picture, in one of two lanes.

``exact`` decodes every pixel. ``scaled`` lets the JPEG decoder give a picture of a half, a quarter or an eighth of the
size, as small as the backbone's own resizing allows: frequencies that resizing would throw away are never turned into
pixels. Only JPEG can do that; every other format, and a JPEG in CMYK, goes the exact way in both lanes. A file that is
damaged in one lane is damaged in the other, and the message is the same.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Literal

import PIL
from PIL import Image, features

from argusvl.core.images import ImageHeader, open_image, open_reduced, read_header, turn_upright

try:
    import simplejpeg
except ImportError:  # an extra: Pillow does the same, in more time
    simplejpeg = None

Lane = Literal["exact", "scaled"]

_FACTORS = (8, 4, 2)
"""By which a JPEG's sides may be divided; the fractions between them are slower to decode than the whole picture."""


def decode_bytes(data: bytes, where: str | Path, lane: Lane, side_px: int) -> Image.Image:
    """Decodes a file's bytes as upright RGB.

    In the scaled lane, the shorter side of the picture has ``side_px`` at least, where the file has it; the exact lane
    takes no notice of it.

    Raises:
        ImageError: The bytes are empty, no image, damaged or truncated, or claim too many pixels.
    """
    if lane == "exact":
        return open_image(where, exif="upright", data=data)
    header = read_header(data, where=where)
    factor = _factor(header, side_px)
    if factor == 1:
        return open_image(where, exif="upright", data=data)
    picture = None if simplejpeg is None else _by_simplejpeg(data, header, factor)
    if picture is None:
        # Pillow's draft takes the same factor, since it too wants both sides to be at least as long.
        picture = open_reduced(where, min(header.size) // factor, data=data).picture
    return picture


def is_scaled(data: bytes, where: str | Path, side_px: int) -> bool:
    """Whether the scaled lane gives other pixels of a file than the exact one.

    Raises:
        ImageError: As for :func:`decode_bytes`, by the header alone.
    """
    return _factor(read_header(data, where=where), side_px) > 1


def decoder_versions(lane: Lane) -> dict[str, str]:
    """Library → version of those that decide the pixels of a lane; where simplejpeg decodes, it is among them."""
    versions = {"pillow": PIL.__version__, "libjpeg-turbo": features.version("libjpeg_turbo") or "unknown"}
    if lane == "scaled" and simplejpeg is not None:
        versions["simplejpeg"] = metadata.version("simplejpeg")
    return versions


def _factor(header: ImageHeader, side_px: int) -> int:
    """The largest one that leaves the shorter side ``side_px``, or 1 where the exact way is to be gone."""
    if header.format != "JPEG" or header.mode not in ("RGB", "L"):
        return 1
    return next((factor for factor in _FACTORS if min(header.size) // factor >= side_px), 1)


def _by_simplejpeg(data: bytes, header: ImageHeader, factor: int) -> Image.Image | None:
    """The picture, or ``None`` where the decoder objects: what an objection is worth, Pillow says in both lanes."""
    width, height = header.size
    try:
        pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_height=-(-height // factor), min_width=-(-width // factor)
        )
    except ValueError:
        return None
    return turn_upright(Image.fromarray(pixels), header.orientation)
