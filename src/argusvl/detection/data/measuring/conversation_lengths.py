"""How many tokens the conversations of records have, before there is a configuration or a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from argusvl.assets import model_folder
from argusvl.core.errors import DataError
from argusvl.detection.data.checkpoint_layout import stock_folder
from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.data.sampling.samples import VisionLimits
from argusvl.detection.data.sampling.sizes import SceneSizes
from argusvl.detection.data.sampling.tokenizer import learned_tokenizer, load_tokenizer
from argusvl.run.checkpoints import checkpoint_at

if TYPE_CHECKING:
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

LEARNED_VOCABULARY = 512
"""Tokens of a tokenizer that is learned from the records, as in the shipped configurations of small models."""

_UNLIMITED = 2**31 - 1


def open_processor(
    scenes: Iterable[Sequence[str]],
    *,
    model: str | Path | None,
    language: str,
    max_pixels: int,
    vocab_size: int = LEARNED_VOCABULARY,
    learned_for: RecordFile | None = None,
) -> ChatProcessor:
    """Such a processor as :func:`unlimited_processor` gives, with a tokenizer that is loaded or learned.

    It is that of ``model``: a Qwen2.5-VL folder in hub layout, a checkpoint of ours, or the name of a model that ships
    with us. ``None`` learns one from the scenes; what else is given is told at
    :func:`~argusvl.detection.data.sampling.tokenizer.learned_tokenizer`.

    Raises:
        CheckpointError: The folder holds no tokenizer.
        DataError: A learned tokenizer was asked for and there is no scene.
    """
    if model is not None:
        tokenizer = load_tokenizer(stock_folder(checkpoint_at(model_folder(model))))
    else:
        scenes = iter(scenes)
        if (first := next(scenes, None)) is None:
            raise DataError("no record can be read", remedy="correct what `argus data check` finds")
        scenes = chain([first], scenes)
        tokenizer = learned_tokenizer(
            scenes,
            prompt_language=language,
            max_pixels=max_pixels,
            seed=0,
            vocab_size=vocab_size,
            learned_for=learned_for,
        )
    return unlimited_processor(tokenizer, language)


def unlimited_processor(tokenizer: TokenizersBackend, language: str) -> ChatProcessor:
    """A processor with prompts of this language that counts conversations of any length."""
    return ChatProcessor(
        tokenizer, prompt_language=language, model_max_length=_UNLIMITED, over_length_policy="refuse"
    )


class Lengths(SceneSizes):
    """Those of scenes whose images have any number of tokens; ``limits`` are their least and greatest area, pixels."""

    name = "lengths"  # kept beside those of runs

    def __init__(self, processor: ChatProcessor, limits: tuple[int, int]) -> None:
        super().__init__(processor, VisionLimits(*limits, _UNLIMITED, _UNLIMITED, "refuse"))
