from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from argusvl.core.errors import ModelError
from argusvl.detection.data.sampling.tokenizer import check_special_tokens, token_id, train_tokenizer
from argusvl.detection.data.special_tokens import SPECIAL_TOKENS, TURN_END
from argusvl.detection.model.architecture import random_qwen
from argusvl.detection.model.vocabulary_transfer import transfer_vocabulary

OLD_TEXTS = ["a white label on the panel", "bolt", "标签贴纸", "挡风板/已安装"]
NEW_TEXTS = ["red blood cell", "white label", "标签贴纸/已安装", "mitosis €"] * 3


@pytest.fixture
def old() -> Any:
    return train_tokenizer(OLD_TEXTS, 330)


@pytest.fixture
def new() -> Any:
    return train_tokenizer(NEW_TEXTS, 400)


@pytest.fixture
def model_for(kit: Any) -> Callable[..., Qwen2_5_VLForConditionalGeneration]:
    """A model of random weights for a tokenizer."""

    def make(tokenizer: Any, *, tied: bool = True) -> Qwen2_5_VLForConditionalGeneration:
        config = kit.qwen_config(tokenizer=tokenizer, tied=tied, num_hidden_layers=1, vision_depth=2)
        torch.manual_seed(0)
        return random_qwen(config, "sdpa").eval()

    return make


@pytest.mark.parametrize("tied", [True, False])
def test_each_new_token_is_the_mean_of_its_old_pieces(model_for: Any, old: Any, new: Any, tied: bool) -> None:
    qwen = model_for(old, tied=tied)
    before = copy.deepcopy(qwen)
    transfer_vocabulary(qwen, old, new)
    layers = [
        (qwen.get_input_embeddings(), before.get_input_embeddings()),
        (qwen.get_output_embeddings(), before.get_output_embeddings()),
    ]
    words = [token for token in new.get_vocab() if token.isalpha() and token.isascii()]
    assert len(words) > 40 and any(len(word) > 3 for word in words)
    for after, source in layers:
        assert after.weight.shape[0] == len(new) == after.weight.data.shape[0]
        for word in words:
            # The old tokenizer writes a word without spaces in the pieces that the transfer must find.
            pieces = old.encode(word, add_special_tokens=False)
            expected = source.weight[pieces].mean(0)
            torch.testing.assert_close(after.weight[new.get_vocab()[word]], expected)
        for token in SPECIAL_TOKENS:
            assert torch.equal(after.weight[token_id(new, token)], source.weight[token_id(old, token)])
    same = qwen.get_input_embeddings().weight is qwen.get_output_embeddings().weight
    assert same == tied


def test_the_same_tokenizer_changes_nothing(model_for: Any, old: Any) -> None:
    qwen = model_for(old)
    ids = torch.tensor([old.encode("a white label 标签 on it")])
    with torch.no_grad():
        before = qwen(input_ids=ids).logits
        transfer_vocabulary(qwen, old, old)
        torch.testing.assert_close(qwen(input_ids=ids).logits, before)


@pytest.mark.parametrize("tied", [True, False])
def test_tokens_that_were_never_learned_are_drawn_apart(
    model_for: Any, old: Any, new: Any, tied: bool
) -> None:
    qwen = model_for(old, tied=tied)
    learned = {i for text in ("标签贴纸", "挡风板", *SPECIAL_TOKENS) for i in old.encode(text)}
    layers = (qwen.get_input_embeddings(), qwen.get_output_embeddings())
    with torch.no_grad():
        for layer in layers[: 1 if tied else 2]:
            noise = 0.02 * torch.randn(layer.weight.shape)
            layer.weight.copy_(torch.nn.functional.normalize(torch.randn(layer.weight.shape), dim=1))
            for number in set(range(len(layer.weight))) - learned:
                layer.weight[number] = 3 + noise[number]  # pushed by the softmax until they are one vector
    before = copy.deepcopy(qwen)
    again = copy.deepcopy(qwen)
    for one in (qwen, again):
        transfer_vocabulary(one, old, new)
    for number in (0, 1):
        rows, source, same = (
            (model.get_input_embeddings(), model.get_output_embeddings())[number].weight.detach()
            for model in (qwen, before, again)
        )
        assert torch.equal(rows, same)
        words = [i for token, i in new.get_vocab().items() if token.isascii() and token.isalpha()]
        unit = torch.nn.functional.normalize(rows[words], dim=1)
        alike = unit @ unit.T - torch.eye(len(words))
        assert alike.max() < 0.8 and alike.mean().abs() < 0.1
        assert rows[words].norm(dim=1).mean().item() == pytest.approx(1, abs=0.1)
        token = token_id(new, TURN_END)
        assert torch.equal(rows[token], source[token_id(old, TURN_END)])
    assert (qwen.get_input_embeddings().weight is qwen.get_output_embeddings().weight) == tied


def test_configurations_speak_of_the_new_ids(model_for: Any, old: Any, new: Any) -> None:
    qwen = model_for(old)
    qwen.generation_config.eos_token_id = [old.eos_token_id, old.pad_token_id]
    transfer_vocabulary(qwen, old, new)
    check_special_tokens(new, qwen.config)
    assert qwen.config.text_config.vocab_size == len(new) != len(old)
    assert qwen.generation_config.eos_token_id == [new.eos_token_id, new.pad_token_id]
    assert qwen.config.text_config.eos_token_id == token_id(new, TURN_END)


def test_every_token_but_padding_can_be_learned(model_for: Any, old: Any, new: Any) -> None:
    qwen = model_for(old, tied=False)
    transfer_vocabulary(qwen, old, new)
    qwen(input_ids=torch.arange(len(new))[None]).logits.square().sum().backward()
    grad = qwen.get_input_embeddings().weight.grad
    still = [number for number in range(len(new)) if not grad[number].any()]
    assert still in ([], [new.pad_token_id])


def test_text_in_characters_that_neither_knew_keeps_its_bytes(model_for: Any, old: Any, new: Any) -> None:
    qwen = model_for(old)
    bytes_before = qwen.get_input_embeddings().weight[old.encode("ж")].detach().clone()
    transfer_vocabulary(qwen, old, new)
    assert torch.equal(qwen.get_input_embeddings().weight[new.encode("ж")], bytes_before)


def test_a_tokenizer_without_special_tokens_is_refused(model_for: Any, old: Any, new: Any) -> None:
    incomplete = copy.deepcopy(new)
    state = incomplete.backend_tokenizer.to_str().replace("<|image_pad|>", "<|other|>")
    incomplete._tokenizer = type(incomplete.backend_tokenizer).from_str(state)
    with pytest.raises(ModelError, match=r"no special token <\|image_pad\|>"):
        transfer_vocabulary(model_for(old), old, incomplete)
