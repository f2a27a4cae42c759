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

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.layers import box_grid
from argusvl.networks.efficientnet_lite import (
    LAYOUT,
    MEAN,
    STAGES,
    STD,
    EfficientNetLite0,
    load_network,
    packaged_weights,
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

    @property
    def masks(self) -> list[Tensor]:
        """``[M, h, w]`` for each level, true where a picture has a cell."""
        masks = []
        for level, sizes in zip(self.levels, self.sizes, strict=True):
            rows, columns = (torch.arange(n, device=level.device) for n in level.shape[1:3])
            masks.append((rows[:, None] < sizes[:, 1, None, None]) & (columns < sizes[:, 0, None, None]))
        return masks

    def references(self, boxes: Float[Tensor, "m q 4"]) -> Float[Tensor, "m q l 4"]:
        """Boxes in 0–1 of their pictures → in 0–1 of the padded maps."""
        found = []
        for level, extents in zip(self.levels, self.extents, strict=True):
            padded = extents.new_tensor([level.shape[2], level.shape[1]])
            found.append(boxes * (extents / padded).repeat(1, 2)[:, None])
        return torch.stack(found, dim=2)

    def at(self, points: Float[Tensor, "n k 2"], image: Int[Tensor, " n"]) -> Float[Tensor, "n k d"]:
        """The sum of all levels, bilinear, at points in 0–1 of their pictures; none reads what is padded."""
        # Side by side for each picture: gathered point by point, the backward pass takes longer than the encoder's.
        places = F.one_hot(image, len(self.levels[0])).cumsum(0).gather(1, image[:, None])[:, 0] - 1
        most = int(places.max()) + 1 if len(places) else 0
        # A box that is not finite is for the losses to report.
        laid = points.new_zeros((len(self.levels[0]), most, *points.shape[1:])).float()
        laid[image, places] = points.float().nan_to_num()
        laid = laid.flatten(1, 2)
        found: Tensor | float = 0.0
        for level, extents, sizes in zip(self.levels, self.extents, self.sizes, strict=True):
            cells = (laid * extents[:, None] - 0.5).clamp(min=0).minimum(sizes[:, None] - 1.0)
            corners = 2 * cells / sizes.new_tensor([level.shape[2] - 1, level.shape[1] - 1]).clamp(min=1) - 1
            seen = F.grid_sample(level.float().permute(0, 3, 1, 2), corners[:, :, None], align_corners=True)
            found = found + seen[..., 0].transpose(1, 2)
        assert isinstance(found, Tensor)
        return found.unflatten(1, (most, points.shape[1]))[image, places]


class SecondEye(nn.Module):
    """The encoder, and what brings its maps into the head's width.

    Its norms are folded into the convolutions: running statistics, never those of a batch.
    """

    def __init__(self, config: ArgusDetectionConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.network = EfficientNetLite0().without_classifier().fold_norms()
        self.network.freeze_stages(FROZEN_STAGES)
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
        own: list[list[Tensor]] = [[] for _ in pictures]
        for members in alike.values():
            for i, maps in zip(members, self._look(torch.stack([whole[i] for i in members])), strict=True):
                own[i] = [
                    of[: -(-pictures[i].shape[1] // stride), : -(-pictures[i].shape[2] // stride)]
                    for of, stride in zip(maps, LEVELS.values(), strict=True)
                ]
        levels, sizes, extents = [], [], []
        for number, stride in enumerate(LEVELS.values()):
            maps = [of[number] for of in own]
            height, width = (max(one.shape[axis] for one in maps) for axis in (0, 1))
            levels.append(
                torch.stack([F.pad(x, (0, 0, 0, width - x.shape[1], 0, height - x.shape[0])) for x in maps])
            )
            sizes.append([[x.shape[1], x.shape[0]] for x in maps])
            extents.append([[p.shape[2] / stride, p.shape[1] / stride] for p in pictures])
        device = levels[0].device
        return EyeMaps(levels, torch.tensor(sizes, device=device), torch.tensor(extents, device=device))

    def of_boxes(
        self, boxes: Float[Tensor, "n 4"], image: Int[Tensor, " n"], maps: EyeMaps
    ) -> Float[Tensor, "n d"]:
        """What speaks for the kind of an object: the mean of what was seen in its box, ``cxcywh`` in 0–1."""
        seen: Tensor = self.to_kind(maps.at(box_grid(boxes), image).mean(1))
        return seen

    def _look(self, pixels: Tensor) -> list[list[Tensor]]:
        """``[N, 3, H, W]`` → for each picture its maps, ``[h, w, D]``."""
        scale, shift = (
            torch.tensor(values, device=pixels.device)[:, None, None]
            for values in (
                [std / own for std, own in zip(OPENAI_CLIP_STD, STD, strict=True)],
                [(mean - own) / std for mean, own, std in zip(OPENAI_CLIP_MEAN, MEAN, STD, strict=True)],
            )
        )
        # On CPUs convolutions by channel are slower in bfloat16, forward and backward.
        low = torch.is_autocast_enabled(pixels.device.type) and pixels.device.type != "cpu"
        with torch.autocast(pixels.device.type, enabled=low):
            pixels = (pixels.float() * scale + shift).to(next(self.network.parameters()).dtype)
            pixels = pixels.contiguous(memory_format=LAYOUT)
            maps = self.network.feature_maps(pixels)
        found = [
            norm(project(maps[stage].permute(0, 2, 3, 1)))
            for stage, project, norm in zip(LEVELS, self.projections, self.norms, strict=True)
        ]
        return [[level[i] for level in found] for i in range(len(pixels))]
