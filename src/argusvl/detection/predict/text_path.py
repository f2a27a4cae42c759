"""The language path: the stock model writes its answer, and the objects are read out of the text."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration

from argusvl.core.batch import Batch
from argusvl.core.progress import track
from argusvl.detection.data.detections import Detections
from argusvl.detection.data.labels import Vocabulary
from argusvl.detection.data.sampling.answers import parse_answer
from argusvl.detection.data.sampling.collation import Collator
from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.measure.caption_scores import TextScore
from argusvl.detection.measure.evaluation import Evaluation, class_of, evaluate_detections
from argusvl.detection.predict.inference import RecordQuestions, SampleMetadata, question_batches
from argusvl.training.sandbox import evaluation_sandbox

_PER_TOKEN = ("input_ids", "attention_mask", "mm_token_type_ids")


@dataclass(frozen=True, slots=True, eq=False)
class TextPrediction:
    """What the language model wrote about one image, or about the several images of a record.

    Attributes:
        text: The answer.
        per_image: Its objects in the pixels of the caller's images; a text has no scores, so all are 1.
        dropped: One line for each part of the answer that is no object, with the reason.
        complete: Whether the answer was finished; one that was cut by ``max_new_tokens`` is not.
    """

    text: str
    per_image: tuple[Detections, ...]
    dropped: tuple[str, ...]
    complete: bool

    @property
    def detections(self) -> Detections:
        """The objects of the one image that was asked about."""
        (only,) = self.per_image
        return only


@dataclass(frozen=True, slots=True)
class TextEvaluation(Evaluation):
    """The outcome of an evaluation of the language path, with what was written about each record; every score is 1."""

    answers: tuple[TextPrediction, ...]

    @property
    def incomplete(self) -> int:
        """How many answers were cut."""
        return sum(not answer.complete for answer in self.answers)

    @property
    def dropped(self) -> int:
        """How many parts of the answers are no object."""
        return sum(len(answer.dropped) for answer in self.answers)


def evaluate_answers(
    qwen: Qwen2_5_VLForConditionalGeneration,
    questions: RecordQuestions,
    *,
    labels: Sequence[str],
    vocabulary: Vocabulary,
    batch_size: int,
    max_new_tokens: int,
    meteor: TextScore | None = None,
    num_workers: int = 0,
    show_progress: bool = False,
) -> TextEvaluation:
    """Lets the language model write about every record, and scores the boxes as the head's are scored.

    The model, and every random state, is afterwards as it was. Arguments are those of
    :func:`~argusvl.detection.predict.inference.evaluate_records`; ``max_new_tokens`` is the longest answer.

    Raises:
        DataError: A record or one of its images cannot be used.
    """
    began = time.perf_counter()
    # No type scores and no targets are wanted.
    collate = Collator(
        questions.processor, labels=(), vocabulary=vocabulary, caption_max_tokens=0, for_inference=True
    )
    batches = question_batches(questions, collate, batch_size, num_workers)
    count = -(-len(questions) // batch_size)
    answers: list[TextPrediction] = []
    seen: list[SampleMetadata] = []
    with evaluation_sandbox(qwen):
        for batch, metadata in track(batches, count, "Writing", unit="batches", enabled=show_progress):
            answers += write_answers(
                qwen,
                questions.processor,
                batch,
                metadata,
                vocabulary=vocabulary,
                max_new_tokens=max_new_tokens,
            )
            seen += metadata
    seconds = time.perf_counter() - began
    predictions = tuple(found for answer in answers for found in answer.per_image)
    truth = tuple(objects for one in seen for objects in one.truth)
    figures = evaluate_detections(predictions, truth, labels=labels, vocabulary=vocabulary, meteor=meteor)
    images = tuple(name for one in seen for name in one.images)
    return TextEvaluation(figures, images, predictions, truth, seconds, tuple(answers))


@torch.inference_mode()
def write_answers(
    qwen: Qwen2_5_VLForConditionalGeneration,
    processor: ChatProcessor,
    batch: Batch,
    metadata: Sequence[SampleMetadata],
    *,
    vocabulary: Vocabulary,
    max_new_tokens: int,
) -> list[TextPrediction]:
    """Generates greedily and parses. The pixels enter in the pre-fill step only (G-001); the batch is right-padded."""
    # Generation goes on at the end of each row, so the padding must stand before it. Without mm_token_type_ids
    # positions would silently be those of plain text.
    inputs = batch.to(qwen.device, non_blocking=True).inputs
    tokens = _left_padded({name: inputs[name] for name in _PER_TOKEN})
    images = {name: inputs[name] for name in ("pixel_values", "image_grid_thw") if inputs[name] is not None}
    arguments: dict[str, Any] = {**tokens, **images}
    pad = processor.tokenizer.pad_token_id
    written: Tensor = qwen.generate(  # type: ignore[misc,assignment]  # the stock class does not meet its own protocol
        **arguments,
        generation_config=GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=processor.end_token_id,
            pad_token_id=processor.end_token_id if pad is None else pad,
        ),
    )
    # The next forward must not continue from these positions.
    qwen.model.rope_deltas = None
    answers = written[:, tokens["input_ids"].shape[1] :].tolist()
    texts = [str(processor.tokenizer.decode(ids, skip_special_tokens=True)) for ids in answers]
    return [read_answer(text, one, vocabulary) for text, one in zip(texts, metadata, strict=True)]


def read_answer(text: str, metadata: SampleMetadata, vocabulary: Vocabulary) -> TextPrediction:
    """The objects of an answer, in the pixels of the caller's images and cut at their borders."""
    answer = parse_answer(text, len(metadata.plans))
    found, outside = [], []
    for number, (plan, note) in enumerate(zip(metadata.plans, metadata.notes, strict=True)):
        objects = [o for o in answer.objects if o.image == number]
        width, height = plan.size
        boxes = plan.boxes_to_original([o.bbox_2d for o in objects])
        boxes = boxes.clip(0, np.array([width, height, width, height]))
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        outside += [
            f"the box lies outside the image: {list(o.bbox_2d)} {o.desc}"
            for o, shown in zip(objects, inside, strict=True)
            if not shown
        ]
        ones = np.ones(len(boxes), np.float32)
        every = Detections(
            boxes_xyxy_px=boxes,
            scores=ones,
            labels=tuple(class_of(o.desc, vocabulary) for o in objects),
            label_scores=ones,
            image_size=plan.size,
            captions=tuple(o.desc for o in objects),
            note=note,
        )
        found.append(every[inside])
    return TextPrediction(text, tuple(found), (*answer.dropped, *outside), answer.complete)


def _left_padded(tokens: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Moves each row's padding from its end to its beginning."""
    mask = tokens["attention_mask"]
    length = mask.shape[1]
    shift = length - mask.sum(1, keepdim=True)  # [B, 1]
    source = (torch.arange(length, device=mask.device)[None] - shift) % length
    return {name: values.gather(1, source) for name, values in tokens.items()}
