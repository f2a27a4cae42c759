"""What stands where in a checkpoint folder of ours; light, for those who look into one without loading it."""

from __future__ import annotations

from pathlib import Path

from argusvl.assets import model_folder
from argusvl.core.errors import CheckpointError
from argusvl.task_parts import ASSETS_FILE
from argusvl.training.checkpoints import checkpoint_at

QWEN_FOLDER = "qwen"
"""The stock part: a plain Qwen2.5-VL in hub layout, with its tokenizer."""

HEAD_FILE = "model.safetensors"
"""The detection head's weights."""


def stock_folder(folder: Path) -> Path:
    """Where the Qwen2.5-VL of a folder is: inside a checkpoint of ours, or the folder itself."""
    inside = folder / QWEN_FOLDER
    return inside if inside.is_dir() else folder


def checkpoint_folder(path: str | Path) -> Path:
    """The checkpoint of ours that a path or name means: a shipped model, a run's best or newest, or the folder itself.

    Raises:
        CheckpointError: There is no such folder, or it holds no checkpoint of ours.
    """
    folder = checkpoint_at(model_folder(path))
    assets_file(folder)
    return folder


def assets_file(folder: Path) -> Path:
    """The file that tells a checkpoint of ours from any other folder.

    Raises:
        CheckpointError: There is no such folder, or it holds no checkpoint of ours.
    """
    if not folder.is_dir():
        raise CheckpointError("no such checkpoint folder", where=folder, remedy="check the path")
    file = folder / ASSETS_FILE
    if not file.is_file():
        inside = sorted(str(f.parent) for f in folder.glob(f"*/{ASSETS_FILE}"))
        remedy = (
            f"name one of {', '.join(inside)}" if inside else "name a checkpoint that `argus train` wrote"
        )
        raise CheckpointError(f"no checkpoint: it holds no {ASSETS_FILE}", where=folder, remedy=remedy)
    return file
