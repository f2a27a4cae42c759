"""Findings about data, and the problems of boxes and descriptions that reading, conversion and checking ask for."""

from __future__ import annotations

from collections.abc import Sequence

from argus_doctor.findings import Finding
from argus_doctor.findings import finding as named_finding
from argus_doctor.wording import LONGEST_NAME, printable
from argusvl.core.strict_json import finite_number, shown
from argusvl.detection.data.labels import type_of
from argusvl.detection.data.special_tokens import special_token_in

LONGEST_DESCRIPTION = 10_000
"""Characters. No model reads an answer with longer ones, and a slip of the pen (a whole file in a field) ends here."""

MOST_OBJECTS = 10_000
"""Of one scene: to name so many takes 250,000 tokens, twice what Qwen2.5-VL reads."""


ABOUT = ("image", "object_index", "label", "box", "other_image")
"""The numbers of a finding about data."""


def finding(
    slug: str,
    where: object,
    what: str,
    *,
    image: str | None = None,
    object_index: int | None = None,
    label: str | None = None,
    box: Sequence[object] | None = None,
    other_image: str | None = None,
    remedy: str | None = None,
) -> Finding:
    """A finding about data; ``named_finding`` with the numbers of :data:`ABOUT`.

    ``where`` is ``file:line`` of the annotation, or the image. Values of a box that are no finite numbers stand as
    text; the remedy is the catalogue's first when ``None``.
    """
    numbers = {
        "image": None if image is None else printable(image),
        "object_index": object_index,
        "label": None if label is None else _shortened(label, LONGEST_DESCRIPTION),
        "box": None if box is None else tuple(show_number(v) if finite_number(v) is None else v for v in box),
        "other_image": None if other_image is None else printable(other_image),
    }
    return named_finding(slug, where, what, numbers=numbers, remedy=remedy)


def box_problem(box: Sequence[float], size: tuple[int, int] | None) -> tuple[str, str] | None:
    """What is wrong with a box ``(x1, y1, x2, y2)`` in an image of this size, where that is known; pixels.

    Returns:
        The finding's kind and text, or ``None`` for a good box.
    """
    # Texts are written where they are needed: nearly every box is good, and there are millions.
    if any(finite_number(v) is None for v in box):
        return "box-not-a-number", f"box {show_box(box)} holds a value that is not a finite number"
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        return "box-inverted", f"box {show_box(box)} is inverted"
    if x2 == x1 or y2 == y1:
        area = f"{show_number(x2 - x1)}×{show_number(y2 - y1)}"
        return "box-zero-area", f"box {show_box(box)} has no area: {area} pixels"
    if x1 < 0 or y1 < 0 or (size is not None and (x2 > size[0] or y2 > size[1])):
        extent = "" if size is None else f" of {size[0]}×{size[1]}"
        return "box-out-of-bounds", f"box {show_box(box)} reaches outside the image{extent}"
    return None


def description_problem(text: str) -> tuple[str, str] | None:
    """What is wrong with a description, for every data set and every model: reading, checking and converting ask here.

    Returns:
        The finding's kind and text, or ``None`` for one that can be learned.
    """
    if not text.strip():
        return "empty-label", "the description is empty"
    if len(text) > LONGEST_DESCRIPTION:
        return "long-description", f"the description has {len(text):,} characters"
    if printable(text) != text:
        return "broken-text", f"the description holds half of a character, {shown(text)}"
    if not type_of(text).strip():
        return "empty-type", f"nothing stands before the first '/' of {shown(text)}, where the type belongs"
    if (token := special_token_in(text)) is not None:
        return "special-token", f"the description holds the special token {token}"
    return None


def crowd_problem(objects: int) -> tuple[str, str] | None:
    """The kind and text of a finding where a scene shows more objects than any model could name."""
    if objects <= MOST_OBJECTS:
        return None
    return "crowded-scene", f"{objects:,} objects, more than {MOST_OBJECTS:,}"


def describe_object(index: int, label: object, scene: str = "") -> str:
    """``object 3 'RBC'``, for texts; ``teacher 0, object 3 'RBC'`` where it belongs to a scene of its own."""
    name = f"object {index} {_shortened(repr(label), LONGEST_NAME)}"
    return f"{scene}, {name}" if scene else name


def show_box(box: Sequence[object]) -> str:
    """``[484, 195, 613, 303]``, for texts."""
    return "[" + ", ".join(show_number(v) for v in box) + "]"


def show_number(value: object) -> str:
    """A number without a needless ``.0``; anything else as it is."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return f"{value:.10g}" if isinstance(value, float) else _shortened(str(value), LONGEST_NAME)


def _shortened(text: str, most: int) -> str:
    return printable(text if len(text) <= most else text[: most - 1] + "…")
