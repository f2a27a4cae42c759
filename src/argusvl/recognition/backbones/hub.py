"""Where the files of a published model are: in a folder of the user's, or in the hub's cache by the model's id.

A folder in hub layout holds ``config.json``, ``preprocessor_config.json`` and the weights. A model id such as
``facebook/dinov2-base`` is looked up in the cache first, so that what was used once needs no network, and is downloaded
where it is not there.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers.utils import logging as transformers_logging

from argusvl.core.errors import CheckpointError
from argusvl.core.files import path_inside, read_json, user_path
from argusvl.core.weight_files import safetensors_names

CONFIG = "config.json"
PREPROCESSOR = ("preprocessor_config.json", "processor_config.json")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json")
SAFETENSORS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = "pytorch_model.bin"

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
        if (cached := _cached(place, local_files_only=True)) is not None:
            return cached
        try:
            if (downloaded := _cached(place, local_files_only=False)) is not None:
                return downloaded
        except (OSError, ValueError) as error:
            problem = str(error).splitlines()[0]
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
            raise CheckpointError(
                f"is damaged: {error}", where=index, remedy="copy the whole model folder again"
            ) from None
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
            raise CheckpointError(
                f"is missing; {INDEX} lists it", where=file, remedy="copy the whole model folder again"
            )
        safetensors_names(file)
    return files


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without its progress bars and its reports of keys: what matters in them, our errors say by name."""
    verbosity, bars = (
        transformers_logging.get_verbosity(),
        transformers_logging.is_progress_bar_enabled(),
    )
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
            folder = Path(
                snapshot_download(
                    model_id, allow_patterns=[*wanted, *weights], local_files_only=local_files_only
                )
            )
            weight_files(folder)
        except (LocalEntryNotFoundError, CheckpointError):
            continue
        return folder if (folder / CONFIG).is_file() else None
    return None
