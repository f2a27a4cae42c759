"""The stock vision tower, made fast without flash attention, and its tokens put back into raster order."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
    Qwen2_5_VLVisionAttention,
    apply_rotary_pos_emb_vision,
)
from transformers.vision_utils import get_vision_window_index


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
        query, key, value = self.qkv(hidden_states).view(tokens, 3, self.num_heads, self.head_dim).unbind(1)
        query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
        device = hidden_states.device.type
        if device == "cpu":
            # On a CPU the backward pass of bfloat16 attention over short windows takes twice as long as float32's.
            query, key, value = query.float(), key.float(), value.float()
        lengths = cu_seqlens.diff()
        attended = torch.empty_like(value)
        for length in lengths.unique().tolist():
            starts = cu_seqlens[:-1][lengths == length]
            every_token = len(starts) * length == tokens
            chosen, rows = (query, key, value), None
            if not every_token:
                rows = (starts.long()[:, None] + torch.arange(length, device=starts.device)).flatten()
                chosen = (query[rows], key[rows], value[rows])
            windows = [t.view(len(starts), length, self.num_heads, self.head_dim) for t in chosen]
            q, k, v = (w.transpose(1, 2) for w in windows)  # [windows, heads, length, head_dim]
            with torch.autocast(device, enabled=torch.is_autocast_enabled(device) and device != "cpu"):
                out = F.scaled_dot_product_attention(q, k, v, scale=self.scaling)
            out = out.transpose(1, 2).reshape(-1, self.num_heads, self.head_dim)
            attended = out if rows is None else attended.index_copy(0, rows, out)
        return self.proj(attended.reshape(tokens, -1).to(hidden_states.dtype))


def batch_windows(tower: Qwen2_5_VisionTransformerPretrainedModel) -> None:
    """Lets every block of a stock tower attend by :class:`BatchedWindowAttention`; parameters stay as they are."""
    for block in tower.blocks:
        block.attn.__class__ = BatchedWindowAttention


def raster_rows(
    grid_thw: Int[Tensor, "n 3"], tower: Qwen2_5_VisionTransformerPretrainedModel
) -> list[Int[Tensor, "h w"]]:
    """Where each patch of each image stands in the tower's ``last_hidden_state``.

    The tower leaves its tokens in window order and, inside, in blocks of 2 × 2 patches that the merger joins.

    Returns:
        For each image, the row of ``last_hidden_state`` that holds the patch at (y, x): ``[h, w]``.
    """
    merge, patch_size = tower.spatial_merge_size, tower.patch_size
    assert isinstance(patch_size, int)
    window_index, _ = get_vision_window_index(grid_thw, merge, tower.window_size, patch_size)
    block_at = torch.argsort(window_index)  # block in image order → its place in window order
    rows, first_block = [], 0
    for _, height, width in grid_thw.tolist():
        blocks = block_at[first_block : first_block + height * width // merge**2].view(
            height // merge, width // merge
        )
        inside = torch.arange(merge**2, device=blocks.device).view(merge, merge)
        patches = blocks[:, None, :, None] * merge**2 + inside[None, :, None, :]
        rows.append(patches.reshape(height, width))
        first_block += blocks.numel()
    return rows


def sine_embedding(values: Float[Tensor, "*shape k"], width: int) -> Float[Tensor, "*shape width"]:
    """Sine and cosine features of coordinates in 0–1, ``width / k`` for each (Vaswani et al., 2017, in 2-D)."""
    count = values.shape[-1]
    frequencies = width // (2 * count)
    exponents = torch.arange(frequencies, device=values.device, dtype=torch.float32) / frequencies
    angles = values.float()[..., None] * (2 * torch.pi) * (64.0**exponents)
    features = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
    return F.pad(features, (0, width - features.shape[-1]))
