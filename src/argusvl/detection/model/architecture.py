"""A Qwen2.5-VL of chosen sizes with random weights: for tests, for small data and for the embedded base."""

from __future__ import annotations

from typing import Any

from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, TokenizersBackend

from argusvl.detection.data.sampling.tokenizer import token_ids_for_config

ROPE_THETA = 1_000_000.0


def qwen_config(
    tokenizer: TokenizersBackend,
    *,
    hidden_size: int,
    num_hidden_layers: int,
    num_attention_heads: int,
    num_key_value_heads: int,
    intermediate_size: int,
    vision_hidden_size: int,
    vision_depth: int,
    vision_num_heads: int,
    vision_intermediate_size: int,
    vision_window_size: int,
    vision_fullatt_block_indexes: list[int],
    max_position_embeddings: int,
) -> Qwen2_5_VLConfig:
    """Configuration of the stock class for a tokenizer that has Qwen2.5-VL's special tokens.

    Args:
        tokenizer: Gives the vocabulary size and the ids of the special tokens.
        hidden_size: Width of the language model.
        num_hidden_layers: Of the language model.
        num_attention_heads: Query heads of its layers.
        num_key_value_heads: Key and value heads of its layers.
        intermediate_size: Width of its feed-forward layers.
        vision_hidden_size: Width of the vision tower.
        vision_depth: Its layers.
        vision_num_heads: Attention heads of its layers.
        vision_intermediate_size: Width of its feed-forward layers.
        vision_window_size: Side of an attention window, in pixels.
        vision_fullatt_block_indexes: Layers of the tower that attend to the whole image.
        max_position_embeddings: Longest sequence, in tokens.
    """
    ids: dict[str, Any] = {**token_ids_for_config(tokenizer)}
    text_ids = {name: ids.pop(name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    # mRoPE splits half a head's dimensions among time, height and width, 1 : 1.5 : 1.5 as in Qwen2.5-VL.
    pairs = hidden_size // num_attention_heads // 2
    side = pairs * 3 // 8
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": hidden_size,
            "intermediate_size": intermediate_size,
            "num_hidden_layers": num_hidden_layers,
            "num_attention_heads": num_attention_heads,
            "num_key_value_heads": num_key_value_heads,
            "max_position_embeddings": max_position_embeddings,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": ROPE_THETA,
                "mrope_section": [pairs - 2 * side, side, side],
            },
            **text_ids,
        },
        vision_config={
            "hidden_size": vision_hidden_size,
            "depth": vision_depth,
            "num_heads": vision_num_heads,
            "intermediate_size": vision_intermediate_size,
            "window_size": vision_window_size,
            "fullatt_block_indexes": list(vision_fullatt_block_indexes),
            "out_hidden_size": hidden_size,
        },
        **ids,
        tie_word_embeddings=True,
    )


def random_qwen(config: Qwen2_5_VLConfig, attn_implementation: str) -> Qwen2_5_VLForConditionalGeneration:
    """The stock class with random weights; the caller has set the seed."""
    config._attn_implementation = attn_implementation
    return Qwen2_5_VLForConditionalGeneration(config)
