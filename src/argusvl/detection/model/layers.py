"""Small building blocks that several parts of the head use."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Points of the grid, per side, that is laid into a box: what is seen of the object itself.
BOX_GRID = 4


def box_grid(boxes_cxcywh: Float[Tensor, "n 4"]) -> Float[Tensor, "n p 2"]:
    """Points inside boxes: the centres of ``BOX_GRID²`` equal parts, row after row."""
    # Offsets in (-0.5, 0.5) of the sides.
    offsets = (torch.arange(BOX_GRID, device=boxes_cxcywh.device) + 0.5) / BOX_GRID - 0.5
    grid = torch.stack(torch.broadcast_tensors(offsets[None, :], offsets[:, None]), dim=-1).view(1, -1, 2)
    centres, sides = boxes_cxcywh[:, None, :2], boxes_cxcywh[:, None, 2:]
    return centres + grid * sides


class MLP(nn.Sequential):
    """Linear layers with ReLU between them; the last one can start at zero, so that it changes nothing at first."""

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, num_layers: int, zero_last: bool = False
    ):
        sizes = [input_size, *[hidden_size] * (num_layers - 1), output_size]
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(sizes)):
            layers += [nn.Linear(a, b)] + ([nn.ReLU()] if i < num_layers - 1 else [])
        super().__init__(*layers)
        if zero_last:
            for parameter in layers[-1].parameters():
                nn.init.zeros_(parameter)


class FeedForward(nn.Module):
    """Pre-norm feed-forward block with its residual."""

    def __init__(self, hidden_size: int, ffn_size: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.up = nn.Linear(hidden_size, ffn_size)
        self.down = nn.Linear(ffn_size, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """``[..., hidden_size]`` → the same shape."""
        return hidden_states + self.dropout(self.down(nn.functional.gelu(self.up(self.norm(hidden_states)))))
