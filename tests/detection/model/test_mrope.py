"""P-001: the positions that our forward hands to the language model are upstream's, and so are the logits.

The stock model is run as its own users run it: with ``input_ids``, ``pixel_values``, ``image_grid_thw`` and
``mm_token_type_ids``, computing its positions itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def test_positions_and_logits_at_real_tokens_are_those_of_the_stock_model(kit: Any, mixture: Any) -> None:
    model, batch = kit.model().eval(), kit.collate(*mixture[1])
    language, positions, hidden = model.qwen.model.language_model, list[Tensor](), list[Tensor]()
    language.rotary_emb.register_forward_pre_hook(
        lambda _module, args, kwargs: positions.append(kwargs.get("position_ids", args[-1])), with_kwargs=True
    )
    language.norm.register_forward_hook(lambda _module, _args, output: hidden.append(output))
    with torch.no_grad():
        model(**batch)
        logits = model.qwen.lm_head(hidden[0])
        expected = model.qwen(**kit.stock(batch), use_cache=False).logits
    ours, theirs = positions
    real = batch["attention_mask"].bool()
    assert ours.shape[0] == 3 and torch.equal(ours[:, real], theirs[:, real])
    inside = batch["mm_token_type_ids"].bool()
    if inside.any():
        # Height and width positions part from time's inside an image: 1-D positions would not do.
        assert not torch.equal(ours[0, inside], ours[1, inside])
    assert expected[real].std() > 0.1
    torch.testing.assert_close(logits[real], expected[real], rtol=1e-4, atol=1e-5)


def test_the_language_terms_are_the_stock_loss(kit: Any) -> None:
    model, batch = kit.model().eval(), kit.collate(*kit.mixture("teachers"))
    with torch.no_grad():
        terms = model(**batch).loss_terms
        mean = model.qwen(**kit.stock(batch), labels=batch["labels"], use_cache=False).loss
    labelled = int((batch["labels"] != -100).sum())
    assert terms["teacher_lm"] > 0 and terms["student_lm"] > 0
    torch.testing.assert_close(terms["teacher_lm"] + terms["student_lm"], mean * labelled)


def test_an_earlier_generation_does_not_move_our_positions(kit: Any) -> None:
    model, batch = kit.model().eval(), kit.collate(*kit.mixture("several images"))
    with torch.no_grad():
        before = model(**batch)
        prompt = kit.collate(kit.sample(kit.scene(7, (56, 84), (112, 56))), for_inference=True)
        model.qwen.generate(**kit.stock(prompt), max_new_tokens=3, do_sample=False)
        assert model.qwen.model.rope_deltas is not None
        after = model(**batch)
    assert torch.equal(before.boxes_raw, after.boxes_raw)
    assert torch.equal(before.loss_terms["student_lm"], after.loss_terms["student_lm"])


def test_generation_after_our_forward_is_what_it_was_before(kit: Any) -> None:
    """G-001: vision inputs enter in the pre-fill step, and nothing that our forward did stays behind."""
    model, batch = kit.model().eval(), kit.collate(*kit.mixture("several images"))
    prompt = kit.collate(kit.sample(kit.scene(8, (112, 56)), kit.scene(9, (56, 56))), for_inference=True)
    ask = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": kit.tokenizer.pad_token_id}
    with torch.no_grad():
        before = model.qwen.generate(**kit.stock(prompt), **ask)
        model(**batch)
        after = model.qwen.generate(**kit.stock(prompt), **ask)
    assert torch.equal(before, after) and before.shape[1] > prompt["input_ids"].shape[1]
    # What is generated with a cache is what the whole conversation gives without one.
    length = prompt["input_ids"].shape[1]
    whole = {**kit.stock(prompt), "input_ids": before, "attention_mask": torch.ones_like(before)}
    whole["mm_token_type_ids"] = (before == model.qwen.config.image_token_id).long()
    with torch.no_grad():
        logits = model.qwen(**whole, use_cache=False).logits
    assert torch.equal(logits[0, length - 1 : -1].argmax(-1), before[0, length:])
