"""The detection head: memory → queries → boxes, objectness, type scores and captions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argusvl.detection.model.captioner import CaptionDecoder
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.losses import (
    PROPOSAL,
    AssignedPairs,
    Descriptions,
    LossSettings,
    decoder_terms,
    match_cells,
    terms_of,
)
from argusvl.detection.model.matching import Targets
from argusvl.detection.model.memory import Memory, MemoryBuilder
from argusvl.detection.model.queries import QUERY_FORMS, QueryPredictions
from argusvl.detection.model.type_score import TypeScorer


@dataclass
class HeadOutput:
    """What the head says of ``M`` images: each decoder layer, and the proposal stage where there is one.

    ``labels`` ``[V, D]`` is the encoded vocabulary.
    """

    memory: Memory
    layers: list[QueryPredictions]
    type_logits: list[Tensor]
    proposals: QueryPredictions | None
    labels: Tensor


class DetectionHead(nn.Module):
    """Finds and describes; reads the stock model's states, embeddings and output layer, owns none of them."""

    def __init__(self, config: ArgusDetectionConfig) -> None:
        super().__init__()
        self.memory_builder = MemoryBuilder(config)
        self.queries = QUERY_FORMS[config.queries](config)
        self.type_scorer = TypeScorer(config)
        self.captioner = CaptionDecoder(config)

    def forward(
        self,
        rasters: list[Tensor],
        image_states: list[Tensor],
        prompt_states: list[Tensor],
        pictures: list[Tensor],
        vocabulary_ids: Tensor,
        embed_tokens: nn.Module,
    ) -> HeadOutput:
        """See :class:`MemoryBuilder` for the first four; ``vocabulary_ids``: ``[V, C]`` padded with -100."""
        memory = self.memory_builder(rasters, image_states, prompt_states, pictures)
        layers, proposals = self.queries(memory)
        labels = self.type_scorer.encode_labels(vocabulary_ids, embed_tokens)
        type_logits = []
        for layer in layers:
            images, count, width = layer.states.shape
            image = torch.arange(images, device=layer.states.device).repeat_interleave(count)
            seen = self._seen(layer.boxes_cxcywh_norm.flatten(0, 1), image, memory)
            seen = None if seen is None else seen.view(images, count, width)
            type_logits.append(self.type_scorer(layer.states, labels, seen))
        return HeadOutput(memory, layers, type_logits, proposals, labels)

    def load_packaged(self) -> None:
        """The second eye takes the weights that its package brings; without one nothing happens."""
        if self.memory_builder.eye is not None:
            self.memory_builder.eye.load_packaged()

    def _seen(self, boxes: Tensor, image: Tensor, memory: Memory) -> Tensor | None:
        """What the second eye saw in ``N`` boxes."""
        eye = self.memory_builder.eye
        return None if eye is None or memory.eye is None else eye.of_boxes(boxes.detach(), image, memory.eye)

    def loss_terms(
        self,
        output: HeadOutput,
        targets: Targets,
        caption_ids: Tensor,
        embed_tokens: nn.Module,
        lm_head: nn.Module,
        settings: LossSettings,
    ) -> dict[str, Tensor]:
        """Every term of the head as a sum; ``caption_ids``: ``[T, C]`` padded with -100."""
        terms, assignment = decoder_terms(output.layers, output.type_logits, targets, settings)
        if output.proposals is not None:
            terms |= self._proposal_terms(output, targets, settings)
        kinds = self._kinds_at_truth(output, targets)
        if kinds is not None:
            terms["type_aux"] = kinds + terms.get("type_aux", 0.0)
        last = output.layers[-1]
        # Of several queries that found an object, non-maximum suppression keeps the one with the highest score: it is
        # the one that describes.
        scores = last.objectness_logits.detach()[assignment.image, assignment.query]
        described = assignment.best_of_each(scores)
        image, query, captions = described.image, described.query, caption_ids[described.target]
        weight = 1.0
        if len(captions) == 0:
            # Without an object the decoder writes one token that weighs nothing: every rank of a distributed run
            # passes through the same modules and has the same gradients to share.
            image = query = captions = image.new_zeros(1)
            captions, weight = captions[:, None], 0.0
        prefix = self.captioner.prefix(
            last.states[image, query],
            last.boxes_cxcywh_norm[image, query].detach(),
            image,
            output.memory,
        )
        logits = self.captioner(prefix, captions, embed_tokens, lm_head)
        written = terms_of(Descriptions(logits, captions))
        return terms | {name: weight * value for name, value in written.items()}

    def _kinds_at_truth(self, output: HeadOutput, targets: Targets) -> Tensor | None:
        """What the second eye alone makes of each object, seen in its true box: a sum over objects, in ``type_aux``.

        It learns kinds from the first step on, long before the boxes of queries are upon their objects.
        """
        seen = self._seen(targets.boxes_cxcywh_norm, targets.image, output.memory)
        if seen is None or output.labels.shape[0] == 0:
            return None
        logits = self.type_scorer.compare(seen, output.labels)
        return F.cross_entropy(logits, targets.label, ignore_index=-1, reduction="sum")

    def _proposal_terms(
        self, output: HeadOutput, targets: Targets, settings: LossSettings
    ) -> dict[str, Tensor]:
        proposals, memory = output.proposals, output.memory
        assert proposals is not None
        assignment = match_cells(proposals, memory.centres, targets, settings)
        chosen = assignment.image, assignment.query
        seen = self._seen(proposals.boxes_cxcywh_norm[chosen], assignment.image, memory)
        type_logits = self.type_scorer(proposals.states[chosen], output.labels, seen)
        pairs = AssignedPairs(proposals, type_logits, assignment, targets, settings)
        return terms_of(pairs, PROPOSAL)
