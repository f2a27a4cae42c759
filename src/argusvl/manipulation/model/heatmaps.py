"""Where each joint is seen in the crop, and what is there: one heat map for each over a fine map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argusvl.manipulation.data.joints import NUM_JOINTS
from argusvl.manipulation.model.geometry import in_float32
from argusvl.manipulation.model.layers import places_xy


@dataclass(frozen=True)
class Seen:
    """What heat maps say of B crops.

    Attributes:
        logits: ``[B, 21, h, w]``.
        means: ``[B, 21, 2]`` as fractions of the crop, float32 (soft-argmax; Sun et al., 2018, "Integral human pose
            regression").
        tokens: ``[B, 22, width]``: what is there and where, for the joints; zeros for the object.
    """

    logits: Tensor
    means: Tensor
    tokens: Tensor


class HeatMaps(nn.Module):
    """Looks for the joints in a map of ``channels``."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.heat = nn.Conv2d(channels, NUM_JOINTS, 1)
        self.norm = nn.LayerNorm(channels)
        self.out = nn.Linear(channels + 2, width)

    def forward(self, features: Tensor) -> Seen:
        """``[B, channels, h, w]`` over the whole crop → what is seen in it."""
        logits = self.heat(features)
        weights = logits.float().flatten(2).softmax(-1)
        with in_float32(features.device):
            means = weights @ places_xy(features)
        there = self.norm(weights.to(features.dtype) @ features.flatten(2).transpose(1, 2))
        tokens = self.out(torch.cat([there, (means - 0.5).to(there.dtype)], dim=-1))
        return Seen(logits, means, F.pad(tokens, (0, 0, 0, 1)))
