"""A published model: where its files are, its configuration, image processor and weights, or what is wrong, by name.

A folder in hub layout holds ``config.json``, ``preprocessor_config.json`` and the weights. A model id such as
``facebook/dinov2-base`` is looked up in the cache first, so that what was used once needs no network, and is downloaded
where it is not there.

The image processor is always the one on Pillow: left to itself, the library would take another where torchvision is
installed, and its pixels differ.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from argusvl.core.errors import CheckpointError
from argusvl.core.files import path_inside, read_json, read_json_object, user_path
from argusvl.core.weight_files import check_finite, safetensors_names
from argusvl.core.wording import first_line, listed
from argusvl.recognition.backbones.frozen import CANNOT_LOAD, loading

CONFIG = "config.json"
PREPROCESSOR = ("preprocessor_config.json", "processor_config.json")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json")
SAFETENSORS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = "pytorch_model.bin"

AGAIN = "copy the whole model folder again, or use another one"
_ALL_SIZES = 1 << 30
"""A side that no picture has: where the preprocessing does not resize, none may be decoded smaller."""

_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def model_folder(place: str) -> Path:
    """A folder with the files of a model: a folder in hub layout, or that of a model on the hub by its id.

    Raises:
        CheckpointError: There is no such folder, and the model is neither in the cache nor to be had from the hub.
    """
    folder = user_path(place)
    if folder.is_dir():
        return folder
    if not _MODEL_ID.fullmatch(place):
        raise CheckpointError(
            "no such folder", where=place, remedy="check the path, or give the id of a model"
        )
    problem = "the hub cannot be reached, or it has no weights in a form that can be read safely"
    with quiet_transformers():
        for local_files_only in (True, False):
            try:
                if (found := _cached(place, local_files_only=local_files_only)) is not None:
                    return found
            except (OSError, ValueError) as error:
                problem = first_line(error)
    raise CheckpointError(
        f"no such folder, and no model of this id could be loaded from the hub: {problem}",
        where=place,
        remedy="download it where there is a network (hf download MODEL_ID --local-dir FOLDER), copy the folder "
        "here, and give NAME:FOLDER",
    )


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a model's weights, whole by their headers.

    Raises:
        CheckpointError: The folder has no weights, or a file of them is missing or truncated.
    """
    if (folder / SAFETENSORS).is_file():
        files = [folder / SAFETENSORS]
    elif (folder / INDEX).is_file():
        index = folder / INDEX
        try:
            names = sorted(set(read_json(index)["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"is damaged: {error}", where=index, remedy=AGAIN) from None
        files = [path_inside(folder, name, stated_in=index) for name in names]
    elif (folder / PICKLED).is_file():
        return [folder / PICKLED]
    else:
        raise CheckpointError(
            f"holds no weights ({SAFETENSORS} or {PICKLED})",
            where=folder,
            remedy="copy the whole model folder, with its weights",
        )
    for file in files:
        if not file.is_file():
            raise CheckpointError(f"is missing; {INDEX} lists it", where=file, remedy=AGAIN)
        safetensors_names(file)
    return files


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without its progress bars and its reports of keys: what matters in them, our errors say by name."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    hub = logging.getLogger("huggingface_hub")  # which tells of each try; our error tells of the last one
    level = hub.level
    hub.setLevel(logging.ERROR)
    try:
        yield
    finally:
        hub.setLevel(level)
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _cached(model_id: str, *, local_files_only: bool) -> Path | None:
    """The model's folder in the cache, its files fetched where that is allowed; ``None`` where it is not whole."""
    wanted = [CONFIG, *PREPROCESSOR, *TOKENIZER]
    for weights in ([SAFETENSORS, INDEX, "model-*.safetensors"], [PICKLED]):
        try:
            patterns = [*wanted, *weights]
            folder = Path(
                snapshot_download(model_id, allow_patterns=patterns, local_files_only=local_files_only)
            )
            weight_files(folder)
        except (LocalEntryNotFoundError, CheckpointError):
            continue
        return folder if (folder / CONFIG).is_file() else None
    return None


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
    with loading("is damaged", file, AGAIN), quiet_transformers():
        return AutoConfig.from_pretrained(folder, local_files_only=True)


def image_processor(folder: Path) -> Any:
    """The image processor on Pillow that the folder names, or that models of its type have.

    Raises:
        CheckpointError: There is no readable description of it, or it has no part on Pillow.
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
    """Height and width of what comes out, whatever goes in.

    Raises:
        CheckpointError: The processor fails, or what comes out depends on what goes in.
    """
    file = folder / PREPROCESSOR[0]
    with loading("cannot prepare a picture", file, AGAIN):
        first, second = (
            tuple(processor(images=Image.new("RGB", size), return_tensors="pt")["pixel_values"].shape[2:])
            for size in ((70, 50), (40, 90))
        )
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
    with loading("the weights cannot be loaded", folder, AGAIN), quiet_transformers():
        answer = network.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, by name; transformers would name nothing
        )
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
