"""How many tokens the conversations of records have, before there is a configuration or a run."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from argusvl.assets import model_folder
from argusvl.core.errors import DataError
from argusvl.detection.data.checkpoint_layout import stock_folder
from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.data.sampling.samples import VisionLimits, measure_scene
from argusvl.detection.data.sampling.tokenizer import learned_tokenizer, load_tokenizer
from argusvl.detection.data.scan import Measurement, RecordLine
from argusvl.detection.data.scan_cache import digest_of
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

    Args:
        scenes: What a tokenizer is learned from, where it is; this and the rest as for
            :func:`~argusvl.detection.data.sampling.tokenizer.learned_tokenizer`.
        model: Whose tokenizer to use: a Qwen2.5-VL folder in hub layout, a checkpoint of ours, or the name of a model
            that ships with us. ``None`` to learn one.
        language: Of the prompts.
        max_pixels: Largest area of an image.
        vocab_size: Most tokens of a learned tokenizer.
        learned_for: The records' file, where all of it is learned from.

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


class Lengths(Measurement[tuple[int, int, int]]):
    """Counts the tokens of every record by its images' headers, whose least and greatest area (pixels) the limits are.

    Attributes:
        conversations: Tokens of each record, from the system prompt to the answer's end, its own teachers included.
        as_teacher: What each adds to another conversation when it is shown as a demonstration.
        captions: Tokens of each one's longest description, end included; 0 without objects.
    """

    name = "lengths"
    keeps = ("conversations", "as_teacher", "captions")
    reads_images = True

    def __init__(self, processor: ChatProcessor, limits: tuple[int, int]) -> None:
        super().__init__(digest_of(processor.fingerprint, limits))
        self.conversations, self.as_teacher, self.captions = array("i"), array("i"), array("i")
        self._processor = processor
        self._limits = VisionLimits(*limits, _UNLIMITED, _UNLIMITED, "refuse")

    def measure(self, line: RecordLine) -> tuple[int, int, int]:
        """Counts one."""
        record, processor, root = line.record, self._processor, line.file.root
        turn = measure_scene(record.student, root, self._limits, record.source)
        teachers = [measure_scene(one, root, self._limits, record.source) for one in record.teachers]
        alone = processor.training(turn, source=record.source)
        shown = processor.training(turn, teachers, source=record.source) if teachers else alone
        captions = {a.desc for a in record.student.objects}
        longest = max((len(processor.encode(text, source=record.source)) + 1 for text in captions), default=0)
        return len(shown), alone.tokens_as_teacher, longest

    def add(self, line: RecordLine, found: tuple[int, int, int]) -> None:
        """Notes them."""
        for counts, count in zip((self.conversations, self.as_teacher, self.captions), found, strict=True):
            counts.append(count)
