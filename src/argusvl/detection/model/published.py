"""Sizes of the published Qwen2.5-VL models, as their ``config.json`` says: no weights, no network."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import Qwen2_5_VLConfig

from argusvl.detection.model.architecture import rope_parameters


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
"""By the size in their names: ``Qwen/Qwen2.5-VL-3B-Instruct``."""
