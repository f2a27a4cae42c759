"""What a new configuration has where the data do not decide: sizes, rates and weights as they measured best.

Those for small models are the ones of the shipped configurations of BCCD and the BBU room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ARCHITECTURE: Mapping[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 384,
    "vision_hidden_size": 128,
    "vision_depth": 6,
    "vision_num_heads": 4,
    "vision_intermediate_size": 384,
    "vision_window_size": 112,
    "vision_fullatt_block_indexes": [5],
}
HEAD: Mapping[str, Any] = {
    "detection_hidden_size": 128,
    "detection_num_heads": 4,
    "detection_ffn_size": 256,
    "detection_decoder_num_layers": 2,
    "detection_caption_decoder_num_layers": 2,
}
LARGE_HEAD: Mapping[str, Any] = {
    "detection_hidden_size": 512,
    "detection_num_heads": 8,
    "detection_ffn_size": 2048,
    "detection_decoder_num_layers": 3,
    "detection_caption_decoder_num_layers": 4,
}
LOSSES: Mapping[str, Any] = {
    "detection_bbox_weight": 25.0,
    "detection_giou_weight": 10.0,
    "detection_objectness_weight": 1.0,
    "detection_type_weight": 2.5,
    "detection_caption_weight": 0.5,
    "detection_proposal_weight": 1.0,
    "detection_focal_alpha": 0.75,
    "detection_focal_gamma": 2.0,
    "detection_objectness": "iou_aware",
    "detection_caption_normalization": "tokens",
}


def _rates(vision: float, merger: float, llm: float, detection: float, adapter: float) -> dict[str, float]:
    return {
        "vision_lr": vision,
        "merger_lr": merger,
        "llm_lr": llm,
        "detection_lr": detection,
        "adapter_lr": adapter,
    }


LEARNING_RATES: Mapping[str, Mapping[str, float]] = {
    "random": _rates(1e-3, 1e-3, 1e-3, 1e-3, 1e-3),
    "argus": _rates(1e-3, 1e-3, 1e-3, 1e-3, 1e-3),
    "stock": _rates(5e-6, 1e-5, 1e-5, 1e-4, 1e-4),
    "lora": _rates(1e-4, 0.0, 1e-4, 1e-4, 1e-4),
}
"""By what a run starts from. The embedded base is small and has seen drawings only: it moves as far as random weights
do. A released Qwen2.5-VL is moved carefully; adapters in it begin at nothing and have further to go."""

LORA: Mapping[str, Any] = {
    "peft_method": "lora",
    "peft_parts": ["llm", "vision"],
    "peft_options": {"r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "use_dora": False, "use_rslora": False},
    "base_dtype": "bfloat16",
}
"""Adapters in place of all weights of a Qwen2.5-VL."""
