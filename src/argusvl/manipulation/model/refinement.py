"""Pixel-aligned refinement: heat maps say where joints are seen, and features sampled there how far that is off.

Of the finest map they are sampled around the joint, too: one place alone could hardly say in which direction to go.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argusvl.manipulation.data.joints import NUM_JOINTS, WRIST
from argusvl.manipulation.model.configuration import HandConfig
from argusvl.manipulation.model.decoder import Decoded, DecoderLayer
from argusvl.manipulation.model.geometry import Hands25D, in_float32, project_predicted
from argusvl.manipulation.model.layers import output_layer, places_xy

AROUND = tuple(itertools.product((0, -1, 1), repeat=2))
"""Places sampled of the finest map, in its cells beside the joint's."""


def sample(features: Tensor, points_px: Tensor, image_size: int) -> Tensor:
    """Bilinear values ``[B, N, C]`` of a map at pixels ``[B, N, 2]`` of the crop; zero outside of the crop.

    The map ``[B, C, h, w]`` is of any stride, and over the whole crop, whose corner is (0, 0). The values have its
    type; the places are computed in float32.
    """
    with in_float32(features.device):
        # grid_sample's -1 and 1 are the outer edges of the map, as ours, where corners are not aligned.
        # What is farther off than two crops is as far off as that: outside, and no overflow.
        grid = (points_px.float() * (2 / image_size) - 1).clamp(-4, 4)[:, :, None]
        values = F.grid_sample(features.float(), grid, mode="bilinear", align_corners=False)
    return values[..., 0].transpose(1, 2).to(features.dtype)


class HeatMaps(nn.Module):
    """Looks for the joints in a map of ``channels`` (Sun et al., 2018, "Integral human pose regression")."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.heat = nn.Conv2d(channels, NUM_JOINTS, 1)
        self.norm = nn.LayerNorm(channels)
        self.out = nn.Linear(channels + 2, width)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``[B, channels, h, w]`` over the whole crop → what is seen in it.

        Returns:
            Logits ``[B, 21, h, w]``, means ``[B, 21, 2]`` as fractions of the crop, float32, and tokens
            ``[B, 22, width]``: what is there and where, for the joints; zeros for the object.
        """
        logits = self.heat(features)
        weights = logits.float().flatten(2).softmax(-1)
        with in_float32(features.device):
            means = weights @ places_xy(features)
        there = self.norm(weights.to(features.dtype) @ features.flatten(2).transpose(1, 2))
        tokens = self.out(torch.cat([there, (means - 0.5).to(there.dtype)], dim=-1))
        return logits, means, F.pad(tokens, (0, 0, 0, 1))


class Refinement(nn.Module):
    """Takes steps with the same weights, each from where the last one ended, the first from the coarse joints.

    The first step puts each joint, in the crop, where its heat map sees it; without positions there are no heat maps.
    """

    def __init__(self, config: HandConfig, widths: list[int]) -> None:
        super().__init__()
        width = config.hidden_size
        self.image_size, self.num_steps = config.image_size, config.num_refinement_steps
        self.heatmaps = HeatMaps(widths[1], width) if config.positions and self.num_steps else None
        self.seen = nn.Linear(sum(widths) + (len(AROUND) - 1) * widths[0], width)
        self.norm_seen = nn.LayerNorm(width)
        self.state = nn.Linear(6, width)
        self.layer = DecoderLayer(config)
        self.norm = nn.LayerNorm(width)
        self.change = output_layer(width, 3, config.wide_initialisation)
        self.change_closeness = output_layer(width, 1, config.wide_initialisation)

    def forward(
        self, decoded: Decoded, maps: list[Tensor], cameras: Tensor
    ) -> tuple[Tensor, list[Hands25D], Tensor, Tensor | None]:
        """Takes all steps from where the decoder ended, over the neck's maps from fine to coarse.

        Returns:
            The last tokens ``[B, 22, width]``, the hands after each step, where in the crop each step sampled
            ``[steps, B, 21, 2]``, and the heat maps' logits ``[B, 21, h, w]`` of stride 8, if there are heat maps.
        """
        tokens, hands = decoded.tokens, decoded.hands.detached()
        heat_logits = seen_at = None
        if self.heatmaps is not None:
            heat_logits, seen_at, seen = self.heatmaps(maps[1])
            tokens = tokens + seen
        steps: list[Hands25D] = []
        sampled = []
        for _ in range(self.num_steps):
            with in_float32(cameras.device):
                joints = hands.joints_m(cameras, self.image_size)
                points = project_predicted(joints, cameras)
                state = self._state(hands)
            sampled.append(points)
            news = self.norm_seen(self.seen(self._seen(maps, points))) + self.state(state)
            tokens = torch.cat([tokens[:, :NUM_JOINTS] + news, tokens[:, NUM_JOINTS:]], dim=1)
            tokens, _ = self.layer(tokens, decoded.memory)
            if seen_at is not None and not steps:
                hands = Hands25D(seen_at * self.image_size, hands.depths, hands.closeness)
            steps.append(self._changed(hands, self.norm(tokens)))
            # What is supervised at each step is that step's change: no gradient comes through where it began.
            hands = steps[-1].detached()
        places = torch.stack(sampled) if sampled else hands.points_px.new_empty(0, *hands.points_px.shape)
        return tokens, steps, places, heat_logits

    def _seen(self, maps: list[Tensor], points: Tensor) -> Tensor:
        """What all maps hold at the joints, and the finest around them: ``[B, 21, ...]``."""
        fine, *coarser = maps
        cells = torch.tensor(AROUND, device=points.device) * (self.image_size / fine.shape[-1])
        around = sample(fine, (points[:, :, None] + cells).flatten(1, 2), self.image_size)
        at_joints = [sample(features, points, self.image_size) for features in coarser]
        return torch.cat([around.unflatten(1, (NUM_JOINTS, -1)).flatten(2), *at_joints], dim=-1)

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
