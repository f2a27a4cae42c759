"""A Qwen2.5-VL of chosen sizes: the stock class, with the tokenizer's ids, reproducible."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from argusvl.detection.data.sampling.tokenizer import check_special_tokens
from argusvl.detection.model.architecture import random_qwen


@pytest.mark.parametrize(("hidden_size", "heads"), [(32, 2), (128, 4), (96, 3), (64, 8)])
def test_positions_share_a_heads_dimensions(kit: Any, hidden_size: int, heads: int) -> None:
    config = kit.qwen_config(hidden_size=hidden_size, num_attention_heads=heads)
    section = config.text_config.rope_parameters["mrope_section"]
    assert sum(section) == hidden_size // heads // 2 and min(section) >= 1 and section[1] == section[2]


def test_of_qwens_own_sizes_the_sections_are_qwens(kit: Any) -> None:
    config = kit.qwen_config(hidden_size=2048, num_attention_heads=16)
    assert config.text_config.rope_parameters["mrope_section"] == [16, 24, 24]


def test_the_configuration_fits_the_tokenizer(kit: Any) -> None:
    config = kit.qwen_config()
    check_special_tokens(kit.tokenizer, config)
    assert config.text_config.vocab_size == len(kit.tokenizer)
    assert config.vision_config.out_hidden_size == config.text_config.hidden_size


def test_a_seed_gives_the_weights(kit: Any) -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(random_qwen(kit.qwen_config(), "sdpa").state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["lm_head.weight"], states[2]["lm_head.weight"])
