"""The stock vision tower, made fast without flash attention, and its tokens put back into raster order."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionPatchEmbed,
    Qwen2_5_VisionTransformerPretrainedModel,
    Qwen2_5_VLVisionAttention,
)
from transformers.vision_utils import get_vision_window_index

from argusvl.detection.model.attention import attend_segments


class LinearPatchEmbed(Qwen2_5_VisionPatchEmbed):
    """Patch embedding as the matrix product that it is.

    The stock class convolves each patch by a kernel of its own size: five times slower on a CPU. Same parameters, same
    result.
    """

    def forward(self, hidden_states: Tensor) -> Tensor:
        """``hidden_states``: ``[patches, channels · frames · height · width]``."""
        weight = self.proj.weight.flatten(1)
        return F.linear(hidden_states.view(-1, weight.shape[1]).to(weight.dtype), weight)


class Rotation(torch.autograd.Function):
    """Rotary position embedding in float32, whose backward pass is the rotation back.

    Autograd's own would keep four intermediate tensors and fill two with zeros for every tensor that is rotated: a
    tenth of a small tower's training step.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """``states``: ``[tokens, …, dim]``; ``cos`` and ``sin``: ``[tokens, dim / 2]``, as the halves share them."""
        ctx.save_for_backward(cos, sin)
        return _rotated(states, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """The gradient turned by the opposite angles."""
        cos, sin = ctx.saved_tensors
        return _rotated(grads[0], cos, -sin), None, None


def _rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    shape = (len(cos), *[1] * (states.dim() - 2), -1)
    cos, sin = cos.view(shape), sin.view(shape)
    first, second = states.float().chunk(2, dim=-1)
    rotated = torch.empty(states.shape, dtype=torch.float32, device=states.device)
    left, right = rotated.chunk(2, dim=-1)
    torch.mul(first, cos, out=left).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=right).addcmul_(first, sin)
    return rotated.to(states.dtype)


class BatchedWindowAttention(Qwen2_5_VLVisionAttention):
    """Vision attention that runs all windows of one length in one call.

    The stock class, without flash attention, calls the attention function once per window in a Python loop:
    48 calls a layer for four images of 448 × 336. Same parameters, same result.
    """

    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        cu_seqlens: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        max_seqlen: int | None = None,
        **kwargs: object,
    ) -> Tensor:
        """``hidden_states``: ``[tokens, width]`` in window order; ``cu_seqlens``: window boundaries."""
        tokens = hidden_states.shape[0]
        states = self.qkv(hidden_states).view(tokens, 3, self.num_heads, self.head_dim)
        cos, sin = (part[:, : self.head_dim // 2].float() for part in position_embeddings)
        query, key = Rotation.apply(states[:, :2], cos, sin).unbind(1)
        value = states[:, 2]
        device = hidden_states.device.type
        if device == "cpu":
            # On a CPU the backward pass of bfloat16 attention over short windows takes twice as long as float32's.
            query, key, value = query.float(), key.float(), value.float()
        with torch.autocast(device, enabled=torch.is_autocast_enabled(device) and device != "cpu"):
            attended = attend_segments(query, key, value, cu_seqlens, causal=False, scale=self.scaling)
        return self.proj(attended.reshape(tokens, -1).to(hidden_states.dtype))


def make_fast(tower: Qwen2_5_VisionTransformerPretrainedModel) -> None:
    """Puts the modules of this file into a stock tower; parameters stay as they are."""
    tower.patch_embed.__class__ = LinearPatchEmbed
    for block in tower.blocks:
        block.attn.__class__ = BatchedWindowAttention


def raster_rows(
    grid_thw: Int[Tensor, "n 3"], tower: Qwen2_5_VisionTransformerPretrainedModel
) -> list[Int[Tensor, "h w"]]:
    """Where each patch of each image stands in the tower's ``last_hidden_state``.

    The tower leaves its tokens in window order and, inside, in blocks of 2 × 2 patches that the merger joins.

    Returns:
        For each image, the row of ``last_hidden_state`` that holds the patch at (y, x): ``[h, w]``. They are counted on
        the host, many small steps, and go to the grid's device in one copy.
    """
    device, grid_thw = grid_thw.device, grid_thw.cpu()
    merge, patch_size = tower.spatial_merge_size, tower.patch_size
    assert isinstance(patch_size, int)
    window_index, _ = get_vision_window_index(grid_thw, merge, tower.window_size, patch_size)
    block_at = torch.argsort(window_index)  # block in image order → its place in window order
    rows, first_block = [], 0
    for _, height, width in grid_thw.tolist():
        blocks = block_at[first_block : first_block + height * width // merge**2].view(
            height // merge, width // merge
        )
        inside = torch.arange(merge**2).view(merge, merge)
        patches = blocks[:, None, :, None] * merge**2 + inside[None, :, None, :]
        rows.append(patches.flatten())
        first_block += blocks.numel()
    flat = torch.cat(rows).to(device).split([len(one) for one in rows])
    return [one.view(*sides) for one, sides in zip(flat, grid_thw[:, 1:].tolist(), strict=True)]


def sine_embedding(values: Float[Tensor, "*shape k"], width: int) -> Float[Tensor, "*shape width"]:
    """Sine and cosine features of coordinates in 0–1, ``width / k`` for each (Vaswani et al., 2017, in 2-D)."""
    count = values.shape[-1]
    frequencies = width // (2 * count)
    exponents = torch.arange(frequencies, device=values.device, dtype=torch.float32) / frequencies
    angles = values.float()[..., None] * (2 * torch.pi) * (64.0**exponents)
    features = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
    return F.pad(features, (0, width - features.shape[-1]))
