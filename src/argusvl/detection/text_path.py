"""The language path: the stock model writes its answer, and the objects are read out of the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration

from argusvl.detection.data.answer_parsing import parse_answer
from argusvl.detection.data.conversation import ChatProcessor
from argusvl.detection.data.dataset import Vocabulary
from argusvl.detection.detections import Detections
from argusvl.detection.evaluation import class_of
from argusvl.detection.inference import SampleMetadata, on_device

_PER_TOKEN = ("input_ids", "attention_mask", "mm_token_type_ids")


@dataclass(frozen=True, slots=True, eq=False)
class TextPrediction:
    """What the language model wrote about one image.

    Attributes:
        text: The answer.
        detections: Its objects in the caller's pixels; a text has no scores, so all are 1.
        dropped: One line for each part of the answer that is no object, with the reason.
        complete: Whether the answer was finished; one that was cut by ``max_new_tokens`` is not.
    """

    text: str
    detections: Detections
    dropped: tuple[str, ...]
    complete: bool


@torch.inference_mode()
def write_answers(
    qwen: Qwen2_5_VLForConditionalGeneration,
    processor: ChatProcessor,
    batch: Mapping[str, Any],
    metadata: Sequence[SampleMetadata],
    *,
    vocabulary: Vocabulary,
    max_new_tokens: int,
) -> list[TextPrediction]:
    """Generates greedily and parses. The pixels enter in the pre-fill step only (G-001).

    Args:
        qwen: The stock model.
        processor: Of the conversations.
        batch: Collated for inference, right-padded; one student image a sample.
        metadata: How each student's image was resized.
        vocabulary: How a written description becomes a label.
        max_new_tokens: Longest answer.
    """
    # Generation goes on at the end of each row, so the padding must stand before it. Without mm_token_type_ids
    # positions would silently be those of plain text.
    tokens = _left_padded({name: batch[name] for name in _PER_TOKEN})
    images = {name: batch[name] for name in ("pixel_values", "image_grid_thw") if batch[name] is not None}
    pad = processor.tokenizer.pad_token_id
    written: Tensor = qwen.generate(  # type: ignore[misc,assignment]  # the stock class does not meet its own protocol
        **on_device({**tokens, **images}, qwen.device),
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
    """The objects of an answer about one image, in the pixels of the caller's image and cut at its border."""
    plan = metadata.plans[0]
    answer = parse_answer(text)
    width, height = plan.size
    boxes = plan.boxes_to_original([o.bbox_2d for o in answer.objects])
    boxes = boxes.clip(0, np.array([width, height, width, height]))
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    outside = tuple(
        f"the box lies outside the image: {list(o.bbox_2d)} {o.desc}"
        for o, shown in zip(answer.objects, inside, strict=True)
        if not shown
    )
    ones = np.ones(len(boxes), np.float32)
    found = Detections(
        boxes_xyxy_px=boxes,
        scores=ones,
        labels=tuple(class_of(o.desc, vocabulary) for o in answer.objects),
        label_scores=ones,
        image_size=plan.size,
        captions=tuple(o.desc for o in answer.objects),
        note=metadata.notes[0],
    )
    return TextPrediction(text, found[inside], (*answer.dropped, *outside), answer.complete)


def _left_padded(tokens: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Moves each row's padding from its end to its beginning."""
    mask = tokens["attention_mask"]
    length = mask.shape[1]
    shift = length - mask.sum(1, keepdim=True)  # [B, 1]
    source = (torch.arange(length, device=mask.device)[None] - shift) % length
    return {name: values.gather(1, source) for name, values in tokens.items()}
