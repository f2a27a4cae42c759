"""Checks of one picture: whether it can be decoded, and whether its objects fit it, the network and each other."""

from __future__ import annotations

from collections.abc import Sequence
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
from argusvl.detection.data.resize import ResizePlan, check_limits, plan_resize

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
        if self.limits is not None:
            check_limits(*self.limits)

    @property
    def limits(self) -> tuple[int, int] | None:
        """Least and greatest area after the resize, where known."""
        known = self.min_pixels is not None and self.max_pixels is not None
        return (self.min_pixels, self.max_pixels) if known else None  # type: ignore[return-value]


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
    """What the check of one line, or of one annotated image, found; ``pictures`` are the student's."""

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

    def _decode(self, path: Path) -> DecodedImage | tuple[str, str, str | None]:
        """What is known of an image that can be decoded to its end; else kind, text and remedy of a finding."""
        # Two threads may decode the same image at the same time; they put the same into the table.
        if path not in self._decoded:
            try:
                if (absent := missing_image(path, path)) is not None:
                    self._decoded[path] = "missing-image", absent, None
                else:
                    reduced = open_reduced(path, _REDUCED_SIDE, max_megapixels=self.options.max_megapixels)
                    mark = fingerprint(reduced.digest, reduced.picture)
                    self._decoded[path] = DecodedImage(reduced.size, reduced.orientation, mark)
            except ImageError as error:
                self._decoded[path] = "unreadable-image", error.what, error.remedy
        return self._decoded[path]

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
        """Checks an image and the objects in it; what is not told here is told at :class:`CheckedPicture`.

        ``objects`` are those whose boxes are boxes, all of one scene; ``split`` is ``None`` for a teacher's image.
        Boxes lie in the upright picture, and within it, where ``upright_size`` gives its size. Otherwise they lie in
        the stored one, which an EXIF orientation may contradict.
        """
        checked = Checked()
        decoded, place = self._decode(path), where if upright_size is None else name
        size = mark = plan = None
        if not isinstance(decoded, DecodedImage):
            kind, text, remedy = decoded
            text = f"{show_name(name)}: {text}"
            checked.findings.append(finding(kind, place, text, image=name, remedy=remedy))
        elif decoded.orientation != UPRIGHT and upright_size is None:
            text = (
                f"{name}: EXIF orientation is {decoded.orientation}; boxes may belong to the turned picture"
            )
            checked.findings.append(finding("exif-orientation", place, text, image=name))
        else:
            size, mark = upright_size or decoded.size, decoded.fingerprint
            plan = self._plan(size)
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
                    vision_tokens=plan.vision_tokens if isinstance(plan, ResizePlan) else None,
                    fingerprint=mark,
                    alone=alone,
                )
            )
        if size is not None:
            problems = [(one, box_problem(one.box_xyxy_px, size)) for one in objects]
            checked.findings += [one.finding(*problem, name) for one, problem in problems if problem]
            inside = [one for one, problem in problems if problem is None]
            checked.findings += self.check_objects(plan, name, where, inside)
        return checked

    def _plan(self, size: tuple[int, int]) -> ResizePlan | ImageError | None:
        """How an image of this size is resized, or why it cannot be; ``None`` where limits are not known."""
        try:
            return None if self.options.limits is None else plan_resize(*size, *self.options.limits)
        except ImageError as error:
            return error

    def check_objects(
        self, plan: ResizePlan | ImageError | None, name: str, where: str, objects: Sequence[SourceObject]
    ) -> list[Finding]:
        """Checks what depends on the size after the resize, and the objects against each other."""
        findings: list[Finding] = []
        limit = self.options.num_queries
        if limit is not None and len(objects) > limit:
            text = f"{name} shows {len(objects)} objects, more than {limit} queries can find"
            findings.append(finding("too-many-objects", where, text, image=name))
        findings += _duplicates(objects, name)
        if plan is None:
            return findings
        if isinstance(plan, ImageError):
            problem = finding("unresizable-image", where, plan.what, image=name, remedy=plan.remedy)
            return [*findings, problem]
        tokens, warn, most = (
            plan.vision_tokens,
            self.options.vision_tokens_warn,
            self.options.vision_tokens_max,
        )
        if most is not None and tokens > most:
            text = f"{name} takes {tokens} vision tokens, more than the limit of {most}"
            findings.append(finding("vision-tokens-over-max", where, text, image=name))
        elif warn is not None and tokens > warn:
            text = f"{name} takes {tokens} vision tokens, more than {warn}"
            findings.append(finding("vision-tokens-over-warn", where, text, image=name))
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


def _duplicates(objects: Sequence[SourceObject], name: str) -> list[Finding]:
    """A finding for each box that stands where an earlier one does, by label: at most two for a box.

    It stands where the first box of a place does if it overlaps that by more than :data:`DUPLICATE_IOU`.
    """
    findings = []
    boxes = np.array([one.box_xyxy_px for one in objects], dtype=np.float64).reshape(-1, 4)
    firsts, places = np.empty((4, len(boxes))), list[dict[str, SourceObject]]()
    for one, box in zip(objects, boxes, strict=True):
        near = np.flatnonzero(_iou(firsts[:, : len(places)], box) > DUPLICATE_IOU)
        if not len(near):
            firsts[:, len(places)] = box
            places.append({one.label: one})
            continue
        place = places[near[0]]
        other = next((o for label, o in place.items() if label != one.label), None)
        for kind, first in (("box-duplicate", place.get(one.label)), ("box-two-labels", other)):
            if first is not None:
                text = f"box {show_box(one.box_xyxy_px)} is nearly that of {first}, {show_box(first.box_xyxy_px)}"
                findings.append(one.finding(kind, text, name))
        place.setdefault(one.label, one)
    return findings


def _iou(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Overlap of boxes ``[4, N]`` with one, ``[N]``. ``core.boxes`` would bring torch along, for a check without it."""
    (x1, y1, x2, y2), (a, b, c, d) = boxes, box
    wide, high = np.minimum(x2, c) - np.maximum(x1, a), np.minimum(y2, d) - np.maximum(y1, b)
    shared = wide.clip(0) * high.clip(0)
    return np.asarray(shared / ((x2 - x1) * (y2 - y1) + (c - a) * (d - b) - shared))
