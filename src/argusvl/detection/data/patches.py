"""The squares of pixels that Qwen2.5-VL's vision tower sees: fixed by its published weights."""

from __future__ import annotations

PATCH = 14
"""Side of a patch, pixels."""
MERGE = 2
"""Patches that the merger joins into one token of the language model, along each side."""
TOKEN_SIDE = PATCH * MERGE
"""Side of such a token, pixels; sides of the network's images are multiples of it."""
TOKEN_AREA = TOKEN_SIDE**2
"""Its area, pixels."""
