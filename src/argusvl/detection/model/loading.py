"""Reading the parts of a checkpoint folder; what is missing, damaged or does not fit is an error that names it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from argusvl.core.errors import CheckpointError
from argusvl.core.files import read_json_object
from argusvl.core.weight_files import safetensors_names
from argusvl.detection.data.checkpoint_layout import (
    ADAPTER_CONFIG,
    QWEN_FOLDER,
    has_head,
    head_folder,
    is_adapter,
    stock_folder,
)
from argusvl.detection.model.configuration import ArgusDetectionConfig
from argusvl.detection.model.published import PUBLISHED
from argusvl.run.checkpoints import verify_checkpoint

_AGAIN = "copy the folder again, or use another checkpoint"


def load_config(folder: Path) -> ArgusDetectionConfig:
    """The configuration of a checkpoint folder of ours.

    Raises:
        CheckpointError: The folder is none of ours, or its ``config.json`` is damaged.
    """
    file, stock = head_folder(folder) / "config.json", stock_folder(folder)
    required = (file, stock / (ADAPTER_CONFIG if is_adapter(stock) else "config.json"))
    missing = [one for one in required if not one.is_file()]
    if missing or not has_head(folder):
        raise CheckpointError(
            f"no {(missing or [folder / QWEN_FOLDER])[0].relative_to(folder)}",
            where=folder,
            remedy="give a checkpoint folder that Argus wrote; a plain Qwen2.5-VL folder goes to model_path",
        )
    _check_model_type(file, ArgusDetectionConfig.model_type)
    try:
        config: ArgusDetectionConfig = ArgusDetectionConfig.from_pretrained(file.parent)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"does not describe a detection head: {error}", where=file, remedy=_AGAIN
        ) from error
    return config


def load_qwen(folder: str | Path, **kwargs: Any) -> tuple[Qwen2_5_VLForConditionalGeneration, dict[str, Any]]:
    """Loads the stock class from a folder in hub layout and refuses one that does not fill it.

    Args:
        folder: With ``config.json`` and safetensors in official key names.
        **kwargs: Passed to the stock class.

    Returns:
        The model, and transformers' report of keys.

    Raises:
        CheckpointError: The folder is missing, damaged, or leaves weights at random.
    """
    folder = Path(folder)
    if is_adapter(folder) and not (folder / "config.json").is_file():
        raise CheckpointError(
            "is an adapter alone, not a model",
            where=folder,
            remedy="give a checkpoint that `argus train` wrote; an adapter of another tool, merge with its base there",
        )
    if not (folder / "config.json").is_file():
        raise CheckpointError("no config.json", where=folder, remedy="give a Qwen2.5-VL folder in hub layout")
    _check_model_type(folder / "config.json", Qwen2_5_VLConfig.model_type)
    verify_checkpoint(folder)  # transformers' own error does not say which shard is truncated
    # What does not fit is refused below, by name; transformers would name nothing.
    options = {"output_loading_info": True, "local_files_only": True, "ignore_mismatched_sizes": True}
    loaded: Any
    try:
        loaded = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, **{**kwargs, **options})
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise CheckpointError(
            f"the weights cannot be loaded: {error}", where=folder, remedy=_AGAIN
        ) from error
    qwen, report = loaded
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    shapes = [
        f"{name} {list(found)} instead of {list(own)}"
        for name, found, own in sorted(report["mismatched_keys"])
    ]
    if missing or unexpected or shapes:
        raise CheckpointError(
            f"{_named(missing)} missing, {_named(unexpected)} unexpected, {_named(shapes)} of another shape: "
            "the model would be partly random",
            where=folder,
            remedy="use a complete Qwen2.5-VL checkpoint with official key names",
        )
    return qwen, report


def load_qwen_config(folder: Path) -> Qwen2_5_VLConfig:
    """The shape of a plain Qwen2.5-VL folder; of a published model that is not there yet, by the folder's name.

    Raises:
        CheckpointError: The folder is missing, or none of Qwen2.5-VL.
    """
    named = re.search(r"Qwen2\.5-VL-(\d+B)\b", folder.name)
    if not folder.exists() and named is not None and named[1] in PUBLISHED:
        return PUBLISHED[named[1]].config()
    if not (folder / "config.json").is_file():
        raise CheckpointError("no config.json", where=folder, remedy="give a Qwen2.5-VL folder in hub layout")
    _check_model_type(folder / "config.json", Qwen2_5_VLConfig.model_type)
    config: Qwen2_5_VLConfig = Qwen2_5_VLConfig.from_pretrained(folder)
    return config


def load_head(head: nn.Module, file: Path) -> None:
    """Fills a detection head from its file.

    Raises:
        CheckpointError: The file is missing, damaged, or of another head.
    """
    if not file.is_file():
        raise CheckpointError(f"no {file.name} with the detection head", where=file.parent, remedy=_AGAIN)
    safetensors_names(file)
    try:
        state = load_file(str(file))
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"cannot be read: {error}", where=file, remedy=_AGAIN) from error
    own = head.state_dict()
    # One value is one value: the scale of type scores was saved as a scalar once.
    state = {
        n: t.reshape(own[n].shape) if n in own and t.numel() == own[n].numel() == 1 else t
        for n, t in state.items()
    }
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    others = [n for n in sorted(own.keys() & state.keys()) if own[n].shape != state[n].shape]
    if missing or unexpected or others:
        shapes = [f"{n} {list(state[n].shape)} instead of {list(own[n].shape)}" for n in others]
        raise CheckpointError(
            f"the head does not fit config.json: {_named(missing)} missing, {_named(unexpected)} unexpected, "
            f"{_named(shapes)} of another shape",
            where=file,
            remedy="config.json and model.safetensors must come from the same run",
        )
    head.load_state_dict(state)


def _check_model_type(file: Path, expected: str) -> None:
    found = read_json_object(file, remedy=_AGAIN).get("model_type")
    if found != expected:
        raise CheckpointError(
            f"model_type is {found!r}, expected {expected!r}",
            where=file,
            remedy="give a Qwen2.5-VL folder in hub layout, or a checkpoint that Argus wrote",
        )


def _named(names: list[str], most: int = 3) -> str:
    """``2 weights (a, b)``: the number, and the first names."""
    listed = ", ".join(names[:most]) + (", …" if len(names) > most else "")
    return f"{len(names)} weight{'' if len(names) == 1 else 's'}" + (f" ({listed})" if names else "")
