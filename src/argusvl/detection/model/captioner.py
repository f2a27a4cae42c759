"""The caption decoder: writes the description of a chosen box, token by token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from argusvl.core.errors import ModelError
from argusvl.detection.model.attention import attend_short
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.label_trie import LabelTrie
from argusvl.detection.model.layers import BOX_GRID, MLP, FeedForward, box_grid
from argusvl.detection.model.memory import Memory


class CausalLayer(GradientCheckpointingLayer):
    """Causal self-attention with a key/value cache, and feed-forward; pre-norm."""

    def __init__(self, hidden_size: int, num_heads: int, ffn_size: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(hidden_size)
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)
        self.feed_forward = FeedForward(hidden_size, ffn_size, dropout)

    def forward(
        self, hidden_states: Tensor, cache: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """``[N, T, D]`` → the same shape, and the cache ``2 × [N, heads, past + T, D / heads]``."""
        count, length, size = hidden_states.shape
        qkv = self.qkv(self.norm(hidden_states)).view(
            count, length, 3, self.num_heads, size // self.num_heads
        )
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        if cache is not None:
            key, value = torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)
        # With a cache there is one new token, which may look at everything.
        attended = attend_short(query, key, value, causal=cache is None)
        hidden_states = hidden_states + self.out(attended.transpose(1, 2).reshape(count, length, size))
        return self.feed_forward(hidden_states), (key, value)


class CaptionDecoder(nn.Module):
    """Autoregressive decoder whose prefix is the query's state and the memory sampled inside its box.

    Embeddings and vocabulary are the language model's: its modules are called, none is copied.
    """

    def __init__(self, config: ArgusDetectionConfig) -> None:
        super().__init__()
        size = config.hidden_size
        text_size = config.text_sizes.hidden_size
        self.prefix_length = 1 + BOX_GRID**2
        self.query_input = nn.Linear(size, size)
        self.cell_input = nn.Linear(size, size)
        self.eye_input = None if config.second_eye == "none" else nn.Linear(size, size)
        self.box_input = MLP(4, size, size, 2)
        self.token_input = nn.Linear(text_size, size)
        self.positions = nn.Parameter(
            torch.randn(self.prefix_length + config.caption_max_tokens, size) * 0.02
        )
        self.layers = nn.ModuleList(
            CausalLayer(size, config.num_heads, config.ffn_size, config.dropout)
            for _ in range(config.caption_decoder_num_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.token_output = nn.Linear(size, text_size)

    def forward(
        self,
        prefix: Float[Tensor, "n p d"],
        caption_ids: Int[Tensor, "n c"],
        embed_tokens: nn.Module,
        lm_head: nn.Module,
    ) -> Float[Tensor, "known vocabulary"]:
        """Teacher-forced logits.

        Args:
            prefix: From :meth:`prefix`.
            caption_ids: Padded with -100.
            embed_tokens: The language model's embedding.
            lm_head: The language model's output layer.

        Returns:
            Row after row: the logits of each token that is not padding, given those before it. (All of
            ``[N, C, vocabulary]`` would be gigabytes with 151,936 tokens.)

        Raises:
            ModelError: A caption is longer than the decoder has positions for.
        """
        if caption_ids.shape[1] > self.max_tokens:
            raise ModelError(
                f"object_caption_ids has {caption_ids.shape[1]} tokens a caption, "
                f"caption_max_tokens is {self.max_tokens}",
                remedy="shorten the descriptions, or build a head with a larger detection_caption_max_tokens",
            )
        tokens = self.token_input(embed_tokens(caption_ids[:, :-1].clamp(min=0)))
        hidden = torch.cat([prefix, tokens.to(prefix.dtype)], dim=1)
        hidden = hidden + self.positions[: hidden.shape[1]].to(hidden.dtype)
        for layer in self.layers:
            hidden, _ = layer(hidden)
        hidden = self.norm(hidden[:, self.prefix_length - 1 :])
        logits: Tensor = lm_head(self.token_output(hidden[caption_ids != -100]))
        return logits

    @torch.no_grad()
    def generate(
        self,
        prefix: Float[Tensor, "n p d"],
        embed_tokens: nn.Module,
        lm_head: nn.Module,
        max_tokens: int,
        end_token_ids: Sequence[int],
    ) -> Int[Tensor, "n c"]:
        """Greedy decoding with a cache: token ids, at most ``max_tokens``, -100 after the end."""
        ends = torch.tensor(list(end_token_ids), device=prefix.device)
        writing = _Writing(self, prefix, embed_tokens, lm_head)
        ended = torch.zeros(len(prefix), dtype=torch.bool, device=prefix.device)
        written: list[Tensor] = []
        token = None
        for _ in range(min(max_tokens, self.max_tokens)):
            token = writing.logits_after(token).argmax(-1)
            written.append(token.masked_fill(ended, -100))
            ended = ended | torch.isin(token, ends)
            if bool(ended.all()):
                break
        return torch.stack(written, dim=1)

    @torch.no_grad()
    def choose(
        self,
        prefix: Float[Tensor, "n p d"],
        embed_tokens: nn.Module,
        lm_head: nn.Module,
        trie: LabelTrie,
        group: Int[Tensor, " n"] | None = None,
    ) -> Int[Tensor, " n"]:
        """Greedy decoding among the descriptions of a closed vocabulary: the number of each, as the trie was built.

        At each step the likeliest of the tokens that may follow is taken, until one description alone is left.
        ``group`` is the group of descriptions that each is chosen from; the first one where there is none.

        Raises:
            ModelError: Telling the descriptions apart takes more tokens than the decoder writes.
        """
        if trie.steps > self.max_tokens:
            raise ModelError(
                f"telling the descriptions apart takes {trie.steps} tokens, caption_max_tokens is {self.max_tokens}",
                remedy="shorten the descriptions, or write captions openly",
            )
        states = prefix.new_zeros(len(prefix), dtype=torch.long) if group is None else group
        writing = _Writing(self, prefix, embed_tokens, lm_head)
        token = None
        for step in range(trie.steps):
            if bool((trie.sequence[states] >= 0).all()):
                break
            token, states = trie.advance(writing.logits_after(token), states, step)
        return trie.sequence[states]

    @property
    def max_tokens(self) -> int:
        """Tokens that the decoder has positions for."""
        return self.positions.shape[0] - self.prefix_length

    def prefix(
        self,
        states: Float[Tensor, "n d"],
        boxes_cxcywh_norm: Float[Tensor, "n 4"],
        image: Int[Tensor, " n"],
        memory: Memory,
    ) -> Float[Tensor, "n p d"]:
        """What is known of ``N`` boxes before a word is written: ``P`` is 1 + BOX_GRID².

        ``states`` are the queries'; ``image`` says which image of the memory each box is in.
        """
        # Outside of autocast, states may still come in half precision from inside it.
        dtype = self.query_input.weight.dtype
        points = box_grid(boxes_cxcywh_norm)
        inside = points * memory.valid_ratio[image][:, None]
        cells = self.cell_input(_sample(memory, inside, image).to(dtype))
        if self.eye_input is not None and memory.eye is not None:
            cells = cells + self.eye_input(memory.eye.at(points, image).to(dtype))
        first = self.query_input(states.to(dtype)) + self.box_input(boxes_cxcywh_norm.to(dtype))
        return torch.cat([first[:, None], cells], dim=1)


class _Writing:
    """Captions in progress: what was written so far is in the layers' caches."""

    def __init__(
        self, decoder: CaptionDecoder, prefix: Tensor, embed_tokens: nn.Module, lm_head: nn.Module
    ) -> None:
        self._decoder = decoder
        self._embed_tokens, self._lm_head = embed_tokens, lm_head
        self._dtype = prefix.dtype
        self._caches: list[tuple[Tensor, Tensor] | None] = [None] * len(decoder.layers)
        self._length = decoder.prefix_length
        self._hidden = prefix + decoder.positions[: self._length].to(prefix.dtype)

    def logits_after(self, token: Tensor | None) -> Tensor:
        """``[N, vocabulary]`` of what follows ``token`` ``[N]``; ``None``: of the first token."""
        if token is not None:
            embedded = self._decoder.token_input(self._embed_tokens(token))[:, None].to(self._dtype)
            self._hidden = embedded + self._decoder.positions[self._length].to(self._dtype)
            self._length += 1
        hidden = self._hidden
        for i, layer in enumerate(self._decoder.layers):
            hidden, self._caches[i] = layer(hidden, self._caches[i])
        logits: Tensor = self._lm_head(self._decoder.token_output(self._decoder.norm(hidden[:, -1])))
        return logits


