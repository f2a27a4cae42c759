"""The DETR decoder: queries attend to each other and to memory, layer by layer (Carion et al., 2020)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import RTDetrConfig
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.models.rt_detr.modeling_rt_detr import RTDetrMultiscaleDeformableAttention

from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.layers import FeedForward
from argusvl.detection.model.memory import Memory
from argusvl.detection.model.second_eye import LEVELS


class LocalSampling(nn.Module):
    """Deformable sampling of the 14-px raster around each query's box (Zhu et al., 2021), and of the second eye's maps.

    The maps have an attention of their own, so that weights from before fit as they are.
    """

    def __init__(self, config: ArgusDetectionConfig) -> None:
        super().__init__()
        self.attention = _looking_around(config, levels=1)
        self.eye_attention = None if config.second_eye == "none" else _looking_around(config, len(LEVELS))

    def forward(self, queries: Tensor, positions: Tensor, boxes: Tensor, memory: Memory) -> Tensor:
        """``queries``: ``[M, Q, D]``; ``boxes``: ``[M, Q, 4]`` cxcywh in 0–1 of the image."""
        images, height, width, size = memory.raster.shape
        # Fractions of the image → fractions of the padded raster.
        reference = boxes * memory.valid_ratio.repeat(1, 2)[:, None]
        sampled, _ = self.attention(
            hidden_states=queries,
            position_embeddings=positions,
            encoder_hidden_states=memory.raster.view(images, height * width, size),
            attention_mask=memory.raster_mask.flatten(1),
            # The parameters' precision, not the queries': in bfloat16 a point would be off by up to a cell.
            reference_points=reference[:, :, None].to(self.attention.value_proj.weight.dtype),
            spatial_shapes_list=[(height, width)],
        )
        if self.eye_attention is None or memory.eye is None:
            return sampled
        levels = memory.eye.levels
        reference = memory.eye.references(boxes)
        also, _ = self.eye_attention(
            hidden_states=queries,
            position_embeddings=positions,
            encoder_hidden_states=torch.cat([level.flatten(1, 2) for level in levels], dim=1),
            attention_mask=torch.cat([mask.flatten(1) for mask in memory.eye.masks], dim=1),
            reference_points=reference.to(self.attention.value_proj.weight.dtype),
            spatial_shapes_list=[(level.shape[1], level.shape[2]) for level in levels],
        )
        return sampled + also


def _looking_around(config: ArgusDetectionConfig, levels: int) -> RTDetrMultiscaleDeformableAttention:
    """Each head starts by looking in its own direction, its points at growing distance from the centre."""
    shape = RTDetrConfig(d_model=config.hidden_size, num_feature_levels=levels)
    attention = RTDetrMultiscaleDeformableAttention(shape, config.num_heads, config.sampling_points)
    angles = torch.arange(config.num_heads) * (2 * torch.pi / config.num_heads)
    directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
    directions = directions / directions.abs().amax(-1, keepdim=True)
    distances = torch.arange(1, config.sampling_points + 1, dtype=torch.float32)
    offsets = directions[:, None, None] * distances[:, None]  # [heads, 1, points, 2]
    with torch.no_grad():
        attention.sampling_offsets.weight.zero_()
        attention.sampling_offsets.bias.copy_(offsets.expand(-1, levels, -1, -1).flatten())
        attention.attention_weights.weight.zero_()
        attention.attention_weights.bias.zero_()
    return attention


class GlobalAttention(nn.Module):
    """Attention of queries to every cell of the raster: the seed's form, for ``learned`` queries."""

    def __init__(self, config: ArgusDetectionConfig) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            config.hidden_size, config.num_heads, dropout=config.dropout, batch_first=True
        )

    def forward(self, queries: Tensor, positions: Tensor, boxes: Tensor | None, memory: Memory) -> Tensor:
        """``queries``: ``[M, Q, D]``; boxes are not used."""
        value = memory.raster.flatten(1, 2)
        key = value + memory.raster_positions.flatten(1, 2).to(value.dtype)
        attended, _ = self.attention(
            queries + positions,
            key,
            value,
            key_padding_mask=~memory.raster_mask.flatten(1),
            need_weights=False,
        )
        return attended


class DecoderLayer(GradientCheckpointingLayer):
    """Self-attention, vision memory, language memory, feed-forward; pre-norm.

    ``local``: sample the raster around each query's box, in place of attending to all of it.
    """

    def __init__(self, config: ArgusDetectionConfig, local: bool) -> None:
        super().__init__()
        size, heads = config.hidden_size, config.num_heads
        self.self_norm, self.vision_norm, self.language_norm = (nn.LayerNorm(size) for _ in range(3))
        self.self_attention = nn.MultiheadAttention(size, heads, dropout=config.dropout, batch_first=True)
        self.vision = LocalSampling(config) if local else GlobalAttention(config)
        self.language_attention = nn.MultiheadAttention(size, heads, dropout=config.dropout, batch_first=True)
        self.feed_forward = FeedForward(size, config.ffn_size, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        queries: Float[Tensor, "m q d"],
        positions: Float[Tensor, "m q d"],
        boxes: Float[Tensor, "m q 4"] | None,
        memory: Memory,
        padding: Bool[Tensor, "m q"] | None,
    ) -> Float[Tensor, "m q d"]:
        """Refines queries, given their positions and boxes; no query attends to padding."""
        normed = self.self_norm(queries)
        attended, _ = self.self_attention(
            normed + positions, normed + positions, normed, key_padding_mask=padding, need_weights=False
        )
        queries = queries + self.dropout(attended)
        queries = queries + self.dropout(self.vision(self.vision_norm(queries), positions, boxes, memory))
        attended, _ = self.language_attention(
            self.language_norm(queries) + positions,
            memory.language + memory.language_positions.to(memory.language.dtype),
            memory.language,
            key_padding_mask=~memory.language_mask,
            need_weights=False,
        )
        return self.feed_forward(queries + self.dropout(attended))
