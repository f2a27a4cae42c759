"""Collator: samples → a batch: what the model's forward takes, and the counts that its losses are divided by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from argusvl.core.batch import Batch, BatchSizes
from argusvl.core.errors import DataError, ModelError
from argusvl.detection.data.labels import Vocabulary, label_of
from argusvl.detection.data.patches import PATCH
from argusvl.detection.data.sampling.conversation import ROLE_IDS, ChatProcessor
from argusvl.detection.data.sampling.pixels import num_placeholders, patch_grid, pixel_values
from argusvl.detection.data.sampling.positions import conversation_positions
from argusvl.detection.data.sampling.samples import Sample

IGNORED = -100
"""Label of a position that no loss looks at."""

COUNTS = (
    "teacher_tokens",
    "student_tokens",
    "objects",
    "student_samples",
    "student_images",
    "caption_tokens",
    "objects_labelled",
)
"""Keys of a batch's ``counts``."""


CollatorType = Literal["standard", "packed"]
"""How conversations lie in a batch: a row for each, padded on the right to the longest; or one after the other in a
single row, without padding."""


class Collator:
    """Joins samples to one batch.

    Its inputs, where S are samples, N images, M student images, T objects, V labels; ``[B, L]`` is ``[S, longest]``, or
    packed ``[1, ΣL]``; a *place* is a position in the rows laid end to end:

    - ``input_ids``, ``mm_token_type_ids`` (0 text, 1 image) ``[B, L]``; not packed ``attention_mask`` ``[B, L]``, too;
    - ``position_ids`` ``[4, B, L]``: in the text of its sample, in time, height and width;
    - ``labels`` (-100: none) and ``label_roles`` (0 none, 1 teacher, 2 student) ``[B, L]``;
    - ``pixel_values`` ``[ΣP, 1176]`` and ``image_grid_thw`` ``[N, 3]``, both ``None`` without images;
    - ``student_image_index``, ``student_image_sample``, ``student_image_start`` ``[M]``: row of
      ``image_grid_thw``, number of the sample, and place of the first placeholder;
    - ``student_prompt_span`` ``[S, 2]``: places from the student's ``<|im_start|>user`` up to its answer, half-open;
    - ``object_boxes_cxcywh_norm`` ``[T, 4]``, ``object_image`` ``[T]`` (0 … M-1, not decreasing),
      ``object_label`` ``[T]`` (-1: not in the vocabulary), ``object_caption_ids`` ``[T, C]`` (with
      ``<|im_end|>``, padded with -100);
    - ``vocabulary_ids`` ``[V, C']``, padded with -100.

    Its counts are those of :data:`COUNTS`.

    Args:
        processor: Its tokenizer writes captions and labels, too.
        labels: The vocabulary.
        vocabulary: ``open`` or ``closed``, how a description is looked up in it.
        caption_max_tokens: Most tokens of a caption, its end included; a longer one is refused by name.
        kind: How conversations lie in a batch.
        for_inference: Leaves out the student's answer and every target: the prompt ends where the model goes on.

    Raises:
        DataError: A label holds a special token.
    """

    def __init__(
        self,
        processor: ChatProcessor,
        *,
        labels: Sequence[str],
        vocabulary: Vocabulary,
        caption_max_tokens: int,
        kind: CollatorType = "standard",
        for_inference: bool = False,
    ) -> None:
        self.labels = tuple(labels)
        self.vocabulary: Vocabulary = vocabulary
        self.caption_max_tokens = caption_max_tokens
        self.kind: CollatorType = kind
        self.for_inference = for_inference
        self._processor = processor
        pad = processor.tokenizer.pad_token_id
        self._pad_id: int = processor.end_token_id if pad is None else pad
        self._label_index = {label: number for number, label in enumerate(self.labels)}
        self._vocabulary_ids = _padded([processor.encode(label, source="labels") for label in self.labels])

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """The batch.

        Raises:
            ModelError: There is no sample, or an image does not fit its placeholders.
            DataError: A caption is too long.
        """
        if not samples:
            raise ModelError("a batch needs at least one sample")
        for sample in samples:
            _check_placeholders(sample)
        lengths = [self._length(sample) for sample in samples]
        if self.kind == "packed":
            shape, starts = (1, sum(lengths)), np.cumsum([0, *lengths[:-1]]).tolist()
        else:
            shape = (len(samples), max(lengths))
            starts = [row * shape[1] for row in range(len(samples))]
        inputs = self._text(samples, shape, starts) | _images(samples) | _student_images(samples, starts)
        inputs["vocabulary_ids"] = self._vocabulary_ids.clone()
        counts = dict.fromkeys(COUNTS, 0)
        counts["student_samples"] = len(samples)
        counts["student_images"] = len(inputs["student_image_index"])
        if not self.for_inference:
            inputs |= self._objects(samples)
            for role, number in ROLE_IDS.items():
                counts[f"{role}_tokens"] = int((inputs["label_roles"] == number).sum())
            counts["objects"] = len(inputs["object_image"])
            counts["caption_tokens"] = int((inputs["object_caption_ids"] != IGNORED).sum())
            counts["objects_labelled"] = int((inputs["object_label"] >= 0).sum())
        sizes = BatchSizes(
            images=sum(len(sample.images) for sample in samples),
            vision_tokens=sum(len(span) for sample in samples for span in sample.conversation.images),
            tokens=inputs["input_ids"].numel(),
            real_tokens=sum(lengths),
        )
        return Batch(inputs, counts, sizes)

    def _text(
        self, samples: Sequence[Sample], shape: tuple[int, int], starts: Sequence[int]
    ) -> dict[str, Any]:
        """What there is of every token; written into the rows laid end to end."""
        places = shape[0] * shape[1]
        ids = np.full(places, self._pad_id, dtype=np.int64)
        real, types, roles = (np.zeros(places, dtype=np.int64) for _ in range(3))
        # No padded place is the first of a sample.
        positions = torch.ones((4, places), dtype=torch.int64)
        for sample, start in zip(samples, starts, strict=True):
            length = self._length(sample)
            ids[start : start + length] = sample.conversation.input_ids[:length]
            real[start : start + length] = 1
            for part in sample.conversation.parts:
                if part.kind == "image":
                    types[start + part.start : start + part.stop] = 1
                elif part.kind == "answer" and part.stop <= length:
                    roles[start + part.start : start + part.stop] = ROLE_IDS[part.role]
            own = slice(start, start + length)
            positions[:, own] = conversation_positions(types[own], sample.conversation.grids)
        batch = {"input_ids": ids, "mm_token_type_ids": types}
        if self.kind == "standard":
            batch["attention_mask"] = real
        if not self.for_inference:
            batch |= {"labels": np.where(roles > 0, ids, IGNORED), "label_roles": roles}
        tensors = {name: torch.from_numpy(array).view(shape) for name, array in batch.items()}
        return tensors | {"position_ids": positions.view(4, *shape)}

    def _length(self, sample: Sample) -> int:
        """In inference the conversation ends where the student's answer would begin."""
        return sample.conversation.student_prompt_span[1] if self.for_inference else len(sample.conversation)

    def _objects(self, samples: Sequence[Sample]) -> dict[str, Any]:
        boxes, images, labels, captions = [], [], [], []
        first_image = 0
        for sample in samples:
            num_images = len(sample.conversation.of_kind("image", "student"))
            student_images = sample.images[len(sample.images) - num_images :]
            # In order of the images; sorted() keeps the order within one.
            for annotation in sorted(sample.objects, key=lambda a: a.image):
                height, width = student_images[annotation.image].shape[:2]
                x1, y1, x2, y2 = annotation.bbox_2d
                boxes.append(
                    ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
                )
                images.append(first_image + annotation.image)
                labels.append(self._label_index.get(label_of(annotation.desc, self.vocabulary), -1))
                caption = encode_caption(
                    self._processor, annotation.desc, self.caption_max_tokens, sample.source
                )
                captions.append(caption)
            first_image += num_images
        return {
            "object_boxes_cxcywh_norm": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "object_image": torch.tensor(images, dtype=torch.int64),
            "object_label": torch.tensor(labels, dtype=torch.int64),
            "object_caption_ids": _padded(captions),
        }


