"""Findings: what is wrong with data, by kind, with the place, the numbers and what to do.

Reading, conversion and checking all speak in these. A finding is data, not an exception: one bad box must not hide
the next. The table below is the one list of kinds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Literal

from pydantic import BaseModel, ConfigDict

from argusvl.core.strict_json import finite_number, printable, shown
from argusvl.detection.data.special_tokens import special_token_in

LONGEST_DESCRIPTION = 10_000
"""Characters. No model reads an answer with longer ones, and a slip of the pen (a whole file in a field) ends here."""

MOST_OBJECTS = 10_000
"""Of one scene: to name so many takes 250,000 tokens, twice what Qwen2.5-VL reads."""

_LONGEST_TEXT = 1000
_LONGEST_NAME = 200

Severity = Literal["error", "warning"]

KINDS: dict[str, tuple[Severity, str]] = {
    # files
    "malformed-json": ("error", "write one complete JSON object a line, as UTF-8"),
    "malformed-record": ("error", "correct the line"),
    "malformed-xml": ("error", "correct the XML or export it again, as UTF-8"),
    "malformed-annotation": ("error", "correct the annotation or export it again"),
    "unknown-encoding": ("error", "save the file as UTF-8"),
    "encoding-guessed": ("warning", "look whether the labels are right, and save the file as UTF-8"),
    "unknown-id": ("error", "define the id in the file, or remove what refers to it"),
    "duplicate-id": ("error", "give each entry an id of its own"),
    "missing-image": ("error", "put the image where the annotation says, or remove the annotation"),
    "unreadable-image": ("error", "copy the image again from its source, or remove it with its annotation"),
    "annotation-without-image": (
        "error",
        "put an image of the same name beside it, or remove the annotation",
    ),
    "image-without-annotation": (
        "error",
        "annotate the image (an annotation without objects says that it shows none), or remove it",
    ),
    "no-label-file": (
        "warning",
        "nothing, if these images show nothing (an empty label file says so outright); else annotate them",
    ),
    "record-incomplete": ("error", "correct the image, or remove the record"),
    "file-name-not-utf8": ("error", "rename the file"),
    "no-records": ("error", "write records into the file, or remove it"),
    "empty-split": ("warning", "remove the file if this is not meant"),
    "listed-twice": ("warning", "remove one of the lines; the image is used once"),
    "split-overlap": ("error", "let each image stand in one split only"),
    "split-copy": (
        "error",
        "remove it from one of the two splits: what was learned from it is measured on it",
    ),
    "split-view": (
        "warning",
        "look at both; pictures of one scene belong into one split, see `argus data split --group-key`",
    ),
    "copy-in-split": ("warning", "remove one of the two if it is not meant to count twice"),
    "not-in-a-split": ("warning", "add the images to a file in ImageSets/Main if they are to be used"),
    "not-listed": ("warning", "add the images to the annotation file if they are to be used"),
    # sizes and orientation
    "missing-size": (
        "warning",
        "write the image's size into the annotation; boxes are checked against the image itself",
    ),
    "size-mismatch": ("error", "annotate the image as it is now: its boxes were drawn on another size"),
    "exif-orientation": ("error", "convert the data with `argus data convert`, which turns pixels upright"),
    "exif-ambiguous": (
        "error",
        "look at one such image, then say where boxes were drawn: --exif-boxes stored (on the pixels as stored) "
        "or --exif-boxes upright (on the picture as viewers show it)",
    ),
    "unresizable-image": ("error", "cut the image, remove it, or widen the pixel limits"),
    # boxes and labels
    "box-not-a-number": ("error", "write four finite numbers"),
    "box-inverted": ("error", "write left, top, right, bottom"),
    "box-zero-area": ("error", "correct or remove the box"),
    "box-out-of-bounds": ("error", "correct the box so that it lies within the image"),
    "box-duplicate": ("warning", "remove one of the two"),
    "box-two-labels": ("warning", "remove the wrong one, unless both are meant"),
    "box-under-patch": ("warning", "raise the pixel limits, crop the images, or leave such objects out"),
    "box-not-normalised": ("error", "write fractions of the image's sides, from 0 to 1"),
    "polygon-too-short": ("error", "draw at least three points, or remove the polygon"),
    "not-a-box": ("error", "draw the object as a rectangle or a polygon, or remove it"),
    "unused-category": ("warning", "nothing, unless objects of it should be there"),
    "crowd-region": ("warning", "draw a box around each object if they are to be learned"),
    "empty-label": ("error", "name the object or remove it"),
    "empty-type": ("error", "write the object's type before the first '/', or leave the '/' out"),
    "empty-segment": ("warning", "write what is missing beside the '/', or leave the '/' out"),
    "special-token": (
        "error",
        "take it out of the description: a model reads it as the end of a turn, or an image",
    ),
    "broken-text": ("error", "write the description again, as UTF-8"),
    "long-description": ("error", f"write at most {LONGEST_DESCRIPTION:,} characters"),
    "unknown-label": (
        "error",
        "add the type to the label hierarchy, a synonym to the token map, or remove it",
    ),
    "unknown-term": ("warning", "add the term to the label hierarchy, or a synonym to the token map"),
    "not-exportable": ("error", "rename it, or choose a format that can hold it"),
    "nothing-left": ("error", "correct the objects of this image"),
    "near-duplicate-labels": ("warning", "rename one of them if they mean the same"),
    "label-not-in-train": ("warning", "move an image that shows it to train, or remove the label"),
    "rare-labels": (
        "warning",
        "annotate more of them, join them with labels that mean nearly the same, or leave them out",
    ),
    "imbalanced-labels": (
        "warning",
        "add images that show the rare label, and look at its figures apart: the mean hangs on few objects",
    ),
    # budgets
    "crowded-scene": ("error", "cut the image into several, or remove the record"),
    "too-many-objects": ("error", "raise detection_num_queries, or cut the image"),
    "vision-tokens-over-warn": ("warning", "lower max_pixels if memory is short"),
    "vision-tokens-over-max": ("error", "lower max_pixels, or raise vision_tokens_max"),
    "pool-took-last": ("warning", "add images with this label: train has none left"),
}
"""Kind → severity and what to do."""


class Finding(BaseModel):
    """One thing that is wrong.

    Attributes:
        kind: A key of :data:`KINDS`.
        severity: ``error``: cannot be used as it is; ``warning``: used, but look at it.
        where: ``file:line`` of the annotation, or the image.
        what: What was found, with the numbers.
        remedy: What to do.
        image: The image concerned.
        object_index: Position of the object in its annotation, from 0.
        label: The object's label.
        box: The box's four values as found; values that are no finite numbers stand as text.
        other_image: The image that it is a copy of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    severity: Severity
    where: str
    what: str
    remedy: str
    image: str | None = None
    object_index: int | None = None
    label: str | None = None
    box: tuple[float | str, ...] | None = None
    other_image: str | None = None

    def __str__(self) -> str:
        # Annotations of one image have its name.
        annotation = PurePath(self.where.rsplit(":", 1)[0])
        image = None if self.image is None else show_name(self.image)
        named = image is None or image in self.what or annotation.stem == PurePath(image).stem
        where = self.where if named else f"{self.where}, {image}"
        return f"{where}: {self.kind}: {self.what}\n  What to do: {self.remedy}"


