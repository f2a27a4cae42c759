"""How many tokens the conversations of records have, before there is a configuration or a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from argusvl.assets import model_folder
from argusvl.core.errors import DataError
from argusvl.core.progress import track
from argusvl.core.workers import map_in_order
from argusvl.detection.checkpoint_layout import stock_folder
from argusvl.detection.data.conversation import ChatProcessor
from argusvl.detection.data.records import Record, RecordFile
from argusvl.detection.data.samples import VisionLimits, measure_scene
from argusvl.detection.data.tokenizer import learned_tokenizer, load_tokenizer
from argusvl.training.checkpoints import checkpoint_at

LEARNED_VOCABULARY = 512
"""Tokens of a tokenizer that is learned from the records, as in the shipped configurations of small models."""

_UNLIMITED = 2**31 - 1
_LEARNED_FROM = 2000


@dataclass(frozen=True, slots=True)
class RecordTokens:
    """Tokens of one record.

    Attributes:
        conversation: From the system prompt to the end of the answer, the record's own teachers included.
        as_teacher: What it adds to another conversation when it is shown as a demonstration.
        caption: Of its longest description, end included; 0 without objects.
    """

    conversation: int
    as_teacher: int
    caption: int


def open_processor(
    records: Sequence[RecordFile],
    *,
    model: str | Path | None,
    language: str,
    max_pixels: int,
    seed: int = 0,
    vocab_size: int = LEARNED_VOCABULARY,
    learned_from: int | None = _LEARNED_FROM,
) -> ChatProcessor:
    """A processor that counts conversations of any length.

    Args:
        records: What a tokenizer is learned from, where it is: the records that can be read.
        model: Whose tokenizer to use: a Qwen2.5-VL folder in hub layout, a checkpoint of ours, or the name of a model
            that ships with us. ``None`` to learn one.
        language: Of the prompts.
        max_pixels: Largest area of an image, for the coordinates that the tokenizer must know.
        seed: Of those coordinates.
        vocab_size: Most tokens of a learned tokenizer.
        learned_from: At most so many records of each file; ``None`` for all, as training does.

    Raises:
        CheckpointError: The folder holds no tokenizer.
        DataError: A learned tokenizer was asked for and no record can be read.
    """
    if model is not None:
        tokenizer = load_tokenizer(stock_folder(checkpoint_at(model_folder(model))))
    else:
        readable = [r for file in records for r in islice(_readable(file), learned_from)]
        if not readable:
            where = ", ".join(str(file.path) for file in records)
            raise DataError(
                "no record can be read", where=where, remedy="correct what `argus data check` finds"
            )
        tokenizer = learned_tokenizer(
            readable, prompt_language=language, max_pixels=max_pixels, seed=seed, vocab_size=vocab_size
        )
    return ChatProcessor(
        tokenizer, prompt_language=language, model_max_length=_UNLIMITED, over_length_policy="refuse"
    )


def count_records(
    records: RecordFile,
    processor: ChatProcessor,
    limits: tuple[int, int],
    *,
    workers: int | None = None,
    progress: bool = False,
) -> Iterator[RecordTokens | DataError]:
    """Counts the tokens of every record by its images' headers; for one that cannot be used, what is wrong with it.

    Args:
        records: The records.
        processor: From :func:`open_processor`.
        limits: Least and greatest area of an image, pixels.
        workers: Threads; the number of usable cores when ``None``.
        progress: Whether to show a progress bar.
    """
    vision = VisionLimits(*limits, _UNLIMITED, _UNLIMITED, "refuse")
    count = partial(_count, records=records, processor=processor, vision=vision)
    counted = map_in_order(count, range(len(records)), workers)
    name = f"counting tokens of {records.path.name}"
    yield from track(counted, len(records), name, unit="records", enabled=progress)


def _count(
    index: int, *, records: RecordFile, processor: ChatProcessor, vision: VisionLimits
) -> RecordTokens | DataError:
    try:
        record = records[index]
        turn = measure_scene(record.student, records.root, vision, record.source)
        teachers = [measure_scene(one, records.root, vision, record.source) for one in record.teachers]
        alone = processor.training(turn, source=record.source)
        shown = processor.training(turn, teachers, source=record.source) if teachers else alone
        captions = {a.desc for a in record.student.objects}
        longest = max((len(processor.encode(text, source=record.source)) + 1 for text in captions), default=0)
    except DataError as error:
        return error
    return RecordTokens(len(shown), len(alone) - alone.student_prompt_span[0], longest)


def _readable(records: RecordFile) -> Iterator[Record]:
    for index in range(len(records)):
        try:
            yield records[index]
        except DataError:
            continue
