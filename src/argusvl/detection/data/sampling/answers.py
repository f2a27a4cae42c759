"""The text of an answer: objects → the JSON list that Qwen2.5-VL writes. What a model writes, ``answer_parsing`` reads.

``[{"bbox_2d": [x1, y1, x2, y2], "label": "…"}, …]``, coordinates in whole pixels of the *resized* image, sorted by y,
then x. Where a turn has several images every object begins with ``"image": index`` (from 0, in the order shown) and
the images come one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from argusvl.detection.data.patches import PATCH
from argusvl.detection.data.records import ObjectAnnotation
from argusvl.detection.data.sampling.pixels import Grid

AnswerEntry = tuple[tuple[int, int, int, int], str, int | None]
"""Box in whole pixels ``xyxy``, label, and the image's index (``None`` where there is one image)."""


def answer_entries(objects: Iterable[ObjectAnnotation], grids: Sequence[Grid]) -> list[AnswerEntry]:
    """Objects (boxes in pixels of the resized images of these grids) as an answer lists them: rounded and sorted."""
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