def _sample(memory: Memory, points: Tensor, image: Tensor) -> Tensor:
    """Bilinear samples of the raster at ``points`` ``[N, K, 2]`` (0–1 of the padded grid) of ``image`` ``[N]``.

    Gathers the four neighbours of each point instead of repeating the raster for each box. Points stay within the
    image's own cells: what a batch pads must not reach a description.
    """
    raster = memory.raster
    _, height, width, _ = raster.shape
    scale = points.new_tensor([width, height])
    limit = (memory.sizes[image] - 1).to(points.dtype)[:, None]
    # A box that is not finite is for the losses to report; here it must not become an index.
    xy = torch.minimum((points.nan_to_num() * scale - 0.5).clamp(min=0), limit)
    low = xy.floor()
    fraction = (xy - low).to(raster.dtype)
    x0, y0 = low.long().unbind(-1)
    x1, y1 = (x0 + 1).clamp(max=width - 1), (y0 + 1).clamp(max=height - 1)
    fx, fy = fraction[..., :1], fraction[..., 1:]
    row = image[:, None].expand_as(x0)
    top = raster[row, y0, x0] * (1 - fx) + raster[row, y0, x1] * fx
    bottom = raster[row, y1, x0] * (1 - fx) + raster[row, y1, x1] * fx
    return top * (1 - fy) + bottom * fy
