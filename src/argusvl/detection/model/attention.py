"""Attention within segments of one row: windows of an image, samples of a packed batch. Its cost is Σ Lᵢ².

transformers' ``sdpa`` would attend over the whole row: at the cost of (Σ Lᵢ)², and, without a block mask, from one
sample to the next. :data:`VARLEN` is registered with transformers and takes its place; where nothing is packed it *is*
``sdpa``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from argusvl.core.errors import ModelError

VARLEN = "argus_varlen"
"""Name under which transformers knows it (one that held "flash" would be taken for flash attention)."""


def attend_segments(
    query: Tensor, key: Tensor, value: Tensor, boundaries: Tensor, *, causal: bool, scale: float
) -> Tensor:
    """Attention of each token to those of its own segment; ``causal``: to those before it alone.

    ``query``, ``key``, ``value`` and the result are ``[tokens, heads, dim]``. Where segments begin, and then the
    number of tokens, say the ``boundaries`` ``[segments + 1]``.
    """
    lengths = boundaries.diff()
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        from torch.nn.attention.varlen import varlen_attn

        longest, starts = int(lengths.max()), boundaries.int()
        window = (-1, 0 if causal else -1)
        attended: Any = varlen_attn(
            query, key, value, starts, starts, longest, longest, scale=scale, window_size=window
        )
        return torch.as_tensor(attended)
    parts, rows = [], []
    for length in lengths.unique().tolist():  # segments of one length in one call
        starts = boundaries[:-1][lengths == length].long()
        own = (starts[:, None] + torch.arange(length, device=starts.device)).flatten()
        every_token = len(own) == len(query)
        chosen = [t if every_token else t[own] for t in (query, key, value)]
        q, k, v = (t.view(len(starts), length, *t.shape[1:]).transpose(1, 2) for t in chosen)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale)
        out = out.transpose(1, 2).flatten(0, 1)
        if every_token:
            return out
        parts.append(out)
        rows.append(own)
    return torch.cat(parts)[torch.cat(rows).argsort()]


def attend_short(query: Tensor, key: Tensor, value: Tensor, *, causal: bool) -> Tensor:
    """Attention over some dozens of tokens, ``[N, heads, tokens, dim]``; on a CPU in float32, whatever autocast says.

    There the backward pass of bfloat16 over so few takes four times as long.
    """
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    with torch.autocast("cpu", enabled=False):
        found = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), is_causal=causal)
    return found.to(query.dtype)


def packed_arguments(text_positions: Tensor) -> dict[str, Any]:
    """What attention must know of rows that hold several samples; nothing where each row is one sample.

    ``text_positions`` ``[rows, tokens]`` is 0 at the first token of each sample and nowhere else. What comes back
    are the arguments of flash attention for sequences without padding, as transformers passes them on.
    """
    firsts = (text_positions == 0).flatten().nonzero().flatten()
    if len(firsts) == len(text_positions):
        return {}
    boundaries = F.pad(firsts, (0, 1), value=text_positions.numel()).int()
    longest = int(boundaries.diff().max())
    return {
        "cu_seq_lens_q": boundaries,
        "cu_seq_lens_k": boundaries,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def check_can_pack(implementation: str | None) -> None:
    """Plain causal attention would let a packed sample see those before it.

    Raises:
        ModelError: This attention does not know where samples begin.
    """
    if implementation not in (VARLEN, "flash_attention_2", "flash_attention_3"):
        raise ModelError(
            f"the batch packs several samples into a row, and {implementation} attention would let each see those "
            "before it",
            remedy="write attn_implementation: sdpa or flash_attention_2, or collator_type: standard",
        )


def _varlen_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    cu_seq_lens_q: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """As transformers calls it: ``[rows, heads, tokens, dim]`` → ``[rows, tokens, heads, dim]``."""
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    rows, heads, tokens, _ = query.shape
    key, value = (t.repeat_interleave(heads // t.shape[1], dim=1) for t in (key, value))
    q, k, v = (t.transpose(1, 2).flatten(0, 1) for t in (query, key, value))
    attended = attend_segments(q, k, v, cu_seq_lens_q, causal=True, scale=scaling)
    return attended.unflatten(0, (rows, tokens)), None


AttentionInterface.register(VARLEN, _varlen_attention)
AttentionMaskInterface.register(VARLEN, sdpa_mask)
