"""The two forms of queries and how they become boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.decoder import DecoderLayer
from argusvl.detection.model.layers import MLP, FeedForward
from argusvl.detection.model.memory import Memory
from argusvl.detection.model.vision import sine_embedding

# Objectness starts at this probability, so that the first steps are not spent on pushing background down
# (Lin et al., 2017, section 4.1).
PRIOR_PROBABILITY = 0.01
_PRIOR_LOGIT = float(torch.logit(torch.tensor(PRIOR_PROBABILITY)))
# Padding never becomes an object: sigmoid(-20) is 2e-9.
NEVER = -20.0


@dataclass
class QueryPredictions:
    """What one stage says of its queries.

    Attributes:
        states: ``[M, Q, D]``.
        boxes_raw: ``[M, Q, 4]``, before the sigmoid.
        objectness_logits: ``[M, Q]``.
        padding: ``[M, Q]``, true where a query is none: an image with fewer cells than the batch's largest one can
            have fewer than it has. ``None``: all are queries.
    """

    states: Float[Tensor, "m q d"]
    boxes_raw: Float[Tensor, "m q 4"]
    objectness_logits: Float[Tensor, "m q"]
    padding: Bool[Tensor, "m q"] | None = None

    @property
    def boxes_cxcywh_norm(self) -> Float[Tensor, "m q 4"]:
        """``[M, Q, 4]`` in 0–1 of the image."""
        return self.boxes_raw.sigmoid()


class PredictionHead(nn.Module):
    """Box offsets and objectness of query states."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.box = MLP(hidden_size, hidden_size, 4, 3, zero_last=True)
        self.objectness = nn.Linear(hidden_size, 1)
        nn.init.constant_(self.objectness.bias, _PRIOR_LOGIT)

    def forward(self, states: Tensor, anchor_logits: Tensor | None) -> QueryPredictions:
        """``anchor_logits`` ``[M, Q, 4]``: what box offsets are added to, pre-sigmoid."""
        *before, last = self.box
        hidden = states
        for layer in before:
            hidden = layer(hidden)
        # In full precision: autocast would round an offset of 2 to steps of 0.016, a pixel of a 448-pixel image.
        assert isinstance(last, nn.Linear)
        with torch.autocast(states.device.type, enabled=False):
            offsets = last(hidden.to(last.weight.dtype)).float()
        boxes = offsets if anchor_logits is None else offsets + anchor_logits
        return QueryPredictions(states, boxes, self.objectness(states).squeeze(-1).float())


class LearnedQueries(nn.Module):
    """The seed's form: learned embeddings that attend to all memory; each layer predicts boxes from nothing."""

    def __init__(self, config: ArgusDetectionConfig) -> None:
        super().__init__()
        self.content = nn.Parameter(torch.zeros(config.num_queries, config.hidden_size))
        self.positions = nn.Parameter(torch.randn(config.num_queries, config.hidden_size))
        self.layers = nn.ModuleList(
            DecoderLayer(config, local=False) for _ in range(config.decoder_num_layers)
        )
        self.norm = nn.LayerNorm(config.hidden_size)
        self.head = PredictionHead(config.hidden_size)
        # Boxes start spread out rather than all in the middle: the last layer must not be zero here.
        last = self.head.box[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.1)

    def forward(self, memory: Memory) -> tuple[list[QueryPredictions], None]:
        """Memory of ``M`` images → predictions of each layer."""
        images = memory.raster.shape[0]
        queries = self.content.expand(images, -1, -1)
        positions = self.positions.expand(images, -1, -1)
        outputs = []
        for layer in self.layers:
            queries = layer(queries, positions, None, memory, None)
            outputs.append(self.head(self.norm(queries), None))
        return outputs, None


