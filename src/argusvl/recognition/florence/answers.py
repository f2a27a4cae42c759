"""What Florence-2 writes, and what it means in the picture's own pixels (Xiao et al. 2023, arXiv 2311.06242).

Coordinates are tokens ``<loc_0>`` … ``<loc_999>``, a thousandth of the picture's width or height each. Regions are
written as a label followed by the four numbers of each of its boxes, or by polygons between ``<poly>`` and ``</poly>``.
The library's own post-processing cuts coordinates off to whole pixels and drops letters that are not ASCII; here both
are kept, and what makes no region is counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

BINS = 1000
"""Location tokens: the parts into which each side of a picture is divided."""

_LOCATIONS = r"(?:\s*<loc_\d+>)+"
_MARKS = re.compile(rf"((?:{_LOCATIONS}|\s*</?poly>|\s*<sep>)+)")
"""All that stands between two labels."""
_SHAPES = re.compile(rf"<poly>((?:(?!<poly>|</poly>).)*</poly>|(?:(?!<poly>).)+)|({_LOCATIONS})")
"""Outlines, of which an answer that was cut off may lack the end, or boxes."""

Box = tuple[float, float, float, float]
Polygon = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Caption:
    """A text about a picture or a region.

    Attributes:
        text: As the model wrote it.
        truncated: Whether it reached the limit of tokens, so that its end may be missing.
    """

    text: str
    truncated: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Region:
    """One thing in a picture.

    Attributes:
        label: A category, a phrase or a description, by the task.
        box_xyxy_px: In pixels of the picture as it was given; of polygons, what encloses them.
        polygons_px: Its outline as ``(x, y)`` corners, where the model gave one.
    """

    label: str
    box_xyxy_px: Box
    polygons_px: tuple[Polygon, ...] = ()


@dataclass(frozen=True, slots=True)
class Regions:
    """The things in a picture, in the order in which the model wrote them.

    Attributes:
        regions: Those that are whole.
        malformed: How many were left out: without a label, with too few numbers, or with corners in the wrong order.
        truncated: Whether the answer reached the limit of tokens, so that regions may be missing.
        raw: The answer with its location tokens.
    """

    regions: tuple[Region, ...]
    malformed: int
    truncated: bool
    raw: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; ``polygons_px`` only where there are any."""
        values: dict[str, Any] = {
            "labels": [region.label for region in self.regions],
            "boxes_xyxy_px": [[round(v, 2) for v in region.box_xyxy_px] for region in self.regions],
            "malformed": self.malformed,
            "truncated": self.truncated,
        }
        if any(region.polygons_px for region in self.regions):
            values["polygons_px"] = [
                [[[round(x, 2), round(y, 2)] for x, y in polygon] for polygon in region.polygons_px]
                for region in self.regions
            ]
        return values


def parse_regions(raw: str, size: tuple[int, int], *, truncated: bool) -> Regions:
    """An answer's regions in the pixels of a picture of this width and height."""
    regions: list[Region] = []
    *pieces, rest = _MARKS.split(raw)  # label, marks, label, marks, …, and what no marks follow
    malformed = int(bool(rest.strip()))
    for label, marks in zip(pieces[::2], pieces[1::2], strict=True):
        shapes, wrong = _shapes(marks, size)
        malformed += wrong
        if label.strip():
            regions += [Region(label.strip(), *shape) for shape in shapes]
            # A label without anything; of a box that is none it is known already.
            malformed += not shapes and (not wrong or "<poly>" in marks)
        else:
            malformed += len(shapes)
    return Regions(tuple(regions), malformed, truncated, raw)


def _shapes(marks: str, size: tuple[int, int]) -> tuple[list[tuple[Box, tuple[Polygon, ...]]], int]:
    """The boxes and outlines in what follows a label, and how many others are none."""
    shapes: list[tuple[Box, tuple[Polygon, ...]]] = []
    malformed = 0
    for outlines, numbers in _SHAPES.findall(marks):
        if outlines:
            parts = [_pixels(part, size) for part in outlines.removesuffix("</poly>").split("<sep>")]
            whole = [
                tuple(zip(part[::2], part[1::2], strict=True))
                for part in parts
                if len(part) >= 6 and len(part) % 2 == 0
            ]
            malformed += len(parts) - len(whole)
            if whole:
                xs, ys = zip(*(corner for polygon in whole for corner in polygon), strict=True)
                shapes.append(((min(xs), min(ys), max(xs), max(ys)), tuple(whole)))
            continue
        pixels = _pixels(numbers, size)
        for start in range(0, len(pixels), 4):
            box = pixels[start : start + 4]
            if len(box) == 4 and box[0] <= box[2] and box[1] <= box[3]:
                shapes.append(((box[0], box[1], box[2], box[3]), ()))
            else:
                malformed += 1
    return shapes, malformed


def _pixels(marks: str, size: tuple[int, int]) -> tuple[float, ...]:
    return to_pixels([int(number) for number in re.findall(r"\d+", marks)], size)


def to_pixels(numbers: Sequence[int], size: tuple[int, int]) -> tuple[float, ...]:
    """Location numbers, x and y in turn → pixels: the middles of their parts."""
    return tuple((number + 0.5) * size[index % 2] / BINS for index, number in enumerate(numbers))


def to_numbers(box_xyxy_px: Sequence[float], size: tuple[int, int]) -> tuple[int, ...]:
    """Pixels, x and y in turn → the location numbers of the parts that they lie in; a picture's edge is in its last."""
    return tuple(
        min(int(value * BINS / size[index % 2]), BINS - 1) for index, value in enumerate(box_xyxy_px)
    )
