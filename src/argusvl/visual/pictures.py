"""Pictures made small enough to travel inside a page."""

from __future__ import annotations

import base64
import io

from PIL import Image

_IMAGE_SIDE_PX = 720  # larger images are reduced: the page is looked at, not measured
_JPEG_QUALITY = 84


def reduced_jpeg(image: Image.Image, most: int = _IMAGE_SIDE_PX) -> bytes:
    """A picture as it travels inside a page: JPEG, no side longer than a page shows (``most``, pixels)."""
    picture = image.convert("RGB")
    picture.thumbnail((most, most), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return encoded.getvalue()


def jpeg_uri(jpeg: bytes) -> str:
    """A JPEG as a ``data:`` URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
