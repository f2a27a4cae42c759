"""Checks of one picture: whether it can be decoded, and whether its objects fit it, the network and each other."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from argus_doctor.findings import Finding
from argus_doctor.wording import show_name
from argusvl.core.errors import DataError, ImageError
from argusvl.core.images import UPRIGHT, open_reduced
from argusvl.detection.data.findings import box_problem, finding, show_box
from argusvl.detection.data.formats.base import SourceObject
from argusvl.detection.data.patches import PATCH
from argusvl.detection.data.preparing.copies import Fingerprint, fingerprint
from argusvl.detection.data.preparing.inspection import missing_image
from argusvl.detection.data.resize import Box, check_limits, plan_resize

DUPLICATE_IOU = 0.95
"""Two boxes that overlap more than this are the same object annotated twice."""

_REDUCED_SIDE = 64
"""What a picture's fingerprint is made from, pixels; JPEGs are decoded about as small as this."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What to check against; what is ``None`` is not checked.

    Attributes:
        min_pixels: Smallest area after the resize, pixels.
        max_pixels: Largest area after the resize, pixels.
        vision_tokens_warn: Merged vision tokens an image that warn.
        vision_tokens_max: Merged vision tokens an image that are an error.
        num_queries: Objects an image that can be found at most.
        max_megapixels: The largest image that is decoded, millions of pixels.
        workers: Threads; the number of usable cores when ``None``.
    """

    min_pixels: int | None = None
    max_pixels: int | None = None
    vision_tokens_warn: int | None = None
    vision_tokens_max: int | None = None
    num_queries: int | None = None
    max_megapixels: float = 64.0
    workers: int | None = None

    def __post_init__(self) -> None:
        if (self.min_pixels is None) != (self.max_pixels is None):
            raise DataError("one pixel limit without the other", remedy="give both min_pixels and max_pixels")
        if self.min_pixels is not None and self.max_pixels is not None:
            check_limits(self.min_pixels, self.max_pixels)


@dataclass(frozen=True, slots=True)
class CheckedPicture:
    """An image to be learned from or measured on, as far as it could be read.

    Attributes:
        path: The file.
        name: As the annotation names it.
        where: ``file:line`` that names it.
        split: The split that it stands in.
        labels: Of its objects.
        boxes_xyxy_px: Their boxes, ``float32 [N, 4]``, stored pixels.
        size: ``(width, height)``, stored pixels; ``None`` where it cannot be read.
        vision_tokens: Merged tokens, where the image can be read and pixel limits are known.
        fingerprint: What it is recognised by, where it can be read.
        alone: Whether its record shows no other image.
    """

    path: Path
    name: str
    where: str
    split: str
    labels: tuple[str, ...]
    boxes_xyxy_px: np.ndarray
    size: tuple[int, int] | None = None
    vision_tokens: int | None = None
    fingerprint: Fingerprint | None = None
    alone: bool = True


@dataclass(slots=True)
class Checked:
    """What the check of one line, or of one annotated image, found.

    Attributes:
        findings: What is wrong.
        pictures: The student's images.
    """

    findings: list[Finding] = field(default_factory=list)
    pictures: list[CheckedPicture] = field(default_factory=list)

    def add(self, other: Checked) -> None:
        """Adds what another check found."""
        self.findings += other.findings
        self.pictures += other.pictures


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """What is known of an image file that can be decoded."""

    size: tuple[int, int]
    orientation: int
    fingerprint: Fingerprint


class Pictures:
    """Checks images and the objects in them; an image that several records show is decoded once."""

    def __init__(self, options: CheckOptions) -> None:
        self.options = options
        self._decoded: dict[Path, DecodedImage | tuple[str, str, str | None]] = {}

    def decode(
        self, path: Path, name: str, where: str, *, any_orientation: bool = False
    ) -> DecodedImage | Finding:
        """Decodes an image to its end.

        Args:
            path: The file.
            name: As the annotation names it.
            where: ``file:line`` that names it.
            any_orientation: Whether an EXIF orientation other than 1 is nothing to report.
        """
        # Two threads may decode the same image at the same time; they put the same into the table.
        decoded = self._decoded.get(path)
        if decoded is None:
            decoded = self._decoded[path] = self._decode(path)
        if not isinstance(decoded, DecodedImage):
            kind, text, remedy = decoded
            return finding(kind, where, f"{show_name(name)}: {text}", image=name, remedy=remedy)
        if decoded.orientation != UPRIGHT and not any_orientation:
            text = (
                f"{name}: EXIF orientation is {decoded.orientation}; boxes may belong to the turned picture"
            )
            return finding("exif-orientation", where, text, image=name)
        return decoded

    def _decode(self, path: Path) -> DecodedImage | tuple[str, str, str | None]:
        if (absent := missing_image(path, path)) is not None:
            return "missing-image", absent, None
        try:
            reduced = open_reduced(path, _REDUCED_SIDE, max_megapixels=self.options.max_megapixels)
        except ImageError as error:
            return "unreadable-image", error.what, error.remedy
        return DecodedImage(reduced.size, reduced.orientation, fingerprint(reduced.digest, reduced.picture))

    def check(
        self,
        path: Path,
        name: str,
        where: str,
        objects: Sequence[SourceObject],
        *,
        split: str | None,
        upright_size: tuple[int, int] | None = None,
        alone: bool = True,
    ) -> Checked:
        """Checks an image and the objects in it.

        Args:
            path: The file.
            name: As the annotation names it.
            where: ``file:line`` that names it.
            objects: Those whose boxes are boxes.
            split: The split that it is learned from or measured on in; ``None`` for a teacher's image.
            upright_size: Where boxes lie in the upright picture, and within it: its size. Otherwise they lie in the
                stored one, which an EXIF orientation may contradict.
            alone: Whether its record shows no other image.
        """
        checked = Checked()
        decoded = self.decode(
            path, name, where if upright_size is None else name, any_orientation=upright_size is not None
        )
        size = None if isinstance(decoded, Finding) else upright_size or decoded.size
        if split is not None:
            boxes = np.array([one.box_xyxy_px for one in objects], dtype=np.float32).reshape(-1, 4)
            checked.pictures.append(
                CheckedPicture(
                    path=path,
                    name=name,
                    where=where,
                    split=split,
                    labels=tuple(one.label for one in objects),
                    boxes_xyxy_px=boxes,
                    size=size,
                    vision_tokens=None if size is None else self.vision_tokens(size),
                    fingerprint=None if isinstance(decoded, Finding) else decoded.fingerprint,
                    alone=alone,
                )
            )
        if isinstance(decoded, Finding):
            checked.findings.append(decoded)
            return checked
        assert size is not None
        problems = [(one, box_problem(one.box_xyxy_px, size)) for one in objects]
        checked.findings += [one.finding(*problem, name) for one, problem in problems if problem is not None]
        inside = [one for one, problem in problems if problem is None]
        checked.findings += self.check_objects(size, name, where, inside)
        return checked

    def vision_tokens(self, size: tuple[int, int]) -> int | None:
        """Merged tokens of an image of this size; ``None`` where limits are not known or leave no size."""
        if self.options.min_pixels is None or self.options.max_pixels is None:
            return None
        try:
            return plan_resize(*size, self.options.min_pixels, self.options.max_pixels).vision_tokens
        except ImageError:
            return None

    def check_objects(
        self, size: tuple[int, int], name: str, where: str, objects: Sequence[SourceObject]
    ) -> list[Finding]:
        """Checks what depends on the size, and the objects against each other."""
        findings: list[Finding] = []
        limit = self.options.num_queries
        if limit is not None and len(objects) > limit:
            text = f"{name} shows {len(objects)} objects, more than {limit} queries can find"
            findings.append(finding("too-many-objects", where, text, image=name))
        findings += _duplicates(objects, name)
        if self.options.min_pixels is not None and self.options.max_pixels is not None:
            try:
                plan = plan_resize(*size, self.options.min_pixels, self.options.max_pixels)
            except ImageError as error:
                problem = finding("unresizable-image", where, error.what, image=name, remedy=error.remedy)
                findings.append(problem)
                return findings
            findings += self._token_problem(plan.vision_tokens, name, where)
            for one in objects:
                x1, y1, x2, y2 = plan.box_to_resized(one.box_xyxy_px)
                if (x2 - x1) * (y2 - y1) < PATCH * PATCH:
                    text = (
                        f"box {show_box(one.box_xyxy_px)} is "
                        f"{x2 - x1:.1f}×{y2 - y1:.1f} pixels after the resize to {plan.resized_width}×"
                        f"{plan.resized_height}, less than one patch of {PATCH}×{PATCH}"
                    )
                    findings.append(one.finding("box-under-patch", text, name))
        return findings

    def _token_problem(self, tokens: int, name: str, where: str) -> list[Finding]:
        warn, most = self.options.vision_tokens_warn, self.options.vision_tokens_max
        if most is not None and tokens > most:
            text = f"{name} takes {tokens} vision tokens, more than the limit of {most}"
            return [finding("vision-tokens-over-max", where, text, image=name)]
        if warn is not None and tokens > warn:
            text = f"{name} takes {tokens} vision tokens, more than {warn}"
            return [finding("vision-tokens-over-warn", where, text, image=name)]
        return []


def _duplicates(objects: Sequence[SourceObject], name: str) -> list[Finding]:
    """A finding for each box that stands where an earlier one of its scene does, by label: at most two for a box."""
    places: dict[str, _Places] = defaultdict(_Places)
    findings = []
    for one in objects:
        for kind, first in places[one.scene].add(one):
            text = f"box {show_box(one.box_xyxy_px)} is nearly that of {first}, {show_box(first.box_xyxy_px)}"
            findings.append(one.finding(kind, text, name))
    return findings


class _Places:
    """Where boxes stand: a box that overlaps the first one of a place by more than :data:`DUPLICATE_IOU` is there, too.

    A table of places finds it without a look at all other boxes, of which a slip of an exporter makes thousands.
    """

    def __init__(self) -> None:
        self._cells: dict[_Cell, list[dict[str, SourceObject]]] = defaultdict(list)

    def add(self, one: SourceObject) -> Iterator[tuple[str, SourceObject]]:
        """Notes an object; yields, with the kind of finding, the earlier ones at its place."""
        x1, y1, x2, y2 = one.box_xyxy_px
        own = (*next(_cells(x1, x2, 0.0)), *next(_cells(y1, y2, 0.0)))
        cells = dict.fromkeys([own, *((*x, *y) for x in _cells(x1, x2) for y in _cells(y1, y2))])
        for place in (place for cell in cells for place in self._cells.get(cell, ())):
            first = next(iter(place.values()))
            if _iou(first.box_xyxy_px, one.box_xyxy_px) > DUPLICATE_IOU:
                if one.label in place:
                    yield "box-duplicate", place[one.label]
                other = next((o for label, o in place.items() if label != one.label), None)
                if other is not None:
                    yield "box-two-labels", other
                place.setdefault(one.label, one)
                return
        self._cells[own].append({one.label: one})


_Cell = tuple[int, int, int, int]
_SCALE = -2 * math.log(DUPLICATE_IOU)


def _cells(low: float, high: float, slack: float = 1.0) -> Iterator[tuple[int, int]]:
    """Where an edge may stand of boxes that overlap so much: its size class and its position in units of that class.

    Their sides differ by a factor of at most the overlap, and their edges by less than what is left of a side: two
    classes and two positions, where a class is twice as wide as that.
    """
    side = max(high - low, 1e-9)
    reach = slack * side * (1 / DUPLICATE_IOU - 1)
    spread = slack * _SCALE / 2
    for size in {math.floor((math.log(side) + sign * spread) / _SCALE) for sign in (-1, 1)}:
        unit = 2 * (1 / DUPLICATE_IOU - 1) / DUPLICATE_IOU * math.exp(_SCALE * (size + 1))
        for position in {math.floor((low + sign * reach) / unit) for sign in (-1, 1)}:
            yield size, position


def _iou(first: Box, second: Box) -> float:
    """Overlap of two boxes. ``core.boxes`` would bring torch along, for a check without tensors."""
    (a1, b1, a2, b2), (c1, d1, c2, d2) = first, second
    shared = max(min(a2, c2) - max(a1, c1), 0.0) * max(min(b2, d2) - max(b1, d1), 0.0)
    return shared / ((a2 - a1) * (b2 - b1) + (c2 - c1) * (d2 - d1) - shared)
