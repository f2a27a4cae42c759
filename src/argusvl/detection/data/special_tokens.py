"""Qwen2.5-VL's special tokens, which the text of a description may not hold.

Written in a text they would not be read as its characters: one ends the turn, another stands for an image.
"""

from __future__ import annotations

import re

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
IMAGE_PAD = "<|image_pad|>"
VIDEO_PAD = "<|video_pad|>"

SPECIAL_TOKENS: tuple[str, ...] = (
    END_OF_TEXT,
    TURN_START,
    TURN_END,
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    VISION_START,
    VISION_END,
    "<|vision_pad|>",
    IMAGE_PAD,
    VIDEO_PAD,
)
"""In Qwen2.5-VL's order; its first has the id 151,643."""

_OF_CODE_AND_TOOLS = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)
"""What the tokenizer of the released models has besides, and small ones of ours lack: data must fit them all."""

_ANY = re.compile("|".join(map(re.escape, (*SPECIAL_TOKENS, *_OF_CODE_AND_TOOLS))))


def special_token_in(text: str) -> str | None:
    """The first special token that a text holds."""
    found = _ANY.search(text)
    return None if found is None else found.group()
