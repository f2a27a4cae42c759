"""Opening images so that what comes back is whole, upright as agreed, and RGB.

Every image that Argus reads is opened here, and only where its content is one of a few formats: Pillow knows some
forty, and starts another program for one of them. The header's size is checked before a single pixel is decoded (a
small file can claim gigapixels), then everything is decoded, so that a truncated file is an error here and not grey
rows in training.
"""

from __future__ import annotations

import errno
import hashlib
import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from argusvl.core.errors import DamagedImageError, DataError, ImageError, ImageTooLargeError
from argusvl.core.files import cannot_read, link_to_nothing, open_file, read_bytes

FORMATS = {
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".jfif": "JPEG",
    ".jpe": "JPEG",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".png": "PNG",
    ".ppm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""Lower-case ending of an image's name → format, as Pillow names it. No other format is opened, whatever the name."""

IMAGE_SUFFIXES = frozenset(FORMATS)
"""What counts as an image in a folder."""

MAX_FILE_BYTES = 1 << 30
"""Larger files are refused unread: no picture within the limit of megapixels is as large."""

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors that say nothing about the file: this process has too many open, or no memory."""

_DEPTHS = (8, 10, 12, 14, 16)
"""Of cameras' values, bits. A file of 16 bits does not say how many of them its camera filled."""

ExifPolicy = Literal["refuse", "upright", "ignore"]
"""What to do with an EXIF orientation other than 1: an error, turn the pixels, or take them as stored."""

UPRIGHT = 1
"""The EXIF orientation of an image whose pixels are stored as they are to be seen."""

_Turn = Image.Transpose
_ORIENTATIONS: dict[int, tuple[str, Image.Transpose]] = {
    2: ("mirrored", _Turn.FLIP_LEFT_RIGHT),
    3: ("upside down", _Turn.ROTATE_180),
    4: ("upside down and mirrored", _Turn.FLIP_TOP_BOTTOM),
    5: ("lying on their side and mirrored", _Turn.TRANSPOSE),
    6: ("lying on their side", _Turn.ROTATE_270),
    7: ("lying on their side and mirrored", _Turn.TRANSVERSE),
    8: ("lying on their side", _Turn.ROTATE_90),
}
"""How the pixels are stored under each EXIF orientation but 1, and what turns them upright."""


def open_image(
    path: str | Path, *, exif: ExifPolicy, max_megapixels: float = 64.0, data: bytes | None = None
) -> Image.Image:
    """Opens, verifies and fully decodes an image as RGB.

    Transparent pixels are laid over white; 16-bit grey is scaled to 8 bits from as few of 8, 10, 12, 14 or 16 as hold
    its values (cameras of 12 bits write files of 16); CMYK and palettes are converted.
    Of an animation the first frame is taken. The result has no EXIF tag and does not need the file any more.

    Args:
        path: The image file.
        exif: What to do where the EXIF orientation is not 1.
        max_megapixels: The largest size accepted, in millions of pixels, by the header. A limit against
            decompression bombs, not a hyper-parameter.
        data: The file's bytes where they were read already; the file itself is only named in errors then.

    Raises:
        ImageError: The file is missing, empty, no image, damaged or truncated, too large, or turned by its
            EXIF tag while ``exif`` is ``"refuse"``.
    """
    file = Path(path)
    with _open_header(file, data) as image:
        _check_size(image, file, max_megapixels)
        return _decode(image, file, exif)


@dataclass(frozen=True, slots=True)
class ReducedImage:
    """An image of which all data was read, kept small.

    Attributes:
        size: ``(width, height)`` of the stored pixels.
        orientation: EXIF orientation, 1 (upright) to 8.
        picture: RGB, turned upright, its sides at least as long as asked for and perhaps as in the file.
        digest: Of the file's bytes.
    """

    size: tuple[int, int]
    orientation: int
    picture: Image.Image
    digest: bytes


def open_reduced(
    path: str | Path, side_px: int, *, max_megapixels: float = 64.0, data: bytes | None = None
) -> ReducedImage:
    """Reads an image to its end, as :func:`open_image` does, but builds only a small picture of it.

    Either side of it has at least ``side_px``, where the image has so many.

    A JPEG's data are all read, so that damage is found, but only so many of its frequencies are turned into pixels as
    the small picture needs: less than half the time of decoding it whole.

    Raises:
        ImageError: The file is missing, empty, no image, damaged or truncated, or too large.
    """
    file = Path(path)
    data = read_image_file(file) if data is None else data
    with _open_header(file, data) as image:
        _check_size(image, file, max_megapixels)
        size, orientation = image.size, _orientation(image)
        image.draft("RGB", (side_px, side_px))
        picture = _decode(image, file, "upright")
    return ReducedImage(size, orientation, picture, hashlib.blake2b(data, digest_size=16).digest())


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image says of itself before a pixel is decoded.

    Attributes:
        format: As Pillow names it, by the content and not by the file's name: ``JPEG``, ``PNG``…
        mode: As Pillow names it: ``RGB``, ``L``, ``CMYK``…
        size: ``(width, height)`` of the stored pixels.
        orientation: EXIF orientation, 1 (upright) to 8.
        deep: Whether its values have more than 8 bits.
        animated: Whether it has several frames.
    """

    format: str
    mode: str
    size: tuple[int, int]
    orientation: int
    deep: bool
    animated: bool

    def converted(self, name: str | Path) -> str | None:
        """What :func:`open_image` changes besides the size and the direction, and a misleading suffix; or nothing."""
        suffix = Path(name).suffix.lower()
        found = []
        if FORMATS.get(suffix, self.format) != self.format:
            found.append(f"{'an' if self.format[:1] in 'AEIMO' else 'a'} {self.format} named {suffix}")
        if self.mode == "CMYK":
            found.append("CMYK, converted to RGB")
        if self.deep:
            found.append("more than 8 bits, scaled to 8")
        if self.animated:
            found.append("animated, the first frame taken")
        return "; ".join(found) or None


def read_image_file(path: str | Path) -> bytes:
    """All bytes of an image file.

    Raises:
        ImageError: It cannot be read; the reason names no folder, so that it is the same everywhere.
        DataError: This process cannot read any file at the moment.
    """
    try:
        return read_bytes(path, most_bytes=MAX_FILE_BYTES)
    except OSError as error:
        raise _cannot_open(path, error) from None


def read_header(data: bytes, *, where: str | Path, max_megapixels: float = 64.0) -> ImageHeader:
    """The header of an image whose bytes were read already.

    Raises:
        ImageError: The bytes are none, no image, or claim too many pixels.
    """
    file = Path(where)
    with _open_header(file, data) as image:
        _check_size(image, file, max_megapixels)
        kind = "JPEG" if image.format == "MPO" else image.format or ""  # what many cameras call a JPEG
        deep = image.mode.startswith(("I", "F")) or (kind == "PNG" and data[24:25] == b"\x10")
        return ImageHeader(
            kind, image.mode, image.size, _orientation(image), deep, kind != "JPEG" and _animated(image)
        )


def _animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except (OSError, SyntaxError, ValueError, EOFError, IndexError):
        return False  # that it is damaged is said when it is decoded


def turn_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Pixels as stored under an EXIF orientation of 1 to 8 → as they are to be seen."""
    return picture if orientation == UPRIGHT else picture.transpose(_ORIENTATIONS[orientation][1])


def open_upright(image: str | Path | Image.Image) -> tuple[Image.Image, str]:
    """An image, RGB and upright, and what its user should know of that; a Pillow image is not changed.

    Returns:
        The image without an EXIF tag, and ``turned upright (EXIF 6)`` where it was turned.

    Raises:
        ImageError: It cannot be read.
        DataError: It is something else.
    """
    if isinstance(image, Image.Image):
        where = getattr(image, "filename", "") or "an image"
        opened, orientation = _decode(image, where, "upright"), _orientation(image)
    elif isinstance(image, str | Path):
        data = read_image_file(image)
        opened, orientation = open_image(image, exif="upright", data=data), exif_orientation(image, data)
    else:
        raise DataError(
            f"expected a path or a Pillow image, got {type(image).__name__}",
            remedy="open arrays by PIL.Image.fromarray",
        )
    return opened, "" if orientation == UPRIGHT else f"turned upright (EXIF {orientation})"


def exif_orientation(path: str | Path, data: bytes | None = None) -> int:
    """EXIF orientation from the header: 1 (upright, also where there is no tag) to 8.

    Raises:
        ImageError: The file is missing, empty or no image.
    """
    with _open_header(Path(path), data) as image:
        return _orientation(image)


def image_size(path: str | Path, *, exif: Literal["refuse", "ignore"] = "ignore") -> tuple[int, int]:
    """``(width, height)`` of the stored pixels, from the header alone.

    Raises:
        ImageError: The file is missing, empty, no image, or turned by its EXIF tag while ``exif`` is ``"refuse"``.
    """
    with _open_header(Path(path)) as image:
        if exif == "refuse":
            _refuse_turned(_orientation(image), path)
        return image.size


def _decode(image: Image.Image, where: object, exif: ExifPolicy) -> Image.Image:
    orientation = _orientation(image)
    if exif == "refuse":
        _refuse_turned(orientation, where)
    try:
        image.load()
        rgb = _to_rgb(image)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        raise _damaged(error, where) from error
    if exif == "upright":
        rgb = turn_upright(rgb, orientation)
    rgb.info.clear()
    return rgb


def _refuse_turned(orientation: int, where: object) -> None:
    if orientation != UPRIGHT:
        raise ImageError(
            f"EXIF orientation is {orientation}: the pixels are stored {_ORIENTATIONS[orientation][0]}, "
            "and boxes drawn on the displayed picture would not fit them",
            where=where,
            remedy="run `argus data convert`, which turns the pixels upright and drops the tag",
            slug="exif-orientation",
        )


@contextmanager
def _open_header(file: Path, data: bytes | None = None) -> Iterator[Image.Image]:
    """The header of a file, or of its bytes where they were read already; no pixel is decoded yet."""
    try:
        stream: BinaryIO = open_file(file) if data is None else io.BytesIO(data)
    except OSError as error:
        raise _cannot_open(file, error) from None
    with stream, _identified(stream, file) as image:
        yield image


def _cannot_open(file: str | Path, error: OSError) -> DataError:
    if error.errno in _OURS:
        return DataError(
            f"cannot be opened: {error.strerror}",
            where=file,
            remedy="raise the limit (ulimit -n) or use fewer --workers, and give the same command again",
        )
    if error.errno == errno.ENOENT:
        what = link_to_nothing(file) or "no such image file"
        return ImageError(what, where=file, remedy="check the path", slug="missing-image")
    if error.errno == errno.EISDIR:
        return ImageError("a folder, not an image file", where=file, remedy="name a file in it")
    return cannot_read(file, error, ImageError)


def _identified(stream: BinaryIO, file: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns of large headers by its own limit; ours is checked by the caller, with our message.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(stream, formats=_readable_formats())
    except Image.DecompressionBombError:
        # Pillow refuses from about 179 megapixels on, before it returns the size that was found.
        raise ImageTooLargeError(
            "the header claims more than 178 million pixels; nothing was decoded",
            where=file,
            remedy="scale the image down if it is real, remove the file if it is not",
        ) from None
    except UnidentifiedImageError:
        stream.seek(0)
        raise _no_image(stream.read(16), file) from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise _cannot_open(file, error) from None  # the disk's, not Pillow's
        raise _damaged(error, file) from error


def _damaged(reason: object, where: object) -> DamagedImageError:
    remedy = "copy the file again from its source, or remove it"
    return DamagedImageError(f"damaged or truncated: {reason}", where=where, remedy=remedy)


@cache
def _readable_formats() -> tuple[str, ...]:
    """Our formats, as far as this Pillow has them."""
    Image.init()
    return tuple(name for name in sorted(set(FORMATS.values())) if name in Image.OPEN)


def _no_image(beginning: bytes, file: Path) -> ImageError:
    if not beginning:
        return ImageError("the file is empty (0 bytes)", where=file, remedy="copy it again or remove it")
    if begun := next((name for name in _readable_formats() if _fits(beginning, name)), None):
        return _damaged(f"it begins as {begun} does, but its header cannot be read", file)
    found = next(
        (name for name in Image.OPEN if name not in _readable_formats() and _fits(beginning, name)), None
    )
    if found is None:
        what = f"not an image: it begins with {beginning[:12]!r}"
        return ImageError(what, where=file, remedy=f"use {_listed_formats()}, or remove the file")
    what = f"its format is {found}, not {_listed_formats()}"
    return ImageError(what, where=file, remedy="convert it to one of these, or remove the file")


def _fits(beginning: bytes, name: str) -> bool:
    """Whether the first bytes are those of a format; nothing is decoded for that."""
    accepts = Image.OPEN[name][1]
    try:
        return accepts is not None and accepts(beginning) is True
    except (IndexError, TypeError, struct.error):  # too short for what it looks for
        return False


def _listed_formats() -> str:
    *others, last = sorted(set(FORMATS.values()))
    return f"{', '.join(others)} or {last}"


def _check_size(image: Image.Image, file: Path, max_megapixels: float) -> None:
    width, height = image.size
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        image.close()
        raise ImageTooLargeError(
            f"{width}×{height} is {megapixels:.0f} megapixels, more than the limit of {max_megapixels:g}; "
            "nothing was decoded",
            where=file,
            remedy="scale the image down, or remove the file if it is not a real photograph",
        )


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    except (OSError, SyntaxError, ValueError, KeyError):  # a broken EXIF block says nothing about orientation
        return UPRIGHT
    return value if isinstance(value, int) and value in _ORIENTATIONS else UPRIGHT


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        # Pillow's own conversion cuts at 255, which turns nearly every 16-bit photograph white.
        values = np.asarray(image).astype(np.uint32)
        bits = next(depth for depth in _DEPTHS if values.max(initial=0) < 1 << depth)
        return Image.fromarray((values >> (bits - 8)).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return Image.fromarray(_stretch(np.asarray(image, dtype=np.float64))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        background = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(background, rgba).convert("RGB")
    return image.convert("RGB")


def _stretch(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Values without a fixed range (32-bit integers, floats) to 0-255 by their own minimum and maximum."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise ValueError("no pixel is a finite number")
    low, high = float(finite.min()), float(finite.max())
    if high == low:
        return np.zeros(values.shape, dtype=np.uint8)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / (high - low)
    stretched: NDArray[np.uint8] = np.round(scaled * 255).astype(np.uint8)
    return stretched
