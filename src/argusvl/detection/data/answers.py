"""The text of an answer: objects → the JSON list that Qwen2.5-VL writes, and generated text → objects.

``[{"bbox_2d": [x1, y1, x2, y2], "label": "…"}, …]``, coordinates in whole pixels of the *resized* image, sorted by y,
then x. Where a turn has several images every object begins with ``"image": index`` (from 0, in the order shown) and
the images come one after the other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from argusvl.detection.data.pixels import Grid
from argusvl.detection.data.records import ObjectAnnotation
from argusvl.detection.patches import PATCH

AnswerEntry = tuple[tuple[int, int, int, int], str, int | None]
"""Box in whole pixels ``xyxy``, label, and the image's index (``None`` where there is one image)."""


def answer_entries(objects: Iterable[ObjectAnnotation], grids: Sequence[Grid]) -> list[AnswerEntry]:
    """Objects (boxes in pixels of the resized images) as an answer lists them: rounded and sorted.

    Args:
        objects: The turn's objects.
        grids: The turn's images, in patches.
    """
    several = len(grids) > 1
    entries = []
    for annotation in objects:
        _, h, w = grids[annotation.image]
        x1, x2 = _whole(annotation.bbox_2d[0], annotation.bbox_2d[2], w * PATCH)
        y1, y2 = _whole(annotation.bbox_2d[1], annotation.bbox_2d[3], h * PATCH)
        entries.append(((x1, y1, x2, y2), annotation.desc, annotation.image if several else None))
    return sorted(entries, key=lambda e: (e[2] or 0, e[0][1], e[0][0], e[0][3], e[0][2], e[1]))


def _whole(low: float, high: float, limit: int) -> tuple[int, int]:
    """Two coordinates in whole pixels inside the image, at least one pixel apart."""
    first = min(max(round(low), 0), limit - 1)
    return first, max(min(round(high), limit), first + 1)


def answer_text(entries: Iterable[AnswerEntry]) -> str:
    """The answer's text, in the order given."""
    items: list[dict[str, Any]] = []
    for box, label, image in entries:
        place: dict[str, Any] = {} if image is None else {"image": image}
        items.append({**place, "bbox_2d": list(box), "label": label})
    return json.dumps(items, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What a generated answer says.

    Attributes:
        objects: The objects that are complete and valid, in the order written; boxes in pixels of the resized image.
        dropped: One line for each object that is not, with the reason and the text.
        complete: Whether the list was closed; a generation cut by its length limit is not complete.
    """

    objects: tuple[ObjectAnnotation, ...]
    dropped: tuple[str, ...]
    complete: bool


def parse_answer(text: str, num_images: int = 1) -> ParsedAnswer:
    """Reads a generated answer and loses nothing that is whole: text around the list and a cut end are no matter.

    Args:
        text: What the model wrote, without special tokens. A Markdown code fence around it is accepted.
        num_images: Images of the turn; an object that names another one is dropped.
    """
    decoder = json.JSONDecoder()
    objects: list[ObjectAnnotation] = []
    dropped: list[str] = []
    position = end = 0
    while (start := text.find("{", position)) >= 0:
        try:
            value, position = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            following = text.find("{", start + 1)
            position = following if following >= 0 else len(text)
            dropped.append(f"not a complete JSON object: {_shorten(text[start:position])}")
            end = position
            continue
        found = _parse_object(value, num_images)
        if isinstance(found, str):
            dropped.append(f"{found}: {_shorten(text[start:position])}")
        else:
            objects.append(found)
        end = position
    begins = "[" in text[: text.find("{") if "{" in text else len(text)]
    return ParsedAnswer(tuple(objects), tuple(dropped), complete=begins and "]" in text[end:])


def _parse_object(value: dict[str, Any], num_images: int) -> ObjectAnnotation | str:
    """The object, or why it is none."""
    box, label, image = value.get("bbox_2d"), value.get("label"), value.get("image", 0)
    if not isinstance(box, list) or len(box) != 4 or not all(type(v) in (int, float) for v in box):
        return "no bbox_2d of four numbers"
    if not all(math.isfinite(v) for v in box):
        return "a coordinate is not finite"
    x1, y1, x2, y2 = (float(v) for v in box)
    if x2 <= x1 or y2 <= y1:
        return "the box has no area"
    if not isinstance(label, str) or not label.strip():
        return "no label"
    if type(image) is not int or not 0 <= image < num_images:
        return f"names an image that is none of the {num_images}"
    return ObjectAnnotation(bbox_2d=(x1, y1, x2, y2), desc=label, image=image)


def _shorten(text: str) -> str:
    text = text.strip()
    return text if len(text) <= 80 else text[:79] + "…"
