"""Attention whose weights are seen, feed-forward blocks, convolutions, and where the places of a map are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argusvl.manipulation.model.configuration import HandConfig
from argusvl.manipulation.model.sigma_reparam import convert_linears


class Attention(nn.Module):
    """Multi-head attention, its projections apart, so that each can be reparameterised and the weights be shown."""

    def __init__(self, config: HandConfig, width: int) -> None:
        super().__init__()
        self.heads = config.num_heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        if config.sigma_reparam:
            convert_linears(self)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Attends from queries ``[B, Q, width]`` to keys with values, both ``[B, N, width]``.

        Returns:
            ``[B, Q, width]``, and the weights ``[B, heads, Q, N]``, which sum to 1 over the keys.
        """
        q, k, v = (
            states.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for states in (self.query(queries), self.key(keys), self.value(values))
        )
        weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).float().softmax(-1)
        attended = (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)
        return self.out(attended), weights


class FeedForward(nn.Module):
    """Pre-norm feed-forward block with its residual."""

    def __init__(self, config: HandConfig, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, config.ffn_size)
        self.down = nn.Linear(config.ffn_size, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """``[..., width]`` → the same shape."""
        return tokens + self.dropout(self.down(F.gelu(self.up(self.norm(tokens)))))


class SelfAttentionLayer(nn.Module):
    """Pre-norm self-attention and a feed-forward block; ``positions`` go to queries and keys alone."""

    def __init__(self, config: HandConfig, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(config, width)
        self.dropout = nn.Dropout(config.dropout)
        self.feed_forward = FeedForward(config, width)

    def forward(self, tokens: Tensor, positions: Tensor | float) -> Tensor:
        """``[B, N, width]`` → the same shape."""
        states = self.norm(tokens)
        placed = states + positions
        attended, _ = self.attention(placed, placed, states)
        result: Tensor = self.feed_forward(tokens + self.dropout(attended))
        return result


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each place: without statistics of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Down(nn.Module):
    """Halves both sides."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.norm = _ChannelNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, h, w]`` → ``[B, outputs, h / 2, w / 2]``."""
        return F.relu(self.norm(self.conv(x)))


class Residual(nn.Module):
    """A convolution whose result is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = _ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, width, h, w]`` → the same shape."""
        return x + F.relu(self.norm(self.conv(x)))


def head(width: int, outputs: int, wide: bool) -> nn.Sequential:
    """Two layers that read numbers off a token."""
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), output_layer(width, outputs, wide))


def output_layer(width: int, outputs: int, wide: bool) -> nn.Linear:
    """The last layer of a head: near zero at first, or wide, see ``wide_initialisation`` of the configuration."""
    layer = nn.Linear(width, outputs)
    nn.init.normal_(layer.weight, std=0.02 if wide else 1e-3)
    if wide:
        nn.init.normal_(layer.bias, std=0.01)
    else:
        nn.init.zeros_(layer.bias)
    return layer


def places_xy(features: Tensor) -> Tensor:
    """Centres of the places of a map ``[..., h, w]`` as fractions of the picture: ``[h · w, 2]``, row by row."""
    height, width = features.shape[-2:]
    y = (torch.arange(height, device=features.device) + 0.5) / height
    x = (torch.arange(width, device=features.device) + 0.5) / width
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).flatten(0, 1)


def sine_positions(places: Tensor, width: int) -> Tensor:
    """Sines and cosines of coordinates in 0–1 (Vaswani et al., 2017, in 2-D): ``[..., 2]`` → ``[..., width]``."""
    count = width // 4
    frequencies = torch.pi * 32.0 ** (torch.arange(count, device=places.device) / count)
    angles = places[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
