"""The text of an answer: objects → the JSON list that Qwen2.5-VL writes, and back from whatever a model makes of it.

``[{"bbox_2d": [x1, y1, x2, y2], "label": "…"}, …]``, coordinates in whole pixels of the *resized* image, sorted by y,
then x. Where a turn has several images every object begins with ``"image": index`` (from 0, in the order shown) and
the images come one after the other.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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


# --- what a model has written ---------------------------------------------------------------------------------------

_OBJECT_OPENS = re.compile("[{｛]")
_LIST_OPENS = re.compile("[\\[【［]")
_LIST_CLOSES = re.compile("[\\]】］]")
_BETWEEN = " \t\r\n,，、;；[]【】［］"
_TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\]|\\.)*")'
    r"|(?P<quoted>[\"“”＂][^\"“”＂]*[\"“”＂]|['‘’][^'‘’]*['‘’])"
    r"|(?P<other>\w+|.)",
    re.DOTALL,
)
_DECODER = json.JSONDecoder()
_DEEPEST = 6
"""So deep a broken object is followed: answers are flat, and a text of nothing but brackets must not take long."""


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What a generated answer says.

    Attributes:
        objects: The objects that are complete and valid, in the order written; boxes in pixels of the resized image.
        dropped: One line for each part of the list that is none, with the reason and the text.
        complete: Whether the list was closed; a generation cut by its length limit is not complete.
    """

    objects: tuple[ObjectAnnotation, ...]
    dropped: tuple[str, ...]
    complete: bool


def parse_answer(text: str, num_images: int = 1) -> ParsedAnswer:
    """Reads a generated answer and loses nothing that is whole.

    Talk and Markdown code fences around the list are no matter, nor is a cut end. Objects may stand in objects and
    lists, e.g. ``{"objects": [...]}``. One that is no JSON is read once more with Chinese punctuation, full-width
    digits, single quotes and commas before a closing bracket taken for what they mean; labels stay as written.

    Args:
        text: What the model wrote, without special tokens.
        num_images: Images of the turn; an object that names another one is dropped.
    """
    objects: list[ObjectAnnotation] = []
    dropped: list[str] = []

    def between(start: int, end: int) -> None:
        """Notes what stands in the list and is no object."""
        if rest := text[start:end].strip(_BETWEEN):
            dropped.append(f"no object: {_shorten(rest)}")

    first = _OBJECT_OPENS.search(text)
    begun = _LIST_OPENS.search(text, 0, first.start() if first else len(text))
    position = begun.end() if begun else 0
    closed = False  # by the end of an object that the others stand in
    while opening := _OBJECT_OPENS.search(text, position):
        start = opening.start()
        if begun:
            between(position, start)
        read = _read_object(text, start)
        closed = read.values is not None and (closed or not read.single)
        if read.values is None:
            # Others may stand in it.
            following = _OBJECT_OPENS.search(text, start + 1, read.end)
            position = following.start() if following else read.end
            dropped.append(f"not a complete JSON object: {_shorten(text[start:position])}")
            continue
        position = read.end
        for value in read.values:
            found = _parse_object(value, num_images)
            if isinstance(found, str):
                written = text[start:position] if read.single else json.dumps(value, ensure_ascii=False)
                dropped.append(f"{found}: {_shorten(written)}")
            else:
                objects.append(found)
    if begun:
        end = _LIST_CLOSES.search(text, position)
        between(position, end.start() if end else len(text))
        closed = end is not None
    return ParsedAnswer(tuple(objects), tuple(dropped), closed)


@dataclass(frozen=True, slots=True)
class _Read:
    """What stands in a pair of braces.

    Attributes:
        end: Where they close; the end of the text where they do not.
        values: ``None`` where it is no JSON, not even with Chinese punctuation.
        single: Whether that is the braces' own object and nothing else.
    """

    end: int
    values: tuple[Any, ...] | None = None
    single: bool = False


def _read_object(text: str, start: int) -> _Read:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        repaired, end = _repaired(text, start)
        try:
            value = json.loads(repaired, strict=False)
        except (ValueError, RecursionError):
            return _Read(end)
    try:
        values = tuple(_leaves(value))
    except RecursionError:
        return _Read(end)
    return _Read(end, values, single=len(values) == 1 and values[0] is value)


def _repaired(text: str, start: int) -> tuple[str, int]:
    """The object that begins there, as JSON where that is possible, and its end; no text where it does not end."""
    parts: list[str] = []
    depth = 0
    for token in _TOKEN.finditer(text, start):
        part = token.group()
        if token["quoted"] is not None:
            part = json.dumps(part[1:-1], ensure_ascii=False)
        elif part.isspace():
            part = " "
        elif token["other"] is not None:
            part = unicodedata.normalize("NFKC", part).translate(
                {ord("【"): "[", ord("】"): "]", ord("、"): ","}
            )
            depth += (part in "{[") - (part in "}]")
            while part in "}]" and parts and parts[-1] in ", ":
                parts.pop()
        parts.append(part)
        if depth == 0:
            return "".join(parts), token.end()
        if depth > _DEEPEST:
            break
    return "", len(text)


def _leaves(value: Any) -> Iterator[Any]:
    """The objects in a value, and what else stands where one should be."""
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
        return
    inside = []
    if isinstance(value, dict):
        inside = [v for key, v in value.items() if key != "bbox_2d" and _holds_objects(v)]
    if not inside or "bbox_2d" in value:
        yield value
    for item in inside:
        yield from _leaves(item)


def _holds_objects(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and all(isinstance(item, dict | list) for item in value)
    )


def _parse_object(value: Any, num_images: int) -> ObjectAnnotation | str:
    """The object, or why it is none."""
    if not isinstance(value, dict):
        return "no object"
    box, label, image = value.get("bbox_2d"), value.get("label"), value.get("image", 0)
    if isinstance(box, list) and len(box) == 2 and all(isinstance(corner, list) for corner in box):
        box = [*box[0], *box[1]]
    if not isinstance(box, list) or len(box) != 4 or not all(type(v) in (int, float) for v in box):
        return "no bbox_2d of four numbers"
    try:
        x1, y1, x2, y2 = map(float, box)
    except OverflowError:  # a whole number of hundreds of digits
        x1 = y1 = x2 = y2 = math.inf
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        return "a coordinate is not finite"
    if x2 < x1 or y2 < y1:
        return "the box is inverted"
    if x2 == x1 or y2 == y1:
        return "the box has no area"
    if not isinstance(label, str) or not label.strip():
        return "no label"
    if type(image) is not int or not 0 <= image < num_images:
        return f"names an image that is none of the {num_images}"
    return ObjectAnnotation(bbox_2d=(x1, y1, x2, y2), desc=label, image=image)


def _shorten(text: str) -> str:
    text = text.strip()
    return text if len(text) <= 80 else text[:79] + "…"
