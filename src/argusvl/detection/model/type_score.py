"""Scores of each query for the labels of a vocabulary, without writing a caption for each query."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.layers import MLP


class TypeScorer(nn.Module):
    """Compares a query with encoded label strings by cosine similarity and a learned temperature.

    A label is encoded from its tokens' embeddings (the language model's own), so labels that were never trained
    on can be asked for. Their mean is the same for "12" and "21": where a vocabulary has such pairs, each embedding is
    turned round by its place first (``in_order``).
    """

    def __init__(self, config: ArgusDetectionConfig) -> None:
        super().__init__()
        text_size = config.text_sizes.hidden_size
        self.in_order = config.labels_in_order
        self.label_norm = nn.LayerNorm(text_size)
        self.label_encoder = MLP(text_size, config.hidden_size, config.hidden_size, 2)
        self.query_encoder = MLP(config.hidden_size, config.hidden_size, config.hidden_size, 2)
        self.log_scale = nn.Parameter(torch.tensor([2.3]))  # a scalar could not be shared out by FSDP2

    def encode_labels(self, vocabulary_ids: Tensor, embed_tokens: nn.Module) -> Tensor:
        """Token ids of the labels ``[V, C]``, padded with -100 → unit vectors ``[V, D]``."""
        known = vocabulary_ids != -100
        embedded = embed_tokens(vocabulary_ids.clamp(min=0)) * known[..., None]
        if self.in_order:
            embedded = torch.stack(
                [row.roll(place, -1) for place, row in enumerate(embedded.unbind(1))], dim=1
            )
        mean = embedded.sum(1) / known.sum(1, keepdim=True).clamp(min=1)
        return F.normalize(self.label_encoder(self.label_norm(mean)).float(), dim=-1)

    def forward(self, queries: Tensor, labels: Tensor, seen: Tensor | None = None) -> Tensor:
        """Queries ``[..., D]`` and encoded labels ``[V, D]`` → logits ``[..., V]``; softmax over V gives classes.

        ``seen`` ``[..., D]``: what a second eye adds to the encoded queries.
        """
        encoded = F.normalize(self.query_encoder(queries).float(), dim=-1)
        if seen is not None:  # both have the same say, however long a trained query has become
            encoded = encoded + F.normalize(seen.float(), dim=-1)
        return self.compare(encoded, labels)

    def compare(self, encoded: Tensor, labels: Tensor) -> Tensor:
        """What speaks for a kind ``[..., D]`` and encoded labels ``[V, D]`` → logits ``[..., V]``."""
        # In full precision: autocast would round logits of 10 to steps of 0.06.
        with torch.autocast(encoded.device.type, enabled=False):
            unit = F.normalize(encoded.float(), dim=-1)
            return unit @ labels.T * self.log_scale.float().exp().clamp(max=100)
