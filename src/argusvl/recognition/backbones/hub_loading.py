"""A model from a folder in hub layout: its configuration, image processor and weights, or what is wrong, by name.

The image processor is the one on Pillow, by its name: the library would take another where torchvision is installed,
and its pixels differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from argusvl.core.errors import CheckpointError
from argusvl.core.files import read_json_object
from argusvl.core.wording import listed
from argusvl.recognition.backbones.hub import CONFIG, PREPROCESSOR, quiet_transformers

AGAIN = "copy the whole model folder again, or use another one"
CANNOT_LOAD = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError)
_ALL_SIZES = 1 << 30
"""A side that no picture has: where the preprocessing does not resize, none may be decoded smaller."""

_PROCESSORS: Mapping[str, type] = {
    "BitImageProcessor": BitImageProcessorPil,
    "CLIPImageProcessor": CLIPImageProcessorPil,
    "ConvNextImageProcessor": ConvNextImageProcessorPil,
    "SiglipImageProcessor": SiglipImageProcessorPil,
}


def read_config(folder: Path, model_types: tuple[str, ...], *, like: str) -> PretrainedConfig:
    """The configuration of a model of one of the given types.

    Args:
        folder: In hub layout.
        model_types: What ``config.json`` may say.
        like: Id of a published model of this kind, for the error.

    Raises:
        CheckpointError: The file is missing, damaged, or of another type.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise CheckpointError(f"no {CONFIG}", where=folder, remedy="give a model folder in hub layout")
    stated = read_json_object(file, remedy=AGAIN).get("model_type")
    if stated not in model_types:
        reason = ", whose pictures have no fixed size" if stated == "siglip2" else ""
        raise CheckpointError(
            f"model_type is {stated!r}{reason}, expected {' or '.join(map(repr, model_types))}",
            where=file,
            remedy=f"give a model of the same kind as {like}",
        )
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(folder, local_files_only=True)
    except CANNOT_LOAD as error:
        raise CheckpointError(f"is damaged: {error}", where=file, remedy=AGAIN) from None


def image_processor(folder: Path, default: str) -> Any:
    """The image processor on Pillow that the folder names.

    Args:
        folder: In hub layout.
        default: Type of the processor, where the folder names none.

    Raises:
        CheckpointError: There is no readable description of it, or it is of a type that is not known here.
    """
    try:
        with quiet_transformers():
            stated, _ = _PROCESSORS[default].get_image_processor_dict(folder)  # type: ignore[attr-defined]
    except CANNOT_LOAD as error:
        raise CheckpointError(
            f"no readable {PREPROCESSOR[0]}: {str(error).splitlines()[0]}",
            where=folder,
            remedy="copy the whole model folder: without this file, how to prepare pictures would be a guess",
        ) from None
    if not isinstance(stated, dict):
        raise CheckpointError("holds no JSON object", where=folder / PREPROCESSOR[0], remedy=AGAIN)
    kind = str(stated.get("image_processor_type") or stated.get("feature_extractor_type") or default)
    kind = re.sub(r"(Fast|Pil)$", "", kind.replace("FeatureExtractor", "ImageProcessor"))
    if kind not in _PROCESSORS:
        raise CheckpointError(
            f"image_processor_type is {kind!r}",
            where=folder / PREPROCESSOR[0],
            remedy=f"use a model whose pictures are prepared by one of {', '.join(_PROCESSORS)}",
        )
    try:
        return _PROCESSORS[kind].from_dict(stated)  # type: ignore[attr-defined]
    except CANNOT_LOAD as error:
        raise CheckpointError(f"is damaged: {error}", where=folder / PREPROCESSOR[0], remedy=AGAIN) from None


def fixed_size(processor: Any, folder: Path) -> tuple[int, int]:
    """Height and width of what comes out, whatever goes in.

    Raises:
        CheckpointError: The processor fails, or what comes out depends on what goes in.
    """
    try:
        sizes = {
            tuple(processor(images=Image.new("RGB", size), return_tensors="pt")["pixel_values"].shape[2:])
            for size in ((70, 50), (40, 90))
        }
    except CANNOT_LOAD as error:
        raise CheckpointError(
            f"cannot prepare a picture: {error}", where=folder / PREPROCESSOR[0], remedy=AGAIN
        ) from None
    if len(sizes) != 1:
        raise CheckpointError(
            f"makes pictures of no fixed size: {', '.join(f'{h}×{w}' for h, w in sorted(sizes))}",
            where=folder / PREPROCESSOR[0],
            remedy="set do_center_crop and crop_size, or a size with height and width",
        )
    height, width = sizes.pop()
    return height, width


def resized_side(processor: Any) -> int:
    """The shorter side to which pictures are brought before any crop."""
    if not processor.do_resize:
        return _ALL_SIZES
    size = processor.size
    if not size.shortest_edge:
        return max(size.height, size.width)
    if isinstance(processor, ConvNextImageProcessorPil) and size.shortest_edge < 384:
        return int(size.shortest_edge / processor.crop_pct)
    return int(size.shortest_edge)


def load_network(
    network: type[PreTrainedModel], folder: Path, config: PretrainedConfig, elsewhere: str
) -> Any:
    """The network with all its weights from the folder, float32, frozen, in evaluation mode.

    Args:
        network: Class of the network.
        folder: In hub layout.
        config: Of the network, which may be a part of the folder's model.
        elsewhere: Regular expression for the beginning of the names of weights that belong to other parts.

    Raises:
        CheckpointError: A weight is missing, not finite or of another shape, or the file holds others of this part.
    """
    answer: Any
    try:
        with quiet_transformers():
            answer = network.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused below, by name; transformers would name nothing
            )
    except CANNOT_LOAD as error:
        raise CheckpointError(f"the weights cannot be loaded: {error}", where=folder, remedy=AGAIN) from None
    loaded, report = answer
    wrong = {
        "missing": sorted(report["missing_keys"]),
        "unexpected": sorted(k for k in report["unexpected_keys"] if not re.match(elsewhere, k)),
        "of another shape": sorted(key for key, *_ in report["mismatched_keys"]),
    }
    for what, names in wrong.items():
        if names:
            raise CheckpointError(
                f"{len(names)} weights are {what} ({listed(names, 3)}): "
                f"{CONFIG} and the weights are not of the same model",
                where=folder,
                remedy="copy both from one model",
            )
    for key, parameter in loaded.named_parameters():
        if not torch.isfinite(parameter).all():
            raise CheckpointError(f"{key} holds values that are not finite", where=folder, remedy=AGAIN)
    return loaded.requires_grad_(False).eval()