def encode_caption(processor: ChatProcessor, text: str, max_tokens: int, source: str) -> list[int]:
    """The tokens of a description, its end included: what the caption decoder learns to write.

    Raises:
        DataError: They are more than ``max_tokens``, or the description holds a special token; names the ``source``.
    """
    ids = [*processor.encode(text, source=source), processor.end_token_id]
    if len(ids) > max_tokens:
        raise DataError(
            f"the description {text!r} has {len(ids)} tokens with its end, "
            f"detection_caption_max_tokens is {max_tokens}",
            where=source,
            remedy="shorten the description or raise detection_caption_max_tokens",
            slug="caption-too-long",
        )
    return ids


def _check_placeholders(sample: Sample) -> None:
    """Every image has as many placeholders as merged vision tokens: one too few and the next image reads its rows."""
    spans, grids = sample.conversation.images, sample.conversation.grids
    if not len(spans) == len(grids) == len(sample.images):
        raise ModelError(
            f"the conversation has {len(spans)} images and {len(grids)} grids, the sample {len(sample.images)} images",
            where=sample.source,
        )
    for number, (span, grid, image) in enumerate(zip(spans, grids, sample.images, strict=True)):
        actual = patch_grid(image.shape[1], image.shape[0])
        if actual != grid or len(span) != num_placeholders(grid):
            raise ModelError(
                f"image {number} has {len(span)} placeholders and grid {grid}, its pixels make {actual} "
                f"({PATCH}-pixel patches), which takes {num_placeholders(actual)}",
                where=sample.source,
                remedy="make conversation and pixels from the same resized image",
            )


def _images(samples: Sequence[Sample]) -> dict[str, Tensor | None]:
    images = [image for sample in samples for image in sample.images]
    if not images:
        return {"pixel_values": None, "image_grid_thw": None}
    values, grids = pixel_values(images)
    return {"pixel_values": torch.from_numpy(values), "image_grid_thw": torch.from_numpy(grids)}


def _student_images(samples: Sequence[Sample], starts: Sequence[int]) -> dict[str, Tensor]:
    placed = list(enumerate(zip(samples, starts, strict=True)))
    parts = [(n, start, part) for n, (one, start) in placed for part in one.conversation.images]
    images = [
        (row, n, start + part.start) for row, (n, start, part) in enumerate(parts) if part.role == "student"
    ]
    spans = [[start + place for place in one.conversation.student_prompt_span] for _, (one, start) in placed]
    index, owners, places = torch.tensor(images, dtype=torch.int64).reshape(-1, 3).T.contiguous()
    return {
        "student_image_index": index,
        "student_image_sample": owners,
        "student_image_start": places,
        "student_prompt_span": torch.tensor(spans, dtype=torch.int64),
    }


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """``int64 [rows, longest]``, padded with -100; ``[0, 1]`` without rows."""
    table = np.full((len(rows), max(map(len, rows), default=1)), IGNORED, dtype=np.int64)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return torch.from_numpy(table)
