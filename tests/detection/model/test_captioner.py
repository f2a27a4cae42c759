"""The caption decoder: the cache changes nothing, a description ends where it ends, padding is not seen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argusvl.core.errors import ModelError

IMAGE, QUERY = torch.tensor([0, 1, 1, 0, 1]), torch.tensor([0, 3, 7, 2, 3])


def parts_of(model: Any) -> tuple[Any, Any, Any]:
    return model.detection_head.captioner, model.qwen.lm_head, model.get_input_embeddings()


def output_and_prefix(kit: Any, model: Any) -> tuple[Any, Tensor]:
    batch = kit.collate(
        kit.sample(kit.scene(0, (84, 56))), kit.sample(kit.scene(1, (56, 112))), for_inference=True
    )
    with torch.no_grad():
        output = model(**batch)
        prefix = model.detection_head.captioner.prefix(
            output.query_states[IMAGE, QUERY], output.boxes_cxcywh_norm[IMAGE, QUERY], IMAGE, output.memory
        )
    return output, prefix


def test_greedy_decoding_is_the_argmax_of_teacher_forced_logits(kit: Any) -> None:
    model = kit.model().eval()
    captioner, lm_head, embed = parts_of(model)
    output, prefix = output_and_prefix(kit, model)
    with torch.no_grad():
        ids = captioner.generate(prefix, embed, lm_head, 12, [])
        assert ids.shape == (5, 12) and len(ids.unique()) > 3
        logits = captioner(prefix, ids, embed, lm_head).view(5, 12, -1)
        assert torch.equal(logits.argmax(-1), ids)
        # Step by step, each from scratch: what is known so far decides the next token.
        for length in range(1, 12):
            known = ids[:, : length + 1].clone()
            known[:, length] = 0
            logits = captioner(prefix, known, embed, lm_head).view(5, length + 1, -1)
            assert torch.equal(logits[:, length].argmax(-1), ids[:, length])
    assert torch.equal(model.describe(output, IMAGE[1:2], QUERY[1:2], 4), ids[1:2, :4]) or len(ids) == 0


def test_a_description_ends_at_an_end_token_and_is_padded_after_it(kit: Any) -> None:
    model = kit.model().eval()
    captioner, lm_head, embed = parts_of(model)
    _, prefix = output_and_prefix(kit, model)
    free = captioner.generate(prefix, embed, lm_head, 12, [])
    ends = [int(free[0, 2]), int(free[1, 4])]  # the second one of several: a model may know more than one end
    found = captioner.generate(prefix, embed, lm_head, 12, ends)
    longest = 0
    for row, whole in zip(found.tolist(), free.tolist(), strict=True):
        at = next((i for i, token in enumerate(whole) if token in ends), None)
        kept = whole if at is None else whole[: at + 1]
        longest = max(longest, len(kept))
        assert row == (kept + [-100] * 12)[: len(row)]
    assert found.shape[1] == longest
    assert found[0].tolist().index(-100) <= 3


def test_a_description_is_the_same_whatever_is_described_beside_it(kit: Any) -> None:
    model = kit.model().eval()
    output, _ = output_and_prefix(kit, model)
    together = model.describe(output, IMAGE, QUERY)
    assert torch.equal(together[1], together[4])
    for k in range(len(IMAGE)):
        alone = model.describe(output, IMAGE[k : k + 1], QUERY[k : k + 1])
        assert torch.equal(alone[0], together[k, : alone.shape[1]])
        assert (together[k, alone.shape[1] :] == -100).all()


def test_no_more_tokens_are_written_than_were_trained(kit: Any) -> None:
    model = kit.model().eval()
    output, _ = output_and_prefix(kit, model)
    assert model.describe(output, IMAGE, QUERY, max_tokens=50).shape[1] <= 12
    assert model.describe(output, IMAGE, QUERY, max_tokens=1).shape == (5, 1)


def test_the_end_is_what_ends_the_stock_models_answers(kit: Any) -> None:
    model = kit.model()
    end = kit.processor.end_token_id
    assert model._end_token_ids() == [end]
    model.qwen.config.text_config.eos_token_id = [end, 3]
    assert model._end_token_ids() == [end, 3]
    model.qwen.config.text_config.eos_token_id = model.qwen.config.eos_token_id = None
    with pytest.raises(ModelError, match="eos_token_id"):
        model._end_token_ids()


def test_logits_are_computed_at_known_tokens_only(kit: Any) -> None:
    model = kit.model().eval()
    captioner = model.detection_head.captioner
    _, prefix = output_and_prefix(kit, model)
    seen: list[int] = []
    model.qwen.lm_head.register_forward_pre_hook(lambda _module, args: seen.append(args[0].shape[0]))
    ids = torch.tensor([[5, 6, 7], [5, -100, -100], [5, 6, -100], [8, -100, -100], [9, 9, -100]])
    logits = captioner(prefix, ids, model.get_input_embeddings(), model.qwen.lm_head)
    assert seen == [9] and len(logits) == 9
    # A padded row has the logits that it has alone.
    alone = captioner(prefix[2:3], ids[2:3, :2], model.get_input_embeddings(), model.qwen.lm_head)
    torch.testing.assert_close(logits[4:6], alone, rtol=1e-4, atol=1e-5)


def test_a_description_too_long_for_the_decoder_names_both(kit: Any) -> None:
    model = kit.model()
    _, prefix = output_and_prefix(kit, model)
    ids = torch.zeros(5, 13, dtype=torch.long)
    with pytest.raises(ModelError, match="has 13 tokens a caption, caption_max_tokens is 12"):
        model.detection_head.captioner(prefix, ids, model.get_input_embeddings(), model.qwen.lm_head)


def test_the_decoder_owns_no_copy_of_embeddings_or_vocabulary(kit: Any) -> None:
    model = kit.model()
    vocabulary = model.qwen.config.text_config.vocab_size
    assert all(vocabulary not in p.shape for p in model.detection_head.parameters())
