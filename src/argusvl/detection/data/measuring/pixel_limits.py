"""How large images should reach the model, by what is in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from argusvl.core.errors import ImageError
from argusvl.detection.data.measuring.survey import Shape
from argusvl.detection.data.patches import PATCH, TOKEN_AREA
from argusvl.detection.data.resize import plan_resize

_MIN_PIXELS = 4 * TOKEN_AREA
_LEAST_TOKENS = 64
_USUAL_TOKENS = 400  # of an image, 640×480 whole: what two cores train in an hour
_MOST_TOKENS = 768  # what they can bear
_SMALL_PX = 16.0  # objects not much larger than a patch are hardly found
_ROOM = 1.2  # more patches than objects: an image need not have the best ratio of sides


@dataclass(frozen=True, slots=True)
class PixelChoice:
    """Pixel limits, and why each is what it is."""

    min_pixels: int
    max_pixels: int
    why_min: str
    why_max: str

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest area."""
        return self.min_pixels, self.max_pixels


def choose_pixel_limits(
    images: Sequence[Shape], small_side: float, limits: tuple[int, int] | None = None
) -> PixelChoice:
    """The manifest's limits, or limits by the images' and the objects' sizes.

    Args:
        images: At least one.
        small_side: The side that nine of ten objects exceed, over their image's, as by :func:`small_side`.
        limits: Of the manifest, where images have been resized already.
    """
    if limits is not None:
        low, high = limits
        why_low, why_high = "of the manifest", f"of the manifest; {high // TOKEN_AREA} merged tokens"
    else:
        low, why_low = _MIN_PIXELS, "16 patches: smaller images are enlarged"
        median = int(np.median([one.width * one.height for one in images]))
        high, why_high = _max_pixels(median, small_side)
    crowded = [one for one in images if one.objects > _patches(one, low, high)]
    if crowded:
        most = max(crowded, key=lambda one: one.objects)
        low = _up_to_tokens(_ROOM * PATCH * PATCH * most.objects)
        why_low = (
            f"{most.objects} objects in {most.name} need as many patches to be proposed from: it is enlarged"
        )
        if high < 2 * low:
            high, why_high = 2 * low, "twice min_pixels, so that an image of any ratio finds a size"
    return PixelChoice(low, high, why_low, why_high)


def _max_pixels(median: int, side: float) -> tuple[int, str]:
    area = _up_to_tokens(median)
    usual = max(min(area, _USUAL_TOKENS * TOKEN_AREA), _LEAST_TOKENS * TOKEN_AREA)
    if side * usual**0.5 >= _SMALL_PX or usual >= area:
        why = "as large as half of the images" if usual == area else "what small machines train in an hour"
        if usual > area:
            why = "half of the images are smaller"
        small = f"a tenth of the objects has sides below {side * usual**0.5:.0f} pixels then"
        return usual, f"{usual // TOKEN_AREA} merged tokens, {why}; {small}"
    chosen = min(area, _MOST_TOKENS * TOKEN_AREA, _up_to_tokens((_SMALL_PX / side) ** 2))
    return chosen, (
        f"{chosen // TOKEN_AREA} merged tokens, more than the usual {_USUAL_TOKENS}: a tenth of the objects would have "
        f"sides below {side * usual**0.5:.0f} pixels, and has sides below {side * chosen**0.5:.0f} so"
    )


def _patches(shape: Shape, low: int, high: int) -> int:
    """Patches of an image on the grid; as many as wanted where it has no size there, which is told by reading it."""
    try:
        plan = plan_resize(shape.width, shape.height, low, high)
    except ImageError:
        return shape.objects
    return (plan.resized_width // PATCH) * (plan.resized_height // PATCH)


def _up_to_tokens(area: float) -> int:
    return math.ceil(area / TOKEN_AREA) * TOKEN_AREA
