"""Reading a checkpoint folder of hands; what is missing, damaged or does not fit is an error that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from argusvl.core.errors import ArgusError, CheckpointError
from argusvl.core.files import read_json_object
from argusvl.core.schemas import checked
from argusvl.core.weight_files import check_finite, check_floats
from argusvl.manipulation.model.configuration import HandConfig, HandShape
from argusvl.manipulation.model.modeling import ArgusForHands
from argusvl.run.checkpoints import verify_checkpoint

_AGAIN = "copy the checkpoint again, or use another one"


def load_config(folder: Path) -> HandConfig:
    """The configuration of a checkpoint.

    Raises:
        CheckpointError: The folder holds no ``config.json`` of a hand model, or one that is damaged.
    """
    file = folder / "config.json"
    value = read_json_object(file, remedy=_AGAIN)
    if value.get("model_type") != HandConfig.model_type:
        raise CheckpointError(
            f"model_type is {value.get('model_type')!r:.80}, expected {HandConfig.model_type!r}",
            where=file,
            remedy="name a checkpoint that `argus train` wrote for the task manipulation, or argus-hand",
        )
    checked(value, HandShape, file)
    try:
        config: HandConfig = HandConfig.from_pretrained(folder)
    except ArgusError as error:  # of the configuration's own checks, which do not know the file
        raise CheckpointError(error.what, where=file, remedy=_AGAIN) from error
    except Exception as error:  # whatever the library makes of a file that anyone may have written
        raise CheckpointError(f"is no HandConfig: {error}", where=file, remedy=_AGAIN) from error
    return config


def load_model(folder: Path, **changes: Any) -> ArgusForHands:
    """The network of a checkpoint, in float32; ``changes`` are fields of its configuration that shape no weight.

    Raises:
        CheckpointError: A file is missing, damaged, or does not fit.
    """
    config = load_config(folder)
    verify_checkpoint(folder)
    for file in sorted(folder.glob("model*.safetensors")):
        check_floats(file)
    for name, value in changes.items():
        setattr(config, name, value)
    options: dict[str, Any] = {"output_loading_info": True, "local_files_only": True, "dtype": torch.float32}
    try:
        model, report = ArgusForHands.from_pretrained(folder, config=config, **options)
    except MemoryError:
        raise
    except Exception as error:  # as above, and whatever safetensors makes of a damaged file
        what = f"its weights cannot be loaded: {error}"
        raise CheckpointError(what, where=folder, remedy=_AGAIN) from error
    if wrong := sorted(report["missing_keys"]) + sorted(report["unexpected_keys"]):
        what = f"its weights do not fit config.json: {wrong[0]} is missing or too much"
        raise CheckpointError(what, where=folder, remedy=_AGAIN)
    check_finite(model.named_parameters(), folder)
    return model
