"""Pixel-aligned refinement: features are sampled where the joints are seen, and say how far they are off."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argusvl.manipulation.data.joints import NUM_JOINTS, WRIST
from argusvl.manipulation.model.configuration import HandConfig
from argusvl.manipulation.model.geometry import Hands25D, in_float32, project_predicted
from argusvl.manipulation.model.layers import SelfAttentionLayer, output_layer


def sample(features: Tensor, points_px: Tensor, image_size: int) -> Tensor:
    """Bilinear values of a map at pixels of the crop, whose corner is (0, 0); zero outside of the crop.

    Args:
        features: ``[B, C, h, w]`` over the whole crop, of any stride.
        points_px: ``[B, N, 2]``.
        image_size: Side of the crop, pixels.

    Returns:
        ``[B, N, C]`` in the features' type; the places are computed in float32.
    """
    with in_float32(features.device):
        # grid_sample's -1 and 1 are the outer edges of the map, as ours, where corners are not aligned.
        # What is farther off than two crops is as far off as that: outside, and no overflow.
        grid = (points_px.float() * (2 / image_size) - 1).clamp(-4, 4)[:, :, None]
        values = F.grid_sample(features.float(), grid, mode="bilinear", align_corners=False)
    return values[..., 0].transpose(1, 2).to(features.dtype)


class Refinement(nn.Module):
    """One step, taken ``num_refinement_steps`` times with the same weights, each time from where the last one ended."""

    def __init__(self, config: HandConfig, widths: list[int]) -> None:
        super().__init__()
        width = config.hidden_size
        self.image_size, self.steps = config.image_size, config.num_refinement_steps
        self.seen = nn.Linear(sum(widths), width)
        self.norm_seen = nn.LayerNorm(width)
        self.state = nn.Linear(6, width)
        self.layer = SelfAttentionLayer(config)
        self.norm = nn.LayerNorm(width)
        self.change = output_layer(width, 3, config.wide_initialisation)
        self.change_closeness = output_layer(width, 1, config.wide_initialisation)

    def forward(
        self, tokens: Tensor, hands: Hands25D, maps: list[Tensor], cameras: Tensor
    ) -> tuple[Tensor, list[Hands25D], Tensor]:
        """Takes all steps.

        Args:
            tokens: ``[B, 22, width]`` of the decoder.
            hands: Coarse.
            maps: Of the neck, from fine to coarse.
            cameras: ``[B, 3, 3]`` K of the crops, float32.

        Returns:
            The last tokens, the hands after each step, and ``[steps, B, 21, 2]``: the pixels where each step sampled.
        """
        steps, sampled = [], []
        for _ in range(self.steps):
            # What is supervised at each step is that step's change: no gradient comes through where it began.
            hands = hands.detached()
            with in_float32(cameras.device):
                joints = hands.joints_m(cameras, self.image_size)
                points = project_predicted(joints, cameras)
                state = self._state(hands)
            sampled.append(points)
            seen = torch.cat([sample(m, points, self.image_size) for m in maps], dim=-1)
            news = self.norm_seen(self.seen(seen)) + self.state(state)
            tokens = self.layer(torch.cat([tokens[:, :NUM_JOINTS] + news, tokens[:, NUM_JOINTS:]], dim=1))
            hands = self._changed(hands, self.norm(tokens))
            steps.append(hands)
        places = torch.stack(sampled) if sampled else hands.points_px.new_empty(0, *hands.points_px.shape)
        return tokens, steps, places

    def _state(self, hands: Hands25D) -> Tensor:
        """Where each joint is now, in the crop and beside the wrist: ``[B, 21, 6]``."""
        places = hands.points_px / self.image_size
        closeness = hands.closeness[:, None, None].expand(-1, NUM_JOINTS, 1)
        beside = places - places[:, WRIST, None]
        return torch.cat([places - 0.5, beside, hands.depths[..., None], closeness], dim=-1)

    def _changed(self, hands: Hands25D, tokens: Tensor) -> Hands25D:
        with in_float32(tokens.device):
            change = self.change(tokens[:, :NUM_JOINTS].float())
            depths = hands.depths + change[..., 2] - change[:, WRIST, None, 2]
            closeness = hands.closeness + self.change_closeness(tokens[:, WRIST].float())[:, 0]
            return Hands25D(hands.points_px + change[..., :2] * self.image_size, depths, closeness)
