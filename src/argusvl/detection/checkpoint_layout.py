"""What stands where in a checkpoint folder of ours; light, for those who look into one without loading it."""

from __future__ import annotations

from pathlib import Path

QWEN_FOLDER = "qwen"
"""The stock part: a plain Qwen2.5-VL in hub layout, with its tokenizer."""

HEAD_FILE = "model.safetensors"
"""The detection head's weights."""


def stock_folder(folder: Path) -> Path:
    """Where the Qwen2.5-VL of a folder is: inside a checkpoint of ours, or the folder itself."""
    inside = folder / QWEN_FOLDER
    return inside if inside.is_dir() else folder
