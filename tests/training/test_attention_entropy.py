"""Entropy of attention beside the attention itself: right, named by layer, and without a trace in what is computed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argusvl.training.attention_entropy import attention_entropy, observed_attention


def by_hand(weights: Tensor) -> float:
    """``[heads, queries, keys]``; 0 where a key is not seen."""
    number = (weights > 0).sum(-1)
    entropy = -(weights * weights.clamp(min=1e-30).log()).sum(-1)
    several = number >= 2
    return float((entropy[several] / number[several].log()).mean())


@pytest.mark.parametrize("mask", ["none", "causal", "boolean", "added"])
def test_it_is_that_of_the_weights(mask: str) -> None:
    torch.manual_seed(0)
    q, k = 2 * torch.randn(3, 4, 6, 8), torch.randn(3, 2, 6, 8)
    lower = torch.ones(6, 6, dtype=torch.bool).tril()
    options: dict[str, Any] = {
        "none": {},
        "causal": {"is_causal": True},
        "boolean": {"attn_mask": lower.expand(3, 1, 6, 6)},
        "added": {"attn_mask": torch.zeros(3, 1, 6, 6).masked_fill(~lower, torch.finfo(torch.float32).min)},
    }[mask]
    scores = q[0] @ k[0].repeat_interleave(2, 0).transpose(1, 2) / math.sqrt(8)
    weights = (scores if mask == "none" else scores.masked_fill(~lower, -math.inf)).softmax(-1)
    found = attention_entropy(q, k, **options)
    assert found is not None and found.item() == pytest.approx(by_hand(weights), rel=1e-5)


def test_even_attention_is_1_and_one_place_is_0() -> None:
    k = torch.eye(8)[None, None]
    even, narrow = (attention_entropy(scale * k, k) for scale in (0.0, 1e3))
    assert even is not None and narrow is not None
    assert even.item() == pytest.approx(1) and narrow.item() == pytest.approx(0, abs=1e-6)


def test_one_key_has_no_entropy() -> None:
    assert attention_entropy(torch.randn(1, 2, 4, 8), torch.randn(1, 2, 1, 8)) is None


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Linear(8, 8)
        self.layers = nn.ModuleList([nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)])

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.layers[0](x, x, x, need_weights=False)
        q = self.own(y)[:, None]
        return F.scaled_dot_product_attention(q, q, q)


def test_layers_have_their_names_and_results_are_the_same_to_the_bit() -> None:
    torch.manual_seed(0)
    model, x = Layers(), torch.randn(2, 5, 8)
    seen: dict[str, Tensor] = {}
    plain = F.scaled_dot_product_attention
    results = []
    for observe in (False, True):
        torch.manual_seed(1)
        if observe:
            with observed_attention(nn.ModuleDict({"net": model}), seen):
                results.append((model(x), torch.rand(3)))
        else:
            results.append((model(x), torch.rand(3)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert set(seen) == {"net", "net.layers.0"} and all(0 < float(one) <= 1 for one in seen.values())
    assert F.scaled_dot_product_attention is plain


def test_an_error_in_a_layer_leaves_nothing_behind() -> None:
    plain = F.scaled_dot_product_attention
    with pytest.raises(AssertionError), observed_attention(model := Layers(), {}):
        model(torch.randn(2, 5, 7))
    assert F.scaled_dot_product_attention is plain
    assert not nn.modules.module._global_forward_pre_hooks
