"""A model from a folder in hub layout: its configuration, image processor and weights, or what is wrong, by name.

The image processor is always the one on Pillow: left to itself, the library would take another where torchvision is
installed, and its pixels differ.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, PretrainedConfig, PreTrainedModel

from argusvl.core.errors import CheckpointError
from argusvl.core.files import read_json_object
from argusvl.core.weight_files import check_finite
from argusvl.core.wording import first_line, listed
from argusvl.recognition.backbones.frozen import CANNOT_LOAD
from argusvl.recognition.backbones.hub import CONFIG, PREPROCESSOR, quiet_transformers

AGAIN = "copy the whole model folder again, or use another one"
_ALL_SIZES = 1 << 30
"""A side that no picture has: where the preprocessing does not resize, none may be decoded smaller."""


def read_config(folder: Path, model_types: tuple[str, ...], *, like: str) -> PretrainedConfig:
    """The configuration of a model of one of the given types; ``like`` is the id of a published one, for the error.

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


def image_processor(folder: Path) -> Any:
    """The image processor on Pillow that the folder names, or that models of its type have; else a
    ``CheckpointError``.
    """
    file = folder / PREPROCESSOR[0]
    if not any((folder / name).is_file() for name in PREPROCESSOR):
        raise CheckpointError(
            f"no {PREPROCESSOR[0]}",
            where=folder,
            remedy="copy the whole model folder: without this file, how to prepare pictures would be a guess",
        )
    try:
        with quiet_transformers():
            return AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True)
    except CANNOT_LOAD as error:
        reason = first_line(error).partition(". ")[0]  # what follows lists all there are
        raise CheckpointError(f"is damaged, or not for Pillow: {reason}", where=file, remedy=AGAIN) from None


def fixed_size(processor: Any, folder: Path) -> tuple[int, int]:
    """Height and width of what comes out, whatever goes in; a ``CheckpointError`` where they depend on that."""
    file = folder / PREPROCESSOR[0]
    try:
        first, second = (
            tuple(processor(images=Image.new("RGB", size), return_tensors="pt")["pixel_values"].shape[2:])
            for size in ((70, 50), (40, 90))
        )
    except CANNOT_LOAD as error:
        raise CheckpointError(f"cannot prepare a picture: {error}", where=file, remedy=AGAIN) from None
    if first != second:
        raise CheckpointError(
            f"makes pictures of no fixed size: {first[0]}×{first[1]}, {second[0]}×{second[1]}",
            where=file,
            remedy="set do_center_crop and crop_size, or a size with height and width",
        )
    return first


def resized_side(processor: Any) -> int:
    """The shorter side to which pictures are brought before any crop."""
    if not processor.do_resize:
        return _ALL_SIZES
    size = processor.size
    if not size.shortest_edge:
        return max(size.height, size.width)
    share = getattr(processor, "crop_pct", None)  # ConvNext's resizes by it, except large pictures
    return int(size.shortest_edge / share if share and size.shortest_edge < 384 else size.shortest_edge)


def load_network(
    network: type[PreTrainedModel], folder: Path, config: PretrainedConfig, elsewhere: str
) -> Any:
    """The network with all its weights from the folder, float32, frozen, in evaluation mode.

    ``config`` is the network's, which may be a part of the folder's model; ``elsewhere`` is a regular expression for
    how the names of weights begin that belong to other parts.

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
    check_finite(loaded.named_parameters(), folder)
    return loaded.requires_grad_(False).eval()
