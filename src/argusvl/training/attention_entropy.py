"""How widely attention looks: its entropy by layer, from the queries and keys of one row of a batch.

``scaled_dot_product_attention`` returns no weights. Where it is called while it is observed, the weights of a few
queries of the first row are computed beside it, of each layer once. What attends otherwise (flash attention, PyTorch's
variable-length attention) is not seen.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

MOST_QUERIES = 32
"""Of a row, spread evenly over it: the cost is theirs times the number of keys."""


@contextlib.contextmanager
def observed_attention(network: nn.Module, into: dict[str, Tensor]) -> Iterator[None]:
    """In its body attention of the network's layers is observed; what it computes stays as it is.

    Args:
        network: Its modules give the layers their names.
        into: Name of the module that attends → the mean over heads and queries, a scalar on its device, of the
            entropy over the greatest one possible: 0 where each query looks at one key, 1 where it looks at all alike.
    """
    names = {module: name for name, module in network.named_modules()}
    inside: list[str] = []
    functional: Any = F  # layers look it up there at each call, torch's own among them
    plain = functional.scaled_dot_product_attention

    def entered(module: nn.Module, _: Any) -> None:
        inside.append(names.get(module, inside[-1] if inside else ""))

    def left(*_: Any) -> None:
        if inside:
            inside.pop()

    def attend(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        name = inside[-1] if inside else ""
        if name and name not in into:
            with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
                entropy = attention_entropy(query, key, *args, **kwargs)
            if entropy is not None:
                into[name] = entropy
        attended: Tensor = plain(query, key, value, *args, **kwargs)
        return attended

    hooks = [register_module_forward_pre_hook(entered), register_module_forward_hook(left, always_call=True)]
    functional.scaled_dot_product_attention = attend
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = plain
        for hook in hooks:
            hook.remove()


def attention_entropy(
    query: Tensor,
    key: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **_: Any,
) -> Tensor | None:
    """Entropy of the first row's attention over the greatest one possible, the mean over heads and queries.

    Args:
        query: ``[rows, heads, queries, dim]``; as the others, what ``scaled_dot_product_attention`` is given.
        key: ``[rows, heads, keys, dim]``, or fewer heads, each of which several heads of queries share.
        attn_mask: Boolean (true: seen) or added to the scores.
        dropout_p: Left out of account.
        is_causal: Whether a query sees keys up to its own place alone.
        scale: Of the scores.

    Returns:
        A scalar; ``None`` where no query sees two keys.
    """
    if query.ndim != 4 or query.numel() == 0 or key.shape[-2] < 2:
        return None
    queries, keys = query.shape[-2], key.shape[-2]
    chosen = torch.linspace(0, queries - 1, min(queries, MOST_QUERIES), device=query.device).round().long()
    q, k = query[0][:, chosen].detach().float(), key[0].detach().float()
    k = k.repeat_interleave(len(q) // len(k), dim=0)
    scores = q @ k.transpose(1, 2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    seen = torch.ones_like(scores, dtype=torch.bool)
    if is_causal:
        seen &= torch.arange(keys, device=q.device) <= chosen[:, None]
    if attn_mask is not None:
        mask = attn_mask.detach().expand(*query.shape[:2], queries, keys)[0][:, chosen]
        if mask.dtype == torch.bool:
            seen &= mask
        else:
            # Masks say "never" by the least number of their type, too.
            seen &= mask > torch.finfo(mask.dtype).min / 2
            scores = scores + mask.float()
    number = seen.sum(-1)
    several = number >= 2
    logs = scores.masked_fill(~seen, -math.inf).log_softmax(-1).masked_fill(~seen, 0.0)
    entropy = -(logs.exp() * logs * seen).sum(-1) / number.clamp(min=2).log()
    count = several.sum()
    mean = entropy.masked_fill(~several, 0.0).sum() / count.clamp(min=1)
    return torch.where(count > 0, mean, torch.nan)
