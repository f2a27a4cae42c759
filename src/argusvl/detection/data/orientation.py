"""EXIF orientation: on which pixels were the boxes drawn, and where do they lie in the upright picture?

A camera may store a photograph sideways and add a tag that says how to turn it. Some annotation tools honour the tag,
some do not; the annotated width and height tell which, unless both readings fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar

import numpy as np

Edge = TypeVar("Edge", float, np.ndarray)

BoxFrame = Literal["stored", "upright"]
"""The pixels that boxes were drawn on: as stored in the file, or turned as the tag says."""

_SWAPS_SIDES = {5, 6, 7, 8}


def upright_size(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    """``(width, height)`` after turning the stored pixels as the tag says."""
    return (stored[1], stored[0]) if orientation in _SWAPS_SIDES else stored


def fitting_frames(
    stored: tuple[int, int], orientation: int, annotated: tuple[int, int] | None
) -> list[BoxFrame]:
    """The readings that agree with the annotated ``(width, height)``; both where it is unknown.

    ``stored`` is the size of the pixels in the file, ``orientation`` its EXIF tag, 1 to 8.
    """
    frames: list[tuple[BoxFrame, tuple[int, int]]] = [
        ("stored", stored),
        ("upright", upright_size(stored, orientation)),
    ]
    return [frame for frame, size in frames if annotated is None or size == annotated]


def box_to_upright(
    box: Iterable[Edge], stored: tuple[int, int], orientation: int
) -> tuple[Edge, Edge, Edge, Edge]:
    """A box drawn on the stored pixels, in the upright picture; each edge may be an array, of many boxes.

    ``stored`` is the size of those pixels, ``orientation`` 1 to 8 (EXIF 2.32, tag 0x0112).
    """
    x1, y1, x2, y2 = box
    if orientation in _SWAPS_SIDES:
        x1, y1, x2, y2 = y1, x1, y2, x2  # about the main diagonal: orientation 5 itself
    width, height = upright_size(stored, orientation)
    if orientation in {2, 3, 6, 7}:
        x1, x2 = width - x2, width - x1
    if orientation in {3, 4, 7, 8}:
        y1, y2 = height - y2, height - y1
    return (x1, y1, x2, y2)
