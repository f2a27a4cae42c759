"""Reading rasters between their cells."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Points of the grid, per side, that is laid into a box: what is seen of the object itself.
BOX_GRID = 4


def box_grid(boxes_cxcywh: Float[Tensor, "n 4"]) -> Float[Tensor, "n p 2"]:
    """Points inside boxes: the centres of ``BOX_GRID²`` equal parts, row after row."""
    # Offsets in (-0.5, 0.5) of the sides.
    offsets = (torch.arange(BOX_GRID, device=boxes_cxcywh.device) + 0.5) / BOX_GRID - 0.5
    grid = torch.stack(torch.broadcast_tensors(offsets[None, :], offsets[:, None]), dim=-1).view(1, -1, 2)
    centres, sides = boxes_cxcywh[:, None, :2], boxes_cxcywh[:, None, 2:]
    return centres + grid * sides


def sample(
    raster: Float[Tensor, "m h w d"],
    cells: Float[Tensor, "n k 2"],
    image: Int[Tensor, " n"],
    sizes: Int[Tensor, "m 2"],
) -> Float[Tensor, "n k d"]:
    """Bilinear samples of ``raster`` at ``cells`` (x and y, in cells from the corner) of ``image``.

    Gathers the four neighbours of each point instead of repeating the raster for each box. Points stay within the
    image's own cells, ``sizes`` in x and y: what a batch pads must not be seen.
    """
    _, height, width, _ = raster.shape
    limit = (sizes[image] - 1).to(cells.dtype)[:, None]
    # A box that is not finite is for the losses to report; here it must not become an index.
    xy = torch.minimum((cells.nan_to_num() - 0.5).clamp(min=0), limit)
    low = xy.floor()
    fraction = (xy - low).to(raster.dtype)
    x0, y0 = low.long().unbind(-1)
    x1, y1 = (x0 + 1).clamp(max=width - 1), (y0 + 1).clamp(max=height - 1)
    fx, fy = fraction[..., :1], fraction[..., 1:]
    row = image[:, None].expand_as(x0)
    top = raster[row, y0, x0] * (1 - fx) + raster[row, y0, x1] * fx
    bottom = raster[row, y1, x0] * (1 - fx) + raster[row, y1, x1] * fx
    return top * (1 - fy) + bottom * fy
