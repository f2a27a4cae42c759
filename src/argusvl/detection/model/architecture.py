"""A Qwen2.5-VL of chosen sizes with random weights: for tests, for small data and for the embedded base."""

from __future__ import annotations

from typing import Any

from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, TokenizersBackend

from argusvl.detection.data.sampling.tokenizer import token_ids_for_config

ROPE_THETA = 1_000_000.0


def qwen_config(tokenizer: TokenizersBackend, **sizes: Any) -> Qwen2_5_VLConfig:
    """Configuration of the stock class for a tokenizer that has Qwen2.5-VL's special tokens.

    Args:
        tokenizer: Gives the vocabulary size and the ids of the special tokens.
        **sizes: Every size of :class:`~argusvl.detection.config.ArchitectureSection` but its ``vocab_size``, and
            ``max_position_embeddings``. They are the stock configurations' own names, behind ``vision_`` the tower's.
    """
    ids: dict[str, Any] = {**token_ids_for_config(tokenizer)}
    text_ids = {name: ids.pop(name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    vision = {name: size for name, size in sizes.items() if name.startswith("vision_")}
    text = {name: size for name, size in sizes.items() if name not in vision}
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            **text,
            "rope_parameters": rope_parameters(text["hidden_size"] // text["num_attention_heads"]),
            **text_ids,
        },
        vision_config={
            **{name.removeprefix("vision_"): size for name, size in vision.items()},
            "out_hidden_size": text["hidden_size"],
        },
        **ids,
        tie_word_embeddings=True,
    )


def rope_parameters(head_size: int) -> dict[str, Any]:
    """Half a head's dimensions split among time, height and width, 1 : 1.5 : 1.5 as in Qwen2.5-VL (mRoPE)."""
    pairs = head_size // 2
    side = pairs * 3 // 8
    return {
        "rope_type": "default",
        "rope_theta": ROPE_THETA,
        "mrope_section": [pairs - 2 * side, side, side],
    }


def random_qwen(config: Qwen2_5_VLConfig, attn_implementation: str) -> Qwen2_5_VLForConditionalGeneration:
    """The stock class with random weights; the caller has set the seed."""
    config._attn_implementation = attn_implementation
    return Qwen2_5_VLForConditionalGeneration(config)
