"""Reading the parts of a checkpoint folder; what is missing, damaged or does not fit is an error that names it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn
from transformers import PreTrainedConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from argusvl.core.errors import CheckpointError
from argusvl.core.files import read_json_object
from argusvl.core.schemas import checked
from argusvl.core.weight_files import check_finite, check_floats, load_safetensors, safetensors_header
from argusvl.core.wording import counted, listed
from argusvl.detection.data.checkpoint_layout import (
    ADAPTER_CONFIG,
    QWEN_FOLDER,
    has_head,
    head_folder,
    is_adapter,
    stock_folder,
)
from argusvl.detection.data.patches import MERGE, PATCH
from argusvl.detection.data.sampling.pixels import TEMPORAL
from argusvl.detection.model.architecture import PUBLISHED
from argusvl.detection.model.configuration import ArgusDetectionConfig, GenerationShape, HeadShape, check_qwen
from argusvl.run.checkpoints import verify_checkpoint

C = TypeVar("C", bound=PreTrainedConfig)

_PREPARED = {
    "image_mean": OPENAI_CLIP_MEAN,
    "image_std": OPENAI_CLIP_STD,
    "patch_size": PATCH,
    "merge_size": MERGE,
    "temporal_patch_size": TEMPORAL,
}
"""What ``preprocessor_config.json`` of every released Qwen2.5-VL says."""

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
    checked(_read_config(file, ArgusDetectionConfig.model_type), HeadShape, file)
    config = _parsed(ArgusDetectionConfig, file)
    check_qwen(config.qwen_config, file)
    if config.hidden_size % config.num_heads:
        raise CheckpointError("hidden_size is no multiple of num_heads", where=file, remedy=_AGAIN)
    return config


def load_qwen(folder: str | Path, **kwargs: Any) -> Qwen2_5_VLForConditionalGeneration:
    """Loads the stock class from a folder in hub layout and refuses one that does not fill it.

    What is given besides is passed to the stock class.

    Raises:
        CheckpointError: The folder is missing, damaged, or leaves weights at random.
    """
    folder = Path(folder)
    config = folder / "config.json"
    _qwen_config_in(folder)
    if (generation := folder / "generation_config.json").is_file():
        checked(read_json_object(generation, remedy=_AGAIN), GenerationShape, generation)
    _check_preprocessor(folder)
    verify_checkpoint(folder)  # transformers' own error does not say which shard is truncated
    quantised = "quantization_config" in read_json_object(config, remedy=_AGAIN)
    for file in () if quantised else sorted(folder.glob("model*.safetensors")):
        check_floats(file)
    # What does not fit is refused below, by name; transformers would name nothing.
    options = {"output_loading_info": True, "local_files_only": True, "ignore_mismatched_sizes": True}
    loaded: Any
    qwen: Qwen2_5_VLForConditionalGeneration
    try:
        loaded = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, **{**kwargs, **options})
    except MemoryError:
        raise
    except Exception as error:  # whatever the library makes of files that anyone may have written
        raise CheckpointError(
            f"the weights cannot be loaded: {error}", where=folder, remedy=_AGAIN
        ) from error
    qwen, report = loaded
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    shapes = [
        f"{name} {list(found)} instead of {list(own)}"
        for name, found, own in sorted(report["mismatched_keys"])
    ]
    if misfit := _misfit(missing, unexpected, shapes):
        raise CheckpointError(
            f"{misfit}: the model would be partly random",
            where=folder,
            remedy="use a complete Qwen2.5-VL checkpoint with official key names",
        )
    check_finite(qwen.named_parameters(), folder)
    return qwen


def _check_preprocessor(folder: Path) -> None:
    """Images are prepared in the one way of all released Qwen2.5-VL: a folder that states another would be misread."""
    file = folder / "preprocessor_config.json"
    stated = read_json_object(file, remedy=_AGAIN) if file.is_file() else {}
    for key, ours in _PREPARED.items():
        if stated.get(key, ours) != ours:
            raise CheckpointError(
                f"says {key} {stated[key]}, and Argus prepares images with {ours}, as Qwen2.5-VL does",
                where=file,
                remedy="put back Qwen2.5-VL's own file, if the weights are for it; else train this model elsewhere",
            )


def load_qwen_config(folder: Path) -> Qwen2_5_VLConfig:
    """The shape of a plain Qwen2.5-VL folder; of a published model that is not there yet, by the folder's name.

    Raises:
        CheckpointError: The folder is missing, or none of Qwen2.5-VL.
    """
    named = re.search(r"Qwen2\.5-VL-(\d+B)\b", folder.name)
    if not folder.exists() and named is not None and named[1] in PUBLISHED:
        return PUBLISHED[named[1]].config()
    return _qwen_config_in(folder)


def _qwen_config_in(folder: Path) -> Qwen2_5_VLConfig:
    file = folder / "config.json"
    if is_adapter(folder) and not file.is_file():
        raise CheckpointError(
            "is an adapter alone, not a model",
            where=folder,
            remedy="give a checkpoint that `argus train` wrote; an adapter of another tool, merge with its base there",
        )
    if not file.is_file():
        raise CheckpointError("no config.json", where=folder, remedy="give a Qwen2.5-VL folder in hub layout")
    _read_config(file, Qwen2_5_VLConfig.model_type)
    config = _parsed(Qwen2_5_VLConfig, file)
    check_qwen(config, file)
    return config


def load_head(head: nn.Module, file: Path) -> None:
    """Fills a detection head from its file.

    Raises:
        CheckpointError: The file is missing, damaged, or of another head.
    """
    check_head(head.state_dict(), file)
    state = load_safetensors(file)
    check_finite(state.items(), file)
    own = head.state_dict()
    head.load_state_dict({name: tensor.reshape(own[name].shape) for name, tensor in state.items()})


def check_head(own: Mapping[str, Tensor], file: Path) -> None:
    """Compares a detection head, which may be one of shapes alone, with its file, of which only the header is read.

    Raises:
        CheckpointError: The file is missing, damaged, or of another head.
    """
    if not file.is_file():
        raise CheckpointError(f"no {file.name} with the detection head", where=file.parent, remedy=_AGAIN)
    check_floats(file)
    stored = {name: one.shape for name, one in safetensors_header(file).items()}
    missing, unexpected = sorted(own.keys() - stored.keys()), sorted(stored.keys() - own.keys())
    shapes = [
        f"{n} {list(stored[n])} instead of {list(own[n].shape)}"
        for n in sorted(own.keys() & stored.keys())
        # One value is one value: the scale of type scores is a scalar in argus-tiny's file.
        if own[n].shape != stored[n] and not (own[n].numel() == math.prod(stored[n]) == 1)
    ]
    if misfit := _misfit(missing, unexpected, shapes):
        raise CheckpointError(
            f"the head does not fit config.json: {misfit}",
            where=file,
            remedy="config.json and model.safetensors must come from the same run",
        )


def _parsed(kind: type[C], file: Path) -> C:
    """A configuration as transformers reads it, in its present form."""
    try:
        return kind.from_pretrained(file.parent)
    except Exception as error:  # whatever the library makes of a file that anyone may have written
        raise CheckpointError(f"is no {kind.__name__}: {error}", where=file, remedy=_AGAIN) from error


def _read_config(file: Path, expected: str) -> dict[str, Any]:
    value = read_json_object(file, remedy=_AGAIN)
    found = value.get("model_type")
    if found != expected:
        raise CheckpointError(
            f"model_type is {found!r}, expected {expected!r}",
            where=file,
            remedy="give a Qwen2.5-VL folder in hub layout, or a checkpoint that Argus wrote",
        )
    return value


def _misfit(missing: list[str], unexpected: list[str], shapes: list[str]) -> str:
    """``2 weights (a, b) missing, 0 weights unexpected, …``: numbers, and the first names; empty where all fit."""
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    if not any(kinds.values()):
        return ""
    return ", ".join(
        counted(len(names), "weight") + (f" ({listed(names, 3)})" if names else "") + f" {kind}"
        for kind, names in kinds.items()
    )
