"""The caption decoder: the cache changes nothing, a description ends where it ends, padding is not seen; within
a closed vocabulary it chooses as a slow search does.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argusvl.core.errors import ModelError
from argusvl.detection.model.label_trie import LabelTrie

IMAGE, QUERY = torch.tensor([0, 1, 1, 0, 1]), torch.tensor([0, 3, 7, 2, 3])

# Descriptions that share beginnings, one that is the beginning of another as a text, and one apart.
HIERARCHY = (
    *("螺丝/连接正确", "螺丝", "螺丝/未拧紧", "螺丝/连接"),
    *("挡风板/已安装", "挡风板/未安装", "标签贴纸"),
)


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
    assert torch.equal(model.describe(output, IMAGE[1:2], QUERY[1:2], 4), ids[1:2, :4])


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


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_decoder_chooses_as_a_slow_search_does(kit: Any, seed: int) -> None:
    """Which asks for each query alone: no choice depends on what is chosen beside it."""
    model = kit.model(seed=seed).eval()
    captioner, head, embed = parts_of(model)
    ids = [(*kit.processor.encode(text), kit.processor.end_token_id) for text in HIERARCHY]
    trie = LabelTrie.build(ids)
    output, prefixes = output_and_prefix(kit, model)
    expected = []
    for prefix in prefixes.split(1):  # each step from scratch, without a cache or a trie
        known: list[int] = []
        while len(left := [s for s in ids if list(s[: len(known)]) == known]) > 1:
            with torch.no_grad():
                logits = captioner(prefix, torch.tensor([[*known, 0]]), embed, head)[-1]
            known.append(max({s[len(known)] for s in left}, key=lambda t: float(logits[t])))
        expected.append(ids.index(left[0]))
    assert model.choose_description(output, IMAGE, QUERY, trie).tolist() == expected
    nobody = torch.zeros(0, dtype=torch.long)
    assert model.choose_description(output, nobody, nobody, trie).shape == (0,)


def test_queries_that_would_say_it_anyway_say_the_same_openly(kit: Any) -> None:
    """The vocabulary is what the model says openly, and more: then nothing forbids its own words."""
    model = kit.model(seed=3).eval()
    output, _ = output_and_prefix(kit, model)
    end = kit.processor.end_token_id
    # With random weights a description rarely ends: its end is put after five tokens, in the vocabulary alone.
    said = [row for row in model.describe(output, IMAGE, QUERY, max_tokens=5).tolist() if end not in row]
    assert len(said) == len(IMAGE) and len({tuple(row) for row in said}) > 1
    generator = torch.Generator().manual_seed(0)
    others = torch.randint(5, 200, (40, 5), generator=generator).tolist()
    others += [[*row[:3], 7, 8] for row in said]
    vocabulary = [(*row, end) for row in (*others, *said)]
    found = model.choose_description(output, IMAGE, QUERY, LabelTrie.build(vocabulary))
    assert [list(vocabulary[n][:5]) for n in found.tolist()] == said


def test_descriptions_that_differ_only_after_the_last_position_are_refused(kit: Any) -> None:
    model = kit.model().eval()
    long = [5] * 12
    trie = LabelTrie.build([(*long, 6), (*long, 7)])
    with pytest.raises(ModelError, match="takes 13 tokens, caption_max_tokens is 12"):
        model.choose_description(output_and_prefix(kit, model)[0], IMAGE, QUERY, trie)
