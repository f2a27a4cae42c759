"""A packed batch is the padded one: the same outputs, loss terms and gradients, and no sample sees another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from argusvl.core.errors import ModelError
from argusvl.detection.model.attention import VARLEN, attend_segments


def logits_and_terms(model: Any, batch: dict[str, Any]) -> tuple[Tensor, Any]:
    """Logits of every token ``[B, L, V]``, and the output."""
    hidden: list[Tensor] = []
    norm = model.qwen.model.language_model.norm
    handle = norm.register_forward_hook(lambda _module, _args, output: hidden.append(output))
    output = model(**batch)
    handle.remove()
    return model.qwen.lm_head(hidden[0]), output


@pytest.mark.parametrize("queries", ["proposals", "learned"])
def test_packed_and_padded_are_equal(kit: Any, queries: str, mixture: Any) -> None:
    model, (_, samples) = kit.model(queries), mixture
    padded, packed = kit.collate(*samples), kit.collate(*samples, kind="packed")
    expected_logits, expected = logits_and_terms(model, padded)
    expected_gradients = kit.gradients(model, expected.loss_terms)
    logits, output = logits_and_terms(model, packed)
    real = padded["attention_mask"].bool()
    torch.testing.assert_close(logits[0], expected_logits[real], rtol=1e-4, atol=1e-5)
    assert set(output.loss_terms) == set(expected.loss_terms)
    for term, value in expected.loss_terms.items():
        torch.testing.assert_close(output.loss_terms[term], value, rtol=1e-4, atol=1e-5, msg=term)
    if expected.boxes_raw is not None:
        torch.testing.assert_close(output.boxes_raw, expected.boxes_raw, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(output.type_logits, expected.type_logits, rtol=1e-4, atol=1e-4)
    found = kit.gradients(model, output.loss_terms)
    assert set(found) == set(expected_gradients)
    for parameter, gradient in expected_gradients.items():
        scale = float(gradient.abs().max()) or 1.0
        assert float((found[parameter] - gradient).abs().max()) <= 1e-4 * scale, parameter


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_plain_attention_is_refused_packed_rows(kit: Any, implementation: str) -> None:
    model, samples = kit.model(), kit.mixture("equal samples")
    model.qwen.model.language_model.config._attn_implementation = implementation
    model(**kit.collate(*samples))
    with pytest.raises(ModelError, match=f"{implementation} attention would let each see"):
        model(**kit.collate(*samples, kind="packed"))


def test_the_saved_model_names_no_attention_of_ours(kit: Any, tmp_path: Any) -> None:
    model = kit.model()
    assert model.qwen.model.language_model.config._attn_implementation == VARLEN
    model.save_pretrained(tmp_path)
    assert VARLEN not in "".join(file.read_text() for file in tmp_path.rglob("*.json"))


@pytest.mark.parametrize("causal", [True, False])
def test_segments_attend_as_a_block_mask_says(causal: bool) -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([3, 1, 7, 3, 5])
    owner = torch.arange(5).repeat_interleave(lengths)
    mask = owner[:, None] == owner[None]
    if causal:
        mask &= torch.ones(19, 19).tril().bool()
    query, key, value = torch.randn(3, 19, 2, 4).unbind()
    expected = F.scaled_dot_product_attention(
        *(t.transpose(0, 1) for t in (query, key, value)), attn_mask=mask, scale=0.3
    ).transpose(0, 1)
    boundaries = F.pad(lengths.cumsum(0), (1, 0))
    found = attend_segments(query, key, value, boundaries, causal=causal, scale=0.3)
    torch.testing.assert_close(found, expected)
