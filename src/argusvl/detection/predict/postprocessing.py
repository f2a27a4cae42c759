"""The model's output → detections in the pixels of the caller's images, and descriptions for chosen queries.

The score of a (query, label) pair is σ(objectness) × softmax over the vocabulary. DETR's own post-processing
(softmax with a last "no object" class that is dropped) does not fit a head with one sigmoid objectness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from argusvl.core.boxes import cxcywh_to_xyxy, non_maximum_suppression, vote
from argusvl.core.errors import ModelError
from argusvl.detection.data.detections import Detections
from argusvl.detection.measure.evaluation import MAX_DETECTIONS
from argusvl.detection.model.modeling import DetectionOutput
from argusvl.detection.predict.captions import CaptionChoice

# Descriptions decoded at once: bounds the memory of the caption decoder's cache, whatever the batch.
_CAPTIONS_AT_ONCE = 512


@dataclass(frozen=True)
class ImagePredictions:
    """Two rankings of one image's queries, best first.

    Attributes:
        best: Every query with its best label. For people, for captions and for what is asked of a box alone.
        rank: Makes :attr:`ranked`: milliseconds for an image, which people need not wait for.
    """

    best: Detections
    rank: Callable[[], Detections]

    @cached_property
    def ranked(self) -> Detections:
        """The best (query, label) pairs; a query may stand there with several labels. For AP."""
        return self.rank()


def num_kept(num_queries: int) -> int:
    """Pairs of an image that count: 100, or the number of queries where that is more."""
    return max(MAX_DETECTIONS, num_queries)


@torch.no_grad()
def postprocess(
    output: DetectionOutput,
    labels: Sequence[str],
    image_sizes: Sequence[tuple[int, int]],
    notes: Sequence[str] | None = None,
    nms_iou: float | None = None,
    type_temperature: float = 1.0,
    mirrored: DetectionOutput | None = None,
) -> list[ImagePredictions]:
    """Boxes, labels and scores of every student image of a batch.

    The head's boxes are fractions of the image, which a resize does not change: fractions × the caller's size
    are the caller's pixels, exactly. Boxes are cut at the image's border.

    Args:
        output: Of ``M`` student images.
        labels: The ``V`` labels that ``type_logits`` are over.
        image_sizes: ``M`` times ``(width, height)`` of the images that the boxes are wanted on.
        notes: ``M`` remarks for the caller.
        nms_iou: Overlap at which the lower-scored of two boxes goes: among boxes of one label in ``ranked``, among
            all in ``best`` (two names for one place are one thing to a person); before, boxes of one thing have
            voted on where it is. ``None``: neither.
        type_temperature: Of the label scores that are given back; scores and ranking are as without it.
        mirrored: Of the mirror images: its boxes have a vote on where things are, too.

    Raises:
        ModelError: The shapes contradict each other, or the output is not finite.
    """
    boxes_norm, objectness_logits, type_logits = _checked(output, labels, image_sizes)
    images, queries = objectness_logits.shape
    objectness = objectness_logits.float().sigmoid()  # [M, Q]
    label_scores = type_logits.float().softmax(-1)  # [M, Q, V]
    pair_scores = (objectness[..., None] * label_scores).flatten(1)  # [M, Q * V]
    # Stable sorts, so that equal scores come in the same order on every machine.
    kept = pair_scores.sort(dim=1, descending=True, stable=True).indices
    if nms_iou is None:
        kept = kept[:, : num_kept(queries)]
    pair_query, pair_label = kept // len(labels), kept % len(labels)
    best_label = label_scores.argmax(-1)  # [M, Q]
    best_scores = objectness * label_scores.amax(-1)
    order = best_scores.sort(dim=1, descending=True, stable=True).indices
    sides = torch.tensor(image_sizes, dtype=torch.float64).repeat(1, 2)  # [M, 4]: w, h, w, h
    boxes = cxcywh_to_xyxy(boxes_norm.double().cpu()).clamp(0, 1) * sides[:, None]
    # One transfer from the device for the whole batch.
    label_scores, objectness = label_scores.cpu(), objectness.cpu()
    if nms_iou is not None or mirrored is not None:  # several answer for an object
        boxes = vote(boxes, objectness.double(), _turned_back(mirrored, labels, sides))
    shown_scores = label_scores
    if type_temperature != 1.0:
        shown_scores = (type_logits.float() / type_temperature).softmax(-1).cpu()
    pair_query, pair_label = pair_query.cpu(), pair_label.cpu()
    order, best_label = order.cpu(), best_label.cpu()

    def detections(image: int, query: Tensor, label: Tensor) -> Detections:
        return Detections(
            boxes_xyxy_px=boxes[image, query].float().numpy(),
            scores=(objectness[image, query] * label_scores[image, query, label]).numpy(),
            labels=tuple(labels[k] for k in label.tolist()),
            label_scores=shown_scores[image, query, label].numpy(),
            image_size=image_sizes[image],
            queries=query.numpy(),
            note=notes[image] if notes is not None else "",
        )

    def ranked(image: int) -> Detections:
        query, label = pair_query[image], pair_label[image]
        if nms_iou is not None:
            stays = non_maximum_suppression(boxes[image], query, label, nms_iou, limit=num_kept(queries))
            query, label = query[stays], label[stays]
        return detections(image, query, label)

    predictions = []
    for m in range(images):
        best = order[m]
        if nms_iou is not None:
            best = best[non_maximum_suppression(boxes[m], best, torch.zeros_like(best), nms_iou)]
        predictions.append(ImagePredictions(detections(m, best, best_label[m, best]), partial(ranked, m)))
    return predictions


@torch.no_grad()
def describe(
    model: Any,
    output: Any,
    tokenizer: Any,
    predictions: Sequence[Detections],
    chosen: Sequence[Sequence[int]],
    among: CaptionChoice | None = None,
) -> list[Detections]:
    """The same predictions with descriptions of the ``chosen`` entries of each; the others' captions are ``None``.

    Args:
        model: Its ``describe(output, image, query, max_tokens)`` gives token ids, -100 after the end;
            ``choose_description(output, image, query, trie, group)`` numbers of descriptions.
        output: What the predictions were read from.
        tokenizer: Of the model.
        predictions: One for each student image of the batch.
        chosen: For each image the entries to describe.
        among: Descriptions to choose from; ``None``: any text.
    """
    wanted = [
        (m, int(detections.queries[k]), detections.labels[k])  # type: ignore[index]  # postprocess gives queries
        for m, (detections, entries) in enumerate(zip(predictions, chosen, strict=True))
        for k in entries
    ]
    texts = iter(_captions(model, output, tokenizer, wanted, among))
    described = []
    for detections, entries in zip(predictions, chosen, strict=True):
        captions: list[str | None] = [None] * len(detections)
        for k in entries:
            captions[k] = next(texts)
        described.append(replace(detections, captions=tuple(captions)))
    return described


def _captions(
    model: Any,
    output: Any,
    tokenizer: Any,
    wanted: list[tuple[int, int, str]],
    among: CaptionChoice | None,
) -> list[str]:
    """Texts of (image, query, label) triples."""
    texts: list[str] = []
    for start in range(0, len(wanted), _CAPTIONS_AT_ONCE):
        images, queries, labels = zip(*wanted[start : start + _CAPTIONS_AT_ONCE], strict=True)
        image, query = (torch.tensor(part, device=model.device) for part in (images, queries))
        if among is not None:
            group = torch.tensor([among.group_of[label] for label in labels], device=model.device)
            numbers = model.choose_description(output, image, query, among.trie, group).tolist()
            texts += [among.descriptions[number] for number in numbers]
            continue
        ids = model.describe(output, image, query, max_tokens=model.config.caption_max_tokens)
        for row in ids.tolist():
            ended = row.index(-100) if -100 in row else len(row)
            texts.append(tokenizer.decode(row[:ended], skip_special_tokens=True).strip())
    return texts


def _turned_back(
    mirrored: DetectionOutput | None, labels: Sequence[str], sides: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Boxes of mirror images where they stand in the images, and their objectness."""
    if mirrored is None:
        return None
    boxes, objectness, _ = _checked(mirrored, labels, sides)
    x, rest = boxes.double().cpu().split([1, 3], dim=-1)
    turned = cxcywh_to_xyxy(torch.cat([1 - x, rest], dim=-1)).clamp(0, 1) * sides[:, None]
    return turned, objectness.double().sigmoid().cpu()


def _checked(
    output: DetectionOutput, labels: Sequence[str], image_sizes: Sequence[tuple[int, int]] | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, objectness and type logits, of shapes that fit each other and finite."""
    boxes, objectness, types = output.boxes_cxcywh_norm, output.objectness_logits, output.type_logits
    if boxes is None or objectness is None or types is None:
        raise ModelError("the output holds no boxes", remedy="give images to a model with a detection head")
    images, queries = objectness.shape
    for name, tensor, shape in (
        ("boxes_cxcywh_norm", boxes, [images, queries, 4]),
        ("type_logits", types, [images, queries, len(labels)]),
        ("objectness_logits", objectness, [images, queries]),
    ):
        if list(tensor.shape) != shape:
            raise ModelError(f"{name}: expected shape {shape}, got {list(tensor.shape)}")
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise ModelError(
                f"{name} holds {bad} numbers that are not finite",
                remedy="the training diverged or the checkpoint is damaged: use an earlier checkpoint",
            )
    if len(image_sizes) != images:
        raise ModelError(f"image_sizes: expected one for each of the {images} images, got {len(image_sizes)}")
    if not labels:
        raise ModelError("the vocabulary is empty", remedy="give at least one label")
    return boxes, objectness, types
