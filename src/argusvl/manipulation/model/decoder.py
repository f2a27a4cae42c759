"""Joint queries over the encoder's maps → hands in 2.5 dimensions, and the object that they hold."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argusvl.manipulation.data.joints import NUM_JOINTS, WRIST
from argusvl.manipulation.model.configuration import HandConfig
from argusvl.manipulation.model.geometry import Hands25D, camera_features, in_float32
from argusvl.manipulation.model.layers import (
    Attention,
    Down,
    FeedForward,
    Residual,
    head,
    places_xy,
    sine_positions,
)


class Neck(nn.Module):
    """Maps of any width → four of the decoder's, finer ones informed by coarser (Lin et al., 2017).

    Of three maps it makes the fourth, and what a deeper encoder would have done at stride 16, with dense convolutions:
    a CPU is several times faster with these than with depthwise ones.
    """

    def __init__(self, widths: list[int], config: HandConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.deeper = None
        if len(widths) == 3:
            self.deeper = nn.Sequential(Residual(widths[2]), Residual(widths[2]))
            self.coarser = nn.Sequential(Down(widths[2], width), Residual(width))
            widths = [*widths, width]
        self.widths = [width // 4, width // 2, width, width]
        self.lateral = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(widths, self.widths, strict=True))
        self.smooth = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in self.widths[:3])
        self.down = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(self.widths))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps from fine to coarse, ``[B, C, h, w]`` → four, of :attr:`widths`."""
        if self.deeper is not None:
            deeper = self.deeper(maps[2])
            maps = [*maps[:2], deeper, self.coarser(deeper)]
        merged = [lateral(m) for lateral, m in zip(self.lateral, maps, strict=True)]
        for level in (2, 1, 0):
            coarser = self.down[level](merged[level + 1])
            states = merged[level] + F.interpolate(coarser, size=merged[level].shape[2:], mode="nearest")
            merged[level] = states + F.relu(self.smooth[level](F.relu(states)))
        return merged


class DecoderLayer(nn.Module):
    """Pre-norm attention among queries, attention to the maps' places, feed-forward."""

    def __init__(self, config: HandConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.norm_self, self.norm_cross = (nn.LayerNorm(width) for _ in range(2))
        self.self_attention, self.cross_attention = (Attention(config, width) for _ in range(2))
        self.dropout = nn.Dropout(config.dropout)
        self.feed_forward = FeedForward(config, width)

    def forward(self, queries: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Queries ``[B, Q, width]`` → the same, and the weights ``[B, heads, Q, N]`` of the attention to the maps."""
        states = self.norm_self(queries)
        queries = queries + self.dropout(self.self_attention(states, states, states)[0])
        attended, weights = self.cross_attention(self.norm_cross(queries), memory, memory)
        return self.feed_forward(queries + self.dropout(attended)), weights


@dataclass(frozen=True)
class Decoded:
    """What the decoder gives.

    Attributes:
        tokens: ``[B, 22, width]``: the joints', then the object's.
        memory: ``[B, places, width]``: what they attended to.
        hands: Coarse.
        attentions: Of each layer, ``[B, heads, 22, places]``: first those of stride 16, then those of stride 32.
    """

    tokens: Tensor
    memory: Tensor
    hands: Hands25D
    attentions: list[Tensor]


class HandDecoder(nn.Module):
    """Query tokens that know the camera, and what they find in the maps of strides 16 and 32: a coarse hand."""

    def __init__(self, config: HandConfig, widths: list[int]) -> None:
        super().__init__()
        width = config.hidden_size
        self.neck = Neck(widths, config)
        self.image_size, self.positions = config.image_size, config.positions
        self.queries = nn.Parameter(torch.randn(NUM_JOINTS + 1, width) * 0.5)
        self.camera = nn.Sequential(nn.Linear(5, width), nn.GELU(), nn.Linear(width, width))
        self.level = nn.Parameter(torch.randn(2, width) * 0.1)
        self.norm_memory = nn.LayerNorm(width)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(width)
        self.joint, self.closeness = (head(width, n, config.wide_initialisation) for n in (3, 1))
        # The mean hand, which would otherwise have to come out of the queries.
        self.mean_joint = nn.Parameter(torch.zeros(NUM_JOINTS, 3))

    def forward(self, maps: list[Tensor], cameras: Tensor) -> Decoded:
        """Reads the neck's maps.

        Args:
            maps: From fine to coarse, ``[B, C, h, w]``; the two finest are left to the refinement.
            cameras: ``[B, 3, 3]`` K of the crops, float32.
        """
        with in_float32(cameras.device):
            known = camera_features(cameras, self.image_size)
        memory = self._memory(maps[2:])
        tokens = self.queries + self.camera(known)[:, None]
        attentions = []
        for layer in self.layers:
            tokens, weights = layer(tokens, memory)
            attentions.append(weights)
        with in_float32(cameras.device):
            states = self.norm(tokens.float())
            joints = self.joint(states[:, :NUM_JOINTS]) + self.mean_joint
            depths = joints[..., 2] - joints[:, WRIST, None, 2]
            points = (0.5 + joints[..., :2]) * self.image_size
            hands = Hands25D(points, depths, self.closeness(states[:, WRIST])[:, 0])
        return Decoded(tokens, memory, hands, attentions)

    def _memory(self, maps: list[Tensor]) -> Tensor:
        """What queries attend to: ``[B, places, width]`` that know where they are and of which stride."""
        memory = []
        for features, level in zip(maps, self.level, strict=True):
            states = self.norm_memory(features.flatten(2).transpose(1, 2)) + level
            if self.positions:
                states = states + sine_positions(places_xy(features), states.shape[-1])
            memory.append(states)
        return torch.cat(memory, dim=1)
