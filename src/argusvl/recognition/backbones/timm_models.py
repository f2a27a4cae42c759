"""Any model of timm, an extra: it brings torchvision, and with it often another torch than the one installed here.

timm knows of every model how its pictures are prepared; that is taken from timm and never guessed.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from argus_doctor.wording import did_you_mean
from argusvl.core.errors import CheckpointError, ConfigError
from argusvl.core.extras import import_extra
from argusvl.core.files import user_path
from argusvl.core.weight_files import load_pickled, load_safetensors, state_differences
from argusvl.recognition.backbones.frozen import FrozenBackbone, loading

_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Where the checkpoints of common training programs keep the parameters, the averaged ones first."""


class TimmBackbone(FrozenBackbone):
    """A model of timm without its classifier.

    Args:
        model: Name in timm, with or without the tag of its weights: ``resnet18.a1_in1k``.
        file: The model's weights with their classifier, of any number of classes; timm's own, from the hub or its
            cache, when ``None``.
        device: Where it computes.

    Raises:
        ArgusError: timm is not installed.
        ConfigError: timm knows no such model.
        CheckpointError: The weights cannot be had, or are of another model.
    """

    def __init__(self, model: str, file: str | None = None, *, device: torch.device) -> None:
        timm = import_extra("timm", "data")
        if not timm.is_model(model):
            raise ConfigError(
                f"timm knows no model {model!r}{did_you_mean(model, timm.list_models())}",
                remedy="see timm.list_models()",
            )
        network = _published(timm, model) if file is None else _from_file(timm, model, user_path(file))
        network.reset_classifier(0)
        network = network.float().requires_grad_(False).eval()
        data = timm.data.resolve_model_data_config(network)
        self._transform = timm.data.create_transform(**data, is_training=False)
        _, height, width = data["input_size"]
        with torch.inference_mode():
            dimension = network(torch.zeros(1, 3, height, width)).shape[1]
        super().__init__(
            name=f"timm:{model}",
            dimension=dimension,
            size_hw=(height, width),
            decode_side_px=math.ceil(max(height, width) / data["crop_pct"]),
            device=device,
            weights_sha256=_state_sha256(network),
            preprocessing=json.loads(json.dumps(data)),
            pooling="the model's own, before its classifier",
            libraries=("pillow", "timm", "torch", "torchvision"),
        )
        self._network = network.to(device)

    def _pixels(self, image: Image.Image) -> Tensor:
        pixels: Tensor = self._transform(image)
        return pixels.to(torch.float32)

    def _vectors(self, batch: Tensor) -> Tensor:
        vectors: Tensor = self._network(batch)
        return vectors


def _published(timm: Any, model: str) -> Any:
    remedy = f"fetch the file where there is a network, and give timm:{model}:FILE"
    with loading("timm has no weights for it", f"timm:{model}", remedy):
        # With its classifier: asked for a model without one, timm would not insist that all weights fit.
        return timm.create_model(model, pretrained=True)


def _from_file(timm: Any, model: str, file: Path) -> Any:
    state = _read_state(file)
    network = timm.create_model(model, pretrained=False)
    classifier = network.pretrained_cfg.get("classifier")
    weight = state.get(f"{classifier}.weight") if isinstance(classifier, str) else None
    if weight is not None and weight.ndim == 2 and len(weight) != network.num_classes:
        network = timm.create_model(model, pretrained=False, num_classes=len(weight))
    wrong = state_differences(state, network.state_dict())
    if wrong:
        raise CheckpointError(
            f"not the weights of {model}: {wrong}", where=file, remedy="give a file of this very model"
        )
    network.load_state_dict(state, strict=True)
    return network


def _read_state(file: Path) -> dict[str, Tensor]:
    """The parameters of a file by their names, in float32 where they are floats."""
    remedy = "give a safetensors file, or a state dict that torch.load reads with weights_only=True"
    with loading("the weights cannot be read", file, remedy):
        state: Any = load_safetensors(file) if file.suffix == ".safetensors" else load_pickled(file)
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
            break
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError("holds no dictionary of tensors", where=file, remedy="give a state dict")
    return {
        str(name).removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in state.items()
    }


def _state_sha256(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
