"""What Florence-2 writes, and what it means in the picture's own pixels (Xiao et al. 2023, arXiv 2311.06242).

Coordinates are tokens ``<loc_0>`` … ``<loc_999>``, a thousandth of the picture's width or height each. Regions are
written as a label followed by the four numbers of each of its boxes, or by polygons between ``<poly>`` and ``</poly>``.
The library's own post-processing cuts coordinates off to whole pixels and drops letters that are not ASCII; here both
are kept, and what makes no region is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BINS = 1000
"""Location tokens: the parts into which each side of a picture is divided."""

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
        return {"text": self.text, "truncated": self.truncated}


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

    @property
    def labels(self) -> tuple[str, ...]:
        """One for each box."""
        return tuple(region.label for region in self.regions)

    @property
    def boxes_xyxy_px(self) -> tuple[Box, ...]:
        """In pixels of the picture as it was given."""
        return tuple(region.box_xyxy_px for region in self.regions)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; ``polygons_px`` only where there are any."""
        values: dict[str, Any] = {
            "labels": list(self.labels),
            "boxes_xyxy_px": [[round(value, 2) for value in box] for box in self.boxes_xyxy_px],
            "malformed": self.malformed,
            "truncated": self.truncated,
        }
        if any(region.polygons_px for region in self.regions):
            values["polygons_px"] = [
                [[[round(x, 2), round(y, 2)] for x, y in polygon] for polygon in region.polygons_px]
                for region in self.regions
            ]
        return values


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """The ids that have a meaning of their own.

    Attributes:
        locations: Id → number, of ``<loc_…>``.
        silent: Ids that are not part of any text: begin, end, padding and other special tokens.
        end: Id that ends an answer.
        poly: Id of ``<poly>``; ``None`` where the tokenizer has none.
        end_poly: Id of ``</poly>``.
        separator: Id of ``<sep>``, between the polygons of one thing.
    """

    locations: Mapping[int, int]
    silent: frozenset[int]
    end: int
    poly: int | None
    end_poly: int | None
    separator: int | None

    def answer(self, ids: Sequence[int]) -> list[int]:
        """The ids before the first end."""
        found = list(ids)
        return found[: found.index(self.end)] if self.end in found else found


def parse_regions(
    ids: Iterable[int],
    tokens: AnswerTokens,
    decode: Callable[[list[int]], str],
    size: tuple[int, int],
    *,
    truncated: bool,
    raw: str,
) -> Regions:
    """An answer's regions in the pixels of a picture.

    Args:
        ids: Of the answer, without the silent ones.
        tokens: The ids with a meaning.
        decode: Ids of text → the text.
        size: Width and height of the picture.
        truncated: Whether the answer reached the limit of tokens.
        raw: The answer as text.
    """
    reader = _Reader(size)
    words: list[int] = []
    for token in ids:
        structural = token in tokens.locations or token in (tokens.poly, tokens.end_poly, tokens.separator)
        if words and structural:
            reader.label(decode(words))
            words.clear()
        if token in tokens.locations:
            reader.numbers.append(tokens.locations[token])
        elif token == tokens.poly:
            reader.begin_polygons()
        elif token == tokens.end_poly:
            reader.end_polygons()
        elif token == tokens.separator:
            reader.end_polygon()
        else:
            words.append(token)
    reader.end(words_left=bool(words and decode(words).strip()))
    return Regions(tuple(reader.regions), reader.malformed, truncated, raw)


def to_pixels(numbers: Sequence[int], size: tuple[int, int]) -> tuple[float, ...]:
    """Location numbers, x and y in turn → pixels: the middles of their parts."""
    return tuple((number + 0.5) * size[index % 2] / BINS for index, number in enumerate(numbers))


def to_numbers(box_xyxy_px: Sequence[float], size: tuple[int, int]) -> tuple[int, ...]:
    """Pixels, x and y in turn → the location numbers of the parts that they lie in; a picture's edge is in its last."""
    return tuple(
        min(int(value * BINS / size[index % 2]), BINS - 1) for index, value in enumerate(box_xyxy_px)
    )


@dataclass
class _Reader:
    """The state of reading: the label that holds, and the numbers since the last thing that ended a group."""

    size: tuple[int, int]
    regions: list[Region] = field(default_factory=list)
    malformed: int = 0
    numbers: list[int] = field(default_factory=list)
    _label: str = ""
    _polygons: list[Polygon] | None = None
    _used: bool = True

    def label(self, text: str) -> None:
        """A new label; the one before is done."""
        if not text.strip():
            return
        self._close()
        self._label, self._used = text.strip(), False

    def begin_polygons(self) -> None:
        self._boxes()
        self._polygons = []

    def end_polygon(self) -> None:
        if self._polygons is None:
            return
        corners = to_pixels(self.numbers, self.size)
        if len(corners) % 2 or len(corners) < 6:
            self.malformed += 1
        else:
            self._polygons.append(tuple(zip(corners[::2], corners[1::2], strict=True)))
        self.numbers.clear()

    def end_polygons(self) -> None:
        if self._polygons is None:
            return
        self.end_polygon()
        if self._polygons:
            xs, ys = zip(*(corner for polygon in self._polygons for corner in polygon), strict=True)
            self._add((min(xs), min(ys), max(xs), max(ys)), tuple(self._polygons))
        self._polygons = None

    def end(self, *, words_left: bool) -> None:
        self._close()
        self.malformed += words_left

    def _close(self) -> None:
        if self._polygons is not None:  # not ended: the answer was cut off, or the model forgot
            self.end_polygons()
        self._boxes()
        if not self._used:
            self.malformed += 1
            self._used = True

    def _boxes(self) -> None:
        whole = len(self.numbers) // 4 * 4
        for start in range(0, whole, 4):
            x1, y1, x2, y2 = to_pixels(self.numbers[start : start + 4], self.size)
            if x1 > x2 or y1 > y2:
                self.malformed += 1
                self._used = True
            else:
                self._add((x1, y1, x2, y2), ())
        if len(self.numbers) > whole:
            self.malformed += 1
            self._used = True
        self.numbers.clear()

    def _add(self, box: Box, polygons: tuple[Polygon, ...]) -> None:
        self._used = True
        if self._label:
            self.regions.append(Region(self._label, box, polygons))
        else:
            self.malformed += 1
