"""What the detection head may look at: an image's vision tokens and the language model's view of image and prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.second_eye import EyeMaps, SecondEye
from argusvl.detection.model.vision import sine_embedding


@dataclass
class Memory:
    """Memory of ``M`` student images, padded to the largest grid and the longest prompt.

    Attributes:
        raster: ``[M, H, W, D]``, one cell for a 14-px patch.
        raster_mask: ``[M, H, W]``, true where the image has a patch.
        language: ``[M, L, D]``, the language model's states at the image's and the prompt's tokens.
        language_mask: ``[M, L]``, true where there is a token.
        positions: ``[M, H, W, D]`` and ``[M, L, D]``: 2-D sine positions of both.
        eye: What the second eye saw, where there is one.
    """

    raster: Tensor
    raster_mask: Tensor
    language: Tensor
    language_mask: Tensor
    raster_positions: Tensor
    language_positions: Tensor
    eye: EyeMaps | None = None

    @property
    def sizes(self) -> Tensor:
        """``[M, 2]``: columns and rows of each image's grid."""
        return torch.stack([self.raster_mask[:, 0].sum(-1), self.raster_mask[:, :, 0].sum(-1)], dim=-1)

    @property
    def valid_ratio(self) -> Tensor:
        """``[M, 2]``: width and height of each image's grid as fractions of the padded grid."""
        _, height, width = self.raster_mask.shape
        columns, rows = self.sizes.unbind(-1)
        return torch.stack([columns / width, rows / height], dim=-1)

    @property
    def centres(self) -> Tensor:
        """``[M, H · W, 2]``: centres (x, y) of the padded grid's cells in 0–1 of each image; beyond 1 at padding."""
        _, height, width = self.raster_mask.shape
        return cell_centres(height, width, self.raster_mask.device).flatten(0, 1) / self.valid_ratio[:, None]


class ResidualMLPAdapter(nn.Module):
    """``project(x + up(gelu(down(norm(x)))))`` with a narrow middle; ``project`` only where the widths differ.

    Starts as the plain projection: ``up`` is zero. ``bottleneck_ratio`` is ``input_size`` over the width of the
    middle.
    """

    def __init__(self, input_size: int, output_size: int, bottleneck_ratio: int) -> None:
        super().__init__()
        middle = max(input_size // bottleneck_ratio, 1)
        self.norm = nn.LayerNorm(input_size)
        self.down = nn.Linear(input_size, middle)
        self.up = nn.Linear(middle, input_size)
        self.project = nn.Linear(input_size, output_size) if input_size != output_size else nn.Identity()
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """``[..., input_size]`` → ``[..., output_size]``."""
        normed = self.norm(hidden_states)
        return self.project(normed + self.up(F.gelu(self.down(normed))))


class MemoryBuilder(nn.Module):
    """Adapts the tower's 14-px tokens and the language model's states to the head, and places them in 2-D.

    The language model's state of each merged 28-px token is added to the four 14-px cells that it covers, so
    that sampling the raster sees what the model made of the image after reading teachers.
    """

    def __init__(self, config: ArgusDetectionConfig) -> None:
        super().__init__()
        vision, text = config.vision_sizes, config.text_sizes
        self.width = config.hidden_size
        self.merge = vision.spatial_merge_size
        self.vision_adapter = ResidualMLPAdapter(
            vision.hidden_size, config.hidden_size, config.adapter_bottleneck_ratio
        )
        self.language_adapter = ResidualMLPAdapter(
            text.hidden_size, config.hidden_size, config.adapter_bottleneck_ratio
        )
        self.prompt_position = nn.Parameter(torch.zeros(config.hidden_size))
        self.norm = nn.LayerNorm(config.hidden_size)
        self.eye = None if config.second_eye == "none" else SecondEye(config)

    def forward(
        self,
        rasters: list[Tensor],
        image_states: list[Tensor],
        prompt_states: list[Tensor],
        pictures: Sequence[Tensor] = (),
    ) -> Memory:
        """Builds the memory of ``M`` images.

        Args:
            rasters: For each image ``[h, w, vision width]``: the tower's tokens in raster order.
            image_states: For each image ``[h·w / merge², text width]``: the language model's states.
            prompt_states: For each image ``[p, text width]``: states of the student's prompt text.
            pictures: For each image ``[3, height, width]`` for the second eye; not looked at where there is none.
        """
        height = max(r.shape[0] for r in rasters)
        width = max(r.shape[1] for r in rasters)
        length = max(len(i) + len(p) for i, p in zip(image_states, prompt_states, strict=True))

        @lru_cache  # pictures of one size, most of a batch, share their positions
        def positions(rows: int, columns: int) -> Tensor:
            return sine_embedding(cell_centres(rows, columns, rasters[0].device), self.width)

        padded = []
        for raster, image, prompt in zip(rasters, image_states, prompt_states, strict=True):
            h, w = raster.shape[:2]
            pad = (0, 0, 0, width - w, 0, height - h)
            tail = (0, 0, 0, length - len(image) - len(prompt))
            grid = positions(h // self.merge, w // self.merge).flatten(0, 1)
            padded.append(
                (
                    F.pad(raster, pad),
                    F.pad(raster.new_ones((h, w), dtype=torch.bool), pad[2:]),
                    F.pad(positions(h, w), pad),
                    F.pad(torch.cat([image, prompt]), tail),
                    F.pad(image.new_ones(len(image) + len(prompt), dtype=torch.bool), tail[2:]),
                    F.pad(torch.cat([grid, self.prompt_position.expand(len(prompt), -1)]), tail),
                )
            )
        tower, raster_mask, raster_positions, states, language_mask, language_positions = (
            torch.stack(parts) for parts in zip(*padded, strict=True)
        )
        language = self.language_adapter(states)
        merged = [
            F.pad(
                language[i, : len(image)]
                .view(r.shape[0] // self.merge, r.shape[1] // self.merge, -1)
                .repeat_interleave(self.merge, dim=0)
                .repeat_interleave(self.merge, dim=1),
                (0, 0, 0, width - r.shape[1], 0, height - r.shape[0]),
            )
            for i, (r, image) in enumerate(zip(rasters, image_states, strict=True))
        ]
        seen = self.vision_adapter(tower) + torch.stack(merged)
        eye = None
        if self.eye is not None:
            eye = self.eye(pictures)
            sizes = torch.tensor([[r.shape[1], r.shape[0]] for r in rasters], device=seen.device)
            cells = (cell_centres(height, width, seen.device) * seen.new_tensor([width, height])).flatten(
                0, 1
            )
            points = cells.float() / sizes[:, None]
            beside = eye.at(points, torch.arange(len(rasters), device=seen.device))
            seen = seen + self.eye.to_raster(beside).unflatten(1, (height, width))
        return Memory(
            raster=self.norm(seen),
            eye=eye,
            raster_mask=raster_mask,
            language=language,
            language_mask=language_mask,
            raster_positions=raster_positions,
            language_positions=language_positions,
        )


def cell_centres(height: int, width: int, device: torch.device) -> Tensor:
    """Centres (x, y) of a grid's cells as fractions of the image: ``[height, width, 2]``."""
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    return torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1)
