"""What stands where in a checkpoint folder of ours; light, for those who look into one without loading it."""

from __future__ import annotations

from pathlib import Path

from argusvl.assets import model_folder
from argusvl.core.errors import CheckpointError
from argusvl.run.checkpoints import checkpoint_at
from argusvl.task_parts import ASSETS_FILE

QWEN_FOLDER = "qwen"
"""The stock part: a plain Qwen2.5-VL in hub layout, or an adapter of one, with its tokenizer."""

HEAD_FOLDER = "head"
"""The head of an exported checkpoint, in which the stock part stands at the top."""

HEAD_FILE = "model.safetensors"
"""The detection head's weights, beside its ``config.json``."""

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
"""An adapter, as PEFT names its files."""


def stock_folder(folder: Path) -> Path:
    """Where the Qwen2.5-VL of a folder is: inside a checkpoint of ours, or the folder itself."""
    inside = folder / QWEN_FOLDER
    return inside if inside.is_dir() else folder


def head_folder(folder: Path) -> Path:
    """Where the head of a checkpoint of ours is: in the folder itself, or inside an exported one."""
    inside = folder / HEAD_FOLDER
    return inside if inside.is_dir() else folder


def has_head(folder: Path) -> bool:
    """Whether a folder is a checkpoint of ours, as trained or exported, and no plain Qwen2.5-VL."""
    return (folder / QWEN_FOLDER).is_dir() or (folder / HEAD_FOLDER).is_dir()


def is_adapter(stock: Path) -> bool:
    """Whether a stock part is an adapter, which needs its base."""
    return (stock / ADAPTER_CONFIG).is_file()


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
