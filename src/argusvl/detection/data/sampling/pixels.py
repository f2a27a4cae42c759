"""Pixels → patches: what the vision tower reads, equal bit for bit to the stock image processor's output.

The stock ``Qwen2VLImageProcessorPil`` rescales and normalises every pixel in floating point and then copies
the patches into their order. A pixel has only 256 values a channel, so the floating-point part here is one look-up in a
table of 3 × 256 numbers (made by the stock arithmetic, hence the equality), and the reordering is done while the data
are still bytes, four times smaller.

Images come already resized: sides are multiples of ``TOKEN_SIDE`` (28), see ``detection/data/resize.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from argusvl.core.errors import ModelError
from argusvl.detection.data.patches import MERGE, PATCH, TOKEN_SIDE

TEMPORAL = 2
"""Frames in a patch; a still image is repeated."""
PATCH_VALUES = 3 * TEMPORAL * PATCH * PATCH
"""Numbers in a patch: 1,176."""

if TYPE_CHECKING:
    from torch import Tensor

Grid = tuple[int, int, int]
"""``(t, h, w)`` of one image in patches before the merge."""


def patch_grid(width: int, height: int) -> Grid:
    """Patches of an image of ``width`` × ``height`` pixels as ``(t, h, w)``.

    Raises:
        ModelError: A side is not a positive multiple of 28.
    """
    side = TOKEN_SIDE
    if width <= 0 or height <= 0 or width % side or height % side:
        raise ModelError(
            f"expected sides that are multiples of {side}, got {width}×{height} (width × height)",
            remedy="resize the image first (argusvl.detection.data.resize)",
        )
    return 1, height // PATCH, width // PATCH


def num_patches(grid: Sequence[int]) -> int:
    """Rows of ``pixel_values`` that an image of this grid takes."""
    t, h, w = grid
    return int(t) * int(h) * int(w)


def num_placeholders(grid: Sequence[int]) -> int:
    """Image tokens in the text, ``t·h·w / merge²``: one for each merged vision token."""
    return num_patches(grid) // (MERGE * MERGE)


@cache
def _lookup() -> np.ndarray:
    """``float32 [3, 256]``: channel and byte → normalised value, by the stock processor's own steps."""
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    levels = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
    mean = np.array(OPENAI_CLIP_MEAN, dtype=np.float32)[:, None]
    std = np.array(OPENAI_CLIP_STD, dtype=np.float32)[:, None]
    return (levels[None] - mean) / std


def _write_patches(pixels: np.ndarray, grid: Grid, out: np.ndarray) -> None:
    """Writes one image's patches into ``out`` (``float32 [P, 1176]``, contiguous rows of a batch's array)."""
    _, h, w = grid
    # Rows of patches in 2×2 merge blocks: (h/2, w/2, 2, 2), then channel and the pixels of the patch.
    blocks = pixels.reshape(h // MERGE, MERGE, PATCH, w // MERGE, MERGE, PATCH, 3)
    by_patch = np.ascontiguousarray(blocks.transpose(6, 0, 3, 1, 4, 2, 5)).reshape(3, -1, PATCH * PATCH)
    target = out.reshape(-1, 3, TEMPORAL, PATCH * PATCH)
    table = _lookup()
    for channel in range(3):
        values = table[channel].take(by_patch[channel])
        for frame in range(TEMPORAL):
            target[:, channel, frame] = values


def pixel_values(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Patches of resized RGB images, in order.

    Args:
        images: ``uint8 [height, width, 3]`` each, sides multiples of 28.

    Returns:
        ``pixel_values`` ``float32 [ΣP, 1176]`` and ``image_grid_thw`` ``int64 [N, 3]``.

    Raises:
        ModelError: An image is not RGB with 8 bits a channel, or not on the grid.
    """
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ModelError(
                f"expected pixels uint8 [height, width, 3], got {image.dtype} {list(image.shape)}",
                remedy="open images by argusvl.core.images.open_image",
            )
    grids = [patch_grid(image.shape[1], image.shape[0]) for image in images]
    values = np.empty((sum(map(num_patches, grids)), PATCH_VALUES), dtype=np.float32)
    start = 0
    for image, grid in zip(images, grids, strict=True):
        stop = start + num_patches(grid)
        _write_patches(image, grid, values[start:stop])
        start = stop
    return values, np.array(grids, dtype=np.int64).reshape(-1, 3)


def mirror_images(values: Tensor, grids: Tensor, images: Tensor) -> Tensor:
    """The patches of a batch, left and right exchanged in some of its images.

    Args:
        values: ``[ΣP, 1176]``, see :func:`pixel_values`.
        grids: ``[N, 3]``.
        images: Which rows of ``grids``.
    """
    mirrored = values.clone()
    parts = mirrored.split([num_patches(grid) for grid in grids.tolist()])
    for image in images.tolist():
        _, h, w = grids[image].tolist()
        blocks = parts[image].view(h // MERGE, w // MERGE, MERGE, MERGE, 3, TEMPORAL, PATCH, PATCH)
        blocks.copy_(blocks.flip(1, 3, 7))
    return mirrored