class ConvolutionBlock(nn.Module):
    """Depthwise 3 × 3 convolution and feed-forward on the raster (after ConvNeXt, Liu et al., 2022).

    Windowed attention of a young tower has no notion of neighbourhood across windows; this gives it one.
    """

    def __init__(self, hidden_size: int, ffn_size: int, dropout: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(hidden_size, hidden_size, 3, padding=1, groups=hidden_size)
        self.feed_forward = FeedForward(hidden_size, ffn_size, dropout)

    def forward(self, raster: Tensor, mask: Tensor) -> Tensor:
        """``raster``: ``[M, H, W, D]``; cells outside the mask count as zero."""
        channels_first = (raster * mask[..., None]).permute(0, 3, 1, 2)
        mixed = raster + self.depthwise(channels_first).permute(0, 2, 3, 1)
        return self.feed_forward(mixed)


class ProposalQueries(nn.Module):
    """Two-stage queries: the best cells of the raster, refined where they are (Zhu et al., 2021; Zhang et al., 2023).

    Every cell proposes a box around its own centre; the ``num_queries`` cells of highest objectness become
    queries. Each layer samples the raster around the query's present box and corrects it.
    """

    # Width and height that a cell's box starts from, as a fraction of the image.
    ANCHOR_SIZE = 0.1

    def __init__(self, config: ArgusDetectionConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.num_queries = config.num_queries
        self.neck = ConvolutionBlock(size, config.ffn_size, config.dropout)
        self.proposal_norm = nn.LayerNorm(size)
        self.proposal_head = PredictionHead(size)
        self.content = nn.Linear(size, size)
        self.position_encoder = MLP(size, size, size, 2)
        self.layers = nn.ModuleList(
            DecoderLayer(config, local=True) for _ in range(config.decoder_num_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(config.decoder_num_layers))
        self.heads = nn.ModuleList(PredictionHead(size) for _ in range(config.decoder_num_layers))

    def forward(self, memory: Memory) -> tuple[list[QueryPredictions], QueryPredictions]:
        """Memory of ``M`` images → predictions of each layer, and of every cell."""
        memory.raster = self.neck(memory.raster, memory.raster_mask)
        proposals = self._propose(memory)
        assert proposals.padding is not None
        count = min(self.num_queries, proposals.objectness_logits.shape[1])
        # Padding is chosen only where an image has fewer cells than there are queries.
        scores = proposals.objectness_logits.masked_fill(proposals.padding, -torch.inf)
        chosen = scores.topk(count, dim=1).indices[..., None]
        states = self.content(proposals.states.gather(1, chosen.expand(-1, -1, proposals.states.shape[-1])))
        boxes_raw = proposals.boxes_raw.gather(1, chosen.expand(-1, -1, 4)).detach()
        padding = proposals.padding.gather(1, chosen[..., 0])
        outputs = []
        for layer, norm, head in zip(self.layers, self.norms, self.heads, strict=True):
            boxes = boxes_raw.sigmoid()
            positions = self.position_encoder(sine_embedding(boxes, states.shape[-1]).to(states.dtype))
            states = layer(states, positions, boxes, memory, padding)
            prediction = _without_padding(head(norm(states), boxes_raw), padding)
            outputs.append(prediction)
            # A layer learns to correct the box that it was given, not to steer the layers before it.
            boxes_raw = prediction.boxes_raw.detach()
        return outputs, proposals

    def _propose(self, memory: Memory) -> QueryPredictions:
        centres = memory.centres.clamp(0, 1)
        anchors = torch.cat([centres, torch.full_like(centres, self.ANCHOR_SIZE)], dim=-1)
        states = self.proposal_norm(memory.raster.flatten(1, 2))
        proposals = self.proposal_head(states, anchors.logit(eps=1e-4))
        return _without_padding(proposals, ~memory.raster_mask.flatten(1))


def _without_padding(prediction: QueryPredictions, padding: Tensor) -> QueryPredictions:
    """Marks the queries that are none, and lets none of them be an object."""
    objectness = prediction.objectness_logits.masked_fill(padding, NEVER)
    return QueryPredictions(prediction.states, prediction.boxes_raw, objectness, padding)


QUERY_FORMS: dict[str, type[nn.Module]] = {"learned": LearnedQueries, "proposals": ProposalQueries}
"""The forms of queries by their name in ``detection_queries``."""
