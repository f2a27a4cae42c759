"""The one place where images are resized to the network's grid, and where boxes go there and come back.

The network sees images whose sides are multiples of 28 pixels (a 14-pixel patch, merged two by two) and whose area
lies within the configured limits. The size is that of transformers' ``smart_resize``, so that it is what the stock
processor would choose. It keeps the ratio only nearly: x and y scale apart, and so do the boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from argusvl.core.errors import DataError, ImageError
from argusvl.detection.data.patches import TOKEN_AREA, TOKEN_SIDE

MAX_ASPECT_RATIO = 200
"""``smart_resize`` refuses longer images."""

Box = tuple[float, float, float, float]
"""``(x1, y1, x2, y2)``, pixels."""


@dataclass(frozen=True, slots=True)
class ResizePlan:
    """From an image's own pixels to those that the network sees (sides that are multiples of the grid), and back.

    Boxes are ``xyxy`` in pixels, and edges rather than pixel indices: the right edge of an image ``width`` wide is
    ``width``. Both directions are computed in double precision; there and back differs by rounding only (≤ 1e-6 px).
    """

    width: int
    height: int
    resized_width: int
    resized_height: int

    @property
    def size(self) -> tuple[int, int]:
        """Original ``(width, height)``, pixels."""
        return self.width, self.height

    @property
    def resized_size(self) -> tuple[int, int]:
        """Resized ``(width, height)``, pixels."""
        return self.resized_width, self.resized_height

    @property
    def is_identity(self) -> bool:
        """Whether the image is on the grid and within the limits already."""
        return self.size == self.resized_size

    @property
    def vision_tokens(self) -> int:
        """Merged vision tokens of the resized image: ``t·h·w / merge²`` with ``t = 1``."""
        return (self.resized_width // TOKEN_SIDE) * (self.resized_height // TOKEN_SIDE)

    def box_to_resized(self, box: Sequence[float]) -> Box:
        """One box from the original's pixels to the resized image's."""
        # Multiplied first and divided then: whole numbers on the image's border land exactly on its resized border.
        x1, y1, x2, y2 = (float(v) for v in box)
        return (
            x1 * self.resized_width / self.width,
            y1 * self.resized_height / self.height,
            x2 * self.resized_width / self.width,
            y2 * self.resized_height / self.height,
        )

    def boxes_to_original(self, boxes: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
        """Boxes ``[N, 4]`` from the resized image's pixels to the original's, ``float64 [N, 4]``."""
        values = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        return np.asarray(values * (*self.size, *self.size) / (*self.resized_size, *self.resized_size))


def plan_resize(
    width: int, height: int, min_pixels: int, max_pixels: int, *, where: object | None = None
) -> ResizePlan:
    """The size that the network sees an image in, whose area (pixels) the limits bound; errors name ``where``.

    Applied to an image of the planned size it gives that size again: an image is never resized twice.

    Raises:
        DataError: The limits contradict each other.
        ImageError: The image is longer than 200 : 1, or no size on the grid near its ratio lies within the limits.
    """
    check_limits(min_pixels, max_pixels)
    if width < 1 or height < 1:
        remedy = "remove the image: it shows nothing"
        text = f"the size is {width}×{height}"
        raise ImageError(text, where=where, remedy=remedy, slug="unresizable-image")
    ratio = max(width, height) / min(width, height)
    if ratio > MAX_ASPECT_RATIO:
        raise ImageError(
            f"the image of {width}×{height} is {ratio:.0f} times as long as wide; the limit is {MAX_ASPECT_RATIO}",
            where=where,
            remedy="cut the image into shorter pieces, or remove it",
            slug="unresizable-image",
        )
    resized_height, resized_width = _smart_resize(height, width, min_pixels, max_pixels)
    area = resized_height * resized_width
    if not min_pixels <= area <= max_pixels:
        # Such a size would be changed again by the next resize: boxes and pixels would drift apart.
        raise ImageError(
            f"the image of {width}×{height} would become {resized_width}×{resized_height} = {area} pixels, outside "
            f"the limits of {min_pixels} to {max_pixels}: they leave no size with sides that are multiples of "
            f"{TOKEN_SIDE}",
            where=where,
            remedy="lower min_pixels" if area < min_pixels else "raise max_pixels",
            slug="unresizable-image",
        )
    return ResizePlan(width, height, resized_width, resized_height)


def check_limits(min_pixels: int, max_pixels: int) -> None:
    """Refuses pixel limits that no image can meet.

    Raises:
        DataError: Names the limit to change.
    """
    if min_pixels < 1:
        raise DataError(f"min_pixels is {min_pixels}", remedy="give a positive number of pixels")
    if max_pixels < TOKEN_AREA:
        raise DataError(
            f"max_pixels is {max_pixels}, less than one vision token",
            remedy=f"give at least {TOKEN_AREA}",
        )
    if min_pixels > max_pixels:
        raise DataError(
            f"min_pixels {min_pixels} is more than max_pixels {max_pixels}",
            remedy="lower min_pixels or raise max_pixels",
        )


def resize_image(image: Image.Image, plan: ResizePlan) -> Image.Image:
    """The image as the network sees it (bicubic, as the stock processor resizes); unchanged when it fits already.

    Raises:
        ImageError: The plan was made for another size.
    """
    if image.size != plan.size:
        raise ImageError(
            f"expected an image of {plan.width}×{plan.height}, got {image.width}×{image.height}",
            remedy="plan the resize from the size of the decoded image",
        )
    if plan.is_identity:
        return image
    return image.resize(plan.resized_size, Image.Resampling.BICUBIC)


def _smart_resize(height: int, width: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """``(height, width)`` by the steps of transformers' ``smart_resize``, to whose results a test holds it.

    Written out, since importing theirs brings torch along: seconds that a conversion would wait for a few divisions.
    """
    factor = TOKEN_SIDE
    resized_height = round(height / factor) * factor
    resized_width = round(width / factor) * factor
    if resized_height * resized_width > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        resized_height = max(factor, math.floor(height / shrink / factor) * factor)
        resized_width = max(factor, math.floor(width / shrink / factor) * factor)
    elif resized_height * resized_width < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        resized_height = math.ceil(height * grow / factor) * factor
        resized_width = math.ceil(width * grow / factor) * factor
    return resized_height, resized_width
