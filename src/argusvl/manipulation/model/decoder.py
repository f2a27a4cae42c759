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
    output_layer,
    places_xy,
    sine_positions,
)

OBJECT = NUM_JOINTS
"""The place of the object's token, after the joints'."""


class Neck(nn.Module):
    """Maps of any width → three of the decoder's, finer ones informed by coarser (Lin et al., 2017).

    Of two maps it makes the third, and what a deeper encoder would have done at stride 16, with dense convolutions:
    a CPU is several times faster with these than with depthwise ones.
    """

    def __init__(self, widths: list[int], config: HandConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.deeper = None
        if len(widths) == 2:
            self.deeper = nn.Sequential(Residual(widths[1]), Residual(widths[1]))
            self.coarser = nn.Sequential(Down(widths[1], width), Residual(width))
            widths = [*widths, width]
        self.widths = [width // 2, width, width]
        self.lateral = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(widths, self.widths, strict=True))
        self.smooth = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in self.widths[:2])
        self.down = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(self.widths))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps from fine to coarse, ``[B, C, h, w]`` → three, of :attr:`widths`."""
        if self.deeper is not None:
            fine, middle = maps[0], self.deeper(maps[1])
            maps = [fine, middle, self.coarser(middle)]
        fine, middle, coarse = (lateral(m) for lateral, m in zip(self.lateral, maps, strict=True))
        middle = self._merged(1, middle, coarse)
        return [self._merged(0, fine, middle), middle, coarse]

    def _merged(self, level: int, own: Tensor, coarser: Tensor) -> Tensor:
        raised = F.interpolate(self.down[level](coarser), size=own.shape[2:], mode="nearest")
        states = own + raised
        result: Tensor = states + F.relu(self.smooth[level](F.relu(states)))
        return result


class DecoderLayer(nn.Module):
    """Pre-norm attention among queries, attention to the maps' places, feed-forward."""

    def __init__(self, config: HandConfig) -> None:
        super().__init__()
        self.norm_self, self.norm_cross = (nn.LayerNorm(config.hidden_size) for _ in range(2))
        self.self_attention, self.cross_attention = Attention(config), Attention(config)
        self.dropout = nn.Dropout(config.dropout)
        self.feed_forward = FeedForward(config)

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
        hands: Coarse.
        heat_logits: ``[B, 21, h, w]`` over the finest map; ``None`` without positions.
        attentions: Of each layer, ``[B, heads, 22, places]``: first those of stride 16, then those of stride 32.
    """

    tokens: Tensor
    hands: Hands25D
    heat_logits: Tensor | None
    attentions: list[Tensor]


class HandDecoder(nn.Module):
    """Query tokens that know the camera, and what they find in the maps.

    A joint's place in the crop is the mean of a heat map over the finest map, plus an offset of its token that can
    leave the crop; depths come from the tokens.
    """

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
        if config.positions:
            self.heat_query = nn.Linear(width, self.neck.widths[0])
            self.seen = nn.Linear(self.neck.widths[0] + 2, width)
        self.joint = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), output_layer(width, 3, config.wide_initialisation)
        )
        self.closeness = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), output_layer(width, 1, config.wide_initialisation)
        )
        # The mean hand, which would otherwise have to come out of the queries.
        self.mean_joint = nn.Parameter(torch.zeros(NUM_JOINTS, 3))

    def forward(self, maps: list[Tensor], cameras: Tensor) -> Decoded:
        """Reads the neck's maps.

        Args:
            maps: From fine to coarse, ``[B, width, h, w]``.
            cameras: ``[B, 3, 3]`` K of the crops, float32.
        """
        with in_float32(cameras.device):
            known = camera_features(cameras, self.image_size)
        memory = self._memory(maps[1:])
        tokens = self.queries + self.camera(known)[:, None]
        attentions = []
        for layer in self.layers:
            tokens, weights = layer(tokens, memory)
            attentions.append(weights)
        tokens = self.norm(tokens)
        places: Tensor | float = 0.5
        heat = None
        if self.positions:
            tokens, places, heat = self._look(tokens, maps[0])
        with in_float32(cameras.device):
            joints = self.joint(tokens[:, :NUM_JOINTS].float()) + self.mean_joint
            depths = joints[..., 2] - joints[:, WRIST, None, 2]
            closeness = self.closeness(tokens[:, WRIST].float())[:, 0]
            hands = Hands25D((places + joints[..., :2]) * self.image_size, depths, closeness)
        return Decoded(tokens, hands, heat, attentions)

    def _memory(self, maps: list[Tensor]) -> Tensor:
        """What queries attend to: ``[B, places, width]`` that know where they are and of which stride."""
        memory = []
        for features, level in zip(maps, self.level, strict=True):
            states = self.norm_memory(features.flatten(2).transpose(1, 2)) + level
            memory.append(
                states + sine_positions(places_xy(features), states.shape[-1]) if self.positions else states
            )
        return torch.cat(memory, dim=1)

    def _look(self, tokens: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Heat maps of the joints: tokens that know what is seen there, the means ``[B, 21, 2]`` in 0–1, and logits."""
        places = places_xy(features)
        height = features.shape[2]
        features = features.flatten(2)
        heat = self.heat_query(tokens[:, :NUM_JOINTS]) @ features * features.shape[1] ** -0.5
        weights = heat.float().softmax(-1)
        with in_float32(features.device):
            means = weights @ places
        found = torch.cat([weights.to(features.dtype) @ features.transpose(1, 2), means - 0.5], dim=-1)
        joints = tokens[:, :NUM_JOINTS] + self.seen(found)
        return torch.cat([joints, tokens[:, NUM_JOINTS:]], dim=1), means, heat.unflatten(2, (height, -1))
