"""The stock configuration at chosen sizes (for tests, small data, the embedded base), and at the published ones."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class PublishedShape:
    """What differs between the published models: the language model's sizes, and one of the tower's."""

    hidden_size: int
    layers: int
    heads: int
    key_value_heads: int
    intermediate_size: int
    vocab_size: int
    tied: bool
    vision_intermediate_size: int

    def config(self) -> Qwen2_5_VLConfig:
        """Of the stock class; the vision tower is alike in all but one width."""
        return Qwen2_5_VLConfig(
            text_config={
                "vocab_size": self.vocab_size,
                "hidden_size": self.hidden_size,
                "intermediate_size": self.intermediate_size,
                "num_hidden_layers": self.layers,
                "num_attention_heads": self.heads,
                "num_key_value_heads": self.key_value_heads,
                "max_position_embeddings": 128_000,
                "rope_parameters": rope_parameters(self.hidden_size // self.heads),
                "bos_token_id": 151643,
                "eos_token_id": 151645,
            },
            vision_config={
                "depth": 32,
                "hidden_size": 1280,
                "num_heads": 16,
                "intermediate_size": self.vision_intermediate_size,
                "out_hidden_size": self.hidden_size,
                "window_size": 112,
                "fullatt_block_indexes": [7, 15, 23, 31],
                "patch_size": 14,
                "spatial_merge_size": 2,
                "temporal_patch_size": 2,
            },
            image_token_id=151655,
            video_token_id=151656,
            vision_start_token_id=151652,
            vision_end_token_id=151653,
            tie_word_embeddings=self.tied,
        )


PUBLISHED = {
    "3B": PublishedShape(2048, 36, 16, 2, 11008, 151_936, True, 3420),
    "7B": PublishedShape(3584, 28, 28, 4, 18944, 152_064, False, 3420),
    "32B": PublishedShape(5120, 64, 40, 8, 27648, 152_064, False, 3456),
    "72B": PublishedShape(8192, 80, 64, 8, 29568, 152_064, False, 3456),
}
"""As their ``config.json`` says, by the size in their names: ``Qwen/Qwen2.5-VL-3B-Instruct``."""
