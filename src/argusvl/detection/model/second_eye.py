"""A second eye for the head: EfficientNet-Lite0 beside the vision tower, with the features that ImageNet taught it.

The tower's tokens are 14 pixels wide and, in a small base, have seen little. A convolutional encoder beside it, at
strides of 8 to 32, is what hybrid encoders add (Cambrian-1, Tong et al., 2024, arXiv 2406.16860; VLM-FO1, Liu et al.,
2025, arXiv 2509.25916). What it says has weight from the first step on: through layers that start at zero it was not
heard within hundreds of steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.layers import box_grid
from argusvl.networks.efficientnet_lite import (
    LAYOUT,
    STAGES,
    EfficientNetLite0,
    load_network,
    packaged_weights,
    renormalised,
)

LEVELS = {2: 8, 4: 16, 6: 32}
"""Stage of the network → the stride of its map in pixels."""
FROZEN_STAGES = 3
"""First stages that do not train, up to the stride of 8: edges and colours are what they are, the maps are large."""


@dataclass
class EyeMaps:
    """What the second eye saw of ``M`` pictures, padded to the largest.

    Attributes:
        levels: ``[M, h, w, D]`` for each of :data:`LEVELS`.
        sizes: ``[L, M, 2]``: columns and rows of each picture's own map.
        extents: ``[L, M, 2]``: its sides in the picture, divided by the stride. A map's last cell may stand over the
            picture's edge.
    """

    levels: list[Tensor]
    sizes: Tensor
    extents: Tensor

    @cached_property
    def masks(self) -> list[Tensor]:
        """``[M, h, w]`` for each level, true where a picture has a cell."""
        masks = []
        for level, sizes in zip(self.levels, self.sizes, strict=True):
            rows, columns = (torch.arange(n, device=level.device) for n in level.shape[1:3])
            masks.append((rows[:, None] < sizes[:, 1, None, None]) & (columns < sizes[:, 0, None, None]))
        return masks

    @cached_property
    def padded(self) -> Int[Tensor, "l 3"]:
        """Columns and rows of each level's padded maps, and how many cells all pictures have in the levels before."""
        sides = [(level.shape[2], level.shape[1]) for level in self.levels]
        starts = accumulate((level[..., 0].numel() for level in self.levels[:-1]), initial=0)
        return self.sizes.new_tensor([[*one, start] for one, start in zip(sides, starts, strict=True)])

    def references(self, boxes: Float[Tensor, "m q 4"]) -> Float[Tensor, "m q l 4"]:
        """Boxes in 0–1 of their pictures → in 0–1 of the padded maps."""
        shares = (self.extents / self.padded[:, None, :2]).movedim(1, 0)  # [M, L, 2]
        return boxes[:, :, None] * shares.repeat(1, 1, 2)[:, None]

    def at(self, points: Float[Tensor, "n k 2"], image: Int[Tensor, " n"]) -> Float[Tensor, "n k d"]:
        """The sum of all levels, bilinear, at points in 0–1 of their pictures; none reads what is padded."""
        cells, weights = self._corners(points, image)
        return self._summed(cells.flatten(0, 1), weights.flatten(0, 1)).unflatten(0, points.shape[:2])

    def mean_at(self, points: Float[Tensor, "n k 2"], image: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """The mean of :meth:`at` over the ``k`` points of each row."""
        cells, weights = self._corners(points, image)
        return self._summed(cells.flatten(1), weights.flatten(1) / points.shape[1])

    def _corners(self, points: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """The cells around points, of all levels end to end, and what each weighs: ``[n, k, 4 · levels]`` both."""
        points = points.float().nan_to_num()  # a box that is not finite is for the losses to report
        last, extents = (of[:, image].movedim(1, 0)[:, None] for of in (self.sizes - 1, self.extents))
        place = (points[:, :, None] * extents - 0.5).clamp(min=0).minimum(last)  # [n, k, L, 2]
        low = place.long()
        x, y = torch.stack([low, (low + 1).minimum(last)], dim=-1).unbind(-2)  # [n, k, L, 2] each
        right, below = (place - low).unbind(-1)
        width, height, start = self.padded.unbind(-1)
        first = start + image[:, None, None] * (height * width)
        rows = (first[..., None] + y * width[:, None])[..., None]
        across, down = torch.stack([1 - right, right], -1), torch.stack([1 - below, below], -1)
        weights = down[..., None] * across[..., None, :]
        return (rows + x[..., None, :]).flatten(-3), weights.flatten(-3)

    def _summed(self, cells: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums of cells: ``[n, m]`` and ``[n, m]`` → ``[n, D]``. A quarter of what ``grid_sample`` takes."""
        table = torch.cat([level.float().flatten(0, 2) for level in self.levels])
        return F.embedding_bag(cells, table, per_sample_weights=weights, mode="sum")


class SecondEye(nn.Module):
    """The encoder, and what brings its maps into the head's width.

    Its norms are folded into the convolutions: running statistics, never those of a batch.
    """

    def __init__(self, config: ArgusDetectionConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.network = EfficientNetLite0().without_classifier().fold_norms()
        self.network.freeze_stages(FROZEN_STAGES)
        self.network.freeze_filters()
        self.projections = nn.ModuleList(nn.Linear(STAGES[stage][-1], size) for stage in LEVELS)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in LEVELS)
        self.to_raster, self.to_kind = nn.Linear(size, size), nn.Linear(size, size)

    def load_packaged(self) -> None:
        """Takes the weights that were trained on ImageNet."""
        self.network.load_state_dict(
            load_network(packaged_weights()).without_classifier().fold_norms().state_dict()
        )

    def forward(self, pictures: Sequence[Tensor]) -> EyeMaps:
        """Pictures ``[3, H, W]`` of any sizes, normalised as CLIP's; none sees the padding of another."""
        # On sides that are multiples of the largest stride "SAME" pads alike everywhere: right and below.
        coarse = max(LEVELS.values())
        whole = [F.pad(p, (0, -p.shape[2] % coarse, 0, -p.shape[1] % coarse)) for p in pictures]
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, picture in enumerate(whole):
            alike[tuple(picture.shape)].append(i)
        found = [self._look(torch.stack([whole[i] for i in members])) for members in alike.values()]
        device = found[0][0].device
        order = torch.tensor([i for members in alike.values() for i in members], device=device).argsort()
        sides = torch.tensor([[p.shape[2], p.shape[1]] for p in pictures], device=device)
        extents = torch.stack([sides / stride for stride in LEVELS.values()])
        maps = EyeMaps([], extents.ceil().long(), extents)
        for level, (width, height) in enumerate(maps.sizes.amax(1).tolist()):
            # What is too much is cut by padding of less than nothing.
            parts = [
                F.pad(of[level], (0, 0, 0, width - of[level].shape[2], 0, height - of[level].shape[1]))
                for of in found
            ]
            maps.levels.append(torch.cat(parts).index_select(0, order))
        maps.levels = [level * mask[..., None] for level, mask in zip(maps.levels, maps.masks, strict=True)]
        return maps

    def of_boxes(
        self, boxes: Float[Tensor, "n 4"], image: Int[Tensor, " n"], maps: EyeMaps
    ) -> Float[Tensor, "n d"]:
        """What speaks for the kind of an object: the mean of what was seen in its box, ``cxcywh`` in 0–1."""
        seen: Tensor = self.to_kind(maps.mean_at(box_grid(boxes), image))
        return seen

    def _look(self, pixels: Tensor) -> list[Tensor]:
        """``[N, 3, H, W]`` → the maps, ``[N, h, w, D]`` each."""
        pixels = renormalised(pixels.float(), OPENAI_CLIP_MEAN, OPENAI_CLIP_STD)
        pixels = pixels.to(next(self.network.parameters()).dtype)
        maps = self.network.feature_maps(pixels.contiguous(memory_format=LAYOUT))
        return [
            norm(project(maps[stage].permute(0, 2, 3, 1)))
            for stage, project, norm in zip(LEVELS, self.projections, self.norms, strict=True)
        ]
