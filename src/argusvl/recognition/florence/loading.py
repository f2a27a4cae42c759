"""Finding the parts of a Florence-2 in a folder or on the hub, and seeing that they belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, Florence2ForConditionalGeneration, Florence2Processor

from argusvl.core.errors import CheckpointError
from argusvl.core.files import read_json
from argusvl.recognition.backbones.frozen import library_versions, loading, weights_sha256
from argusvl.recognition.backbones.hub import (
    CONFIG,
    image_processor,
    load_network,
    model_folder,
    quiet_transformers,
    read_config,
    weight_files,
)
from argusvl.recognition.florence.answers import BINS

LIKE = "florence-community/Florence-2-base"
"""A published model in transformers' own layout."""

_REMEDY = f"give a folder with the files of {LIKE}, or of another model in that layout"


def load_florence(source: str | Path) -> tuple[Florence2ForConditionalGeneration, Florence2Processor]:
    """The model in float32 on the CPU, and a processor whose image part needs no torchvision.

    Args:
        source: A folder in hub layout, or an id of the hub.

    Raises:
        CheckpointError: It is missing, damaged, of another model, or in the layout of the hub's remote code.
    """
    folder = _folder(source)
    config = read_config(folder, ("florence2",), like=LIKE)
    weight_files(folder)  # transformers' own error does not say which shard is truncated
    # "(?!)": no weight of the files belongs elsewhere.
    model = load_network(Florence2ForConditionalGeneration, folder, config, "(?!)")
    return model, _processor(folder)


def model_settings(source: str | Path) -> dict[str, Any]:
    """What decides the answers of a model, JSON-ready, without loading it: the hash of its files, and the libraries.

    Raises:
        CheckpointError: It is missing, or has no weights.
    """
    folder = _folder(source)
    described = [file for file in folder.iterdir() if file.suffix in (".json", ".txt") and file.is_file()]
    return {
        "files_sha256": weights_sha256([*weight_files(folder), *described]),
        "libraries": library_versions("pillow", "tokenizers", "torch", "transformers"),
    }


def _folder(source: str | Path) -> Path:
    folder = model_folder(str(source))
    try:
        remote = "auto_map" in read_json(folder / CONFIG)
    except (OSError, ValueError, TypeError):
        remote = False  # read_config says what is wrong with it
    if remote:
        raise CheckpointError(
            "it is in the layout of code that the hub carries, which is never run here",
            where=folder / CONFIG,
            remedy=_REMEDY,
        )
    return folder


def _processor(folder: Path) -> Florence2Processor:
    """Image processor and tokenizer put together: asking for the whole would choose an image processor by itself."""
    pixels = image_processor(folder)
    wrong = "the tokenizer or the image processor is not Florence-2's"
    with loading(wrong, folder, _REMEDY), quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return Florence2Processor(pixels, tokenizer)


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """The ids that have a meaning of their own.

    Attributes:
        locations: Of ``<loc_…>``.
        silent: Ids that are not part of any text: begin, end, padding and other special tokens.
        end: Id that ends an answer.
    """

    locations: frozenset[int]
    silent: frozenset[int]
    end: int


def answer_tokens(tokenizer: Any, where: object) -> AnswerTokens:
    """The ids with a meaning of their own.

    Raises:
        CheckpointError: Location tokens are missing.
    """
    vocabulary: Mapping[str, int] = tokenizer.get_vocab()
    names = [f"<loc_{number}>" for number in range(BINS)]
    missing = [name for name in names if name not in vocabulary]
    if missing:
        raise CheckpointError(
            f"the tokenizer lacks {len(missing)} of {BINS} location tokens, e.g. {missing[0]}",
            where=where,
            remedy=_REMEDY,
        )
    locations = frozenset(vocabulary[name] for name in names)
    structure = {vocabulary.get(name) for name in ("<poly>", "</poly>", "<sep>")}
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    return AnswerTokens(locations, frozenset(special) - locations - structure, int(tokenizer.eos_token_id))


def check_image_tokens(
    model: Florence2ForConditionalGeneration, processor: Florence2Processor, where: object
) -> None:
    """Sees that a picture becomes as many tokens as the processor leaves room for, and by the same id.

    Raises:
        CheckpointError: It does not.
    """
    height, width = (int(processor.image_processor.size[side]) for side in ("height", "width"))
    vision: Any = model.config.vision_config
    sides = []
    for side in (height, width):
        for kernel, stride, padding in zip(
            vision.patch_size, vision.patch_stride, vision.patch_padding, strict=True
        ):
            side = (side + 2 * padding - kernel) // stride + 1
        sides.append(side)
    given, room = sides[0] * sides[1] + 1, int(processor.num_image_tokens)
    if given != room:
        raise CheckpointError(
            f"the model makes {given} tokens of a picture of {width}×{height}, the processor leaves room for {room} "
            "(image_seq_length)",
            where=where,
            remedy="config.json and preprocessor_config.json must come from one model",
        )
    if processor.image_token_id != model.config.image_token_id:
        raise CheckpointError(
            f"the tokenizer's {processor.image_token} has the id {processor.image_token_id}, the model expects "
            f"{model.config.image_token_id}",
            where=where,
            remedy="config.json and the tokenizer's files must come from one model",
        )