def finding(
    kind: str,
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
    """A finding of a known kind, with the kind's severity and, unless given, its remedy."""
    severity, usual_remedy = KINDS[kind]
    return Finding(
        kind=kind,
        severity=severity,
        where=printable(str(where)),
        what=_told(what, _LONGEST_TEXT),
        remedy=_told(remedy or usual_remedy, _LONGEST_TEXT),
        image=None if image is None else printable(image),
        object_index=object_index,
        label=None if label is None else _told(label, LONGEST_DESCRIPTION),
        box=None if box is None else tuple(_json_safe(v) for v in box),
        other_image=None if other_image is None else printable(other_image),
    )


def box_problem(box: Sequence[float], size: tuple[int, int] | None) -> tuple[str, str] | None:
    """What is wrong with a box as a box.

    Args:
        box: ``(x1, y1, x2, y2)``, pixels.
        size: ``(width, height)`` of the image, when known.

    Returns:
        The finding's kind and text, or ``None`` for a good box.
    """
    shown_box = show_box(box)
    if any(finite_number(v) is None for v in box):
        return "box-not-a-number", f"box {shown_box} holds a value that is not a finite number"
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        return "box-inverted", f"box {shown_box} is inverted"
    if x2 == x1 or y2 == y1:
        return (
            "box-zero-area",
            f"box {shown_box} has no area: {show_number(x2 - x1)}×{show_number(y2 - y1)} pixels",
        )
    if x1 < 0 or y1 < 0 or (size is not None and (x2 > size[0] or y2 > size[1])):
        extent = "" if size is None else f" of {size[0]}×{size[1]}"
        return "box-out-of-bounds", f"box {shown_box} reaches outside the image{extent}"
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
    if not text.split("/", 1)[0].strip():
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
    name = f"object {index} {_told(repr(label), _LONGEST_NAME)}"
    return f"{scene}, {name}" if scene else name


def show_name(name: object) -> str:
    """A file's name or a label for texts, without its middle where it is very long."""
    text, half = str(name), _LONGEST_NAME // 2
    return text if len(text) <= _LONGEST_NAME else f"{text[:half]}…{text[-half:]}"


def show_box(box: Sequence[object]) -> str:
    """``[484, 195, 613, 303]``, for texts."""
    return "[" + ", ".join(show_number(v) for v in box) + "]"


def show_number(value: object) -> str:
    """A number without a needless ``.0``; anything else as it is."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return f"{value:.10g}" if isinstance(value, float) else _told(str(value), _LONGEST_NAME)


def show_findings(findings: Sequence[Finding], most: int = 20) -> str:
    """The first findings, a few lines each; errors before warnings."""
    ordered = sorted(findings, key=lambda one: one.severity != "error")
    more = f"\n… and {len(findings) - most} more" if len(findings) > most else ""
    return "\n".join(str(one) for one in ordered[:most]) + more


def count_errors(findings: Iterable[Finding]) -> int:
    """How many findings are errors."""
    return sum(f.severity == "error" for f in findings)


def count_kinds(findings: Iterable[Finding]) -> dict[str, int]:
    """Kind → how often, most frequent first."""
    return dict(Counter(f.kind for f in findings).most_common())


def _json_safe(value: object) -> float | str:
    return show_number(value) if finite_number(value) is None else value  # type: ignore[return-value]


def _told(text: str, most: int) -> str:
    return printable(text if len(text) <= most else text[: most - 1] + "…")
