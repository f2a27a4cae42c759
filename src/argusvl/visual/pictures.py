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


def png(image: Image.Image) -> bytes:
    """A picture as PNG."""
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def jpeg_uri(jpeg: bytes) -> str:
    """A JPEG as a ``data:`` URI."""
    return data_uri("image/jpeg", jpeg)


def data_uri(kind: str, content: bytes) -> str:
    """The content of a file of a kind, such as ``image/png``, as a ``data:`` URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
