"""Which prediction answers which truth, and what became of each: what a reader of a gallery wants to see.

``templates/gallery.js`` pairs in the same way when the reader moves the score threshold; a test holds the two
together.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

SCORE_THRESHOLD = 0.3
"""Score from which a prediction is worth showing to people; evaluation uses none."""

MIN_IOU = 0.5
SHIFTED_MIN_IOU = 0.1
"""A prediction of the same class that overlaps less than :data:`MIN_IOU`, but so much, is this object's, misplaced."""

Kind = Literal["missed", "false", "shifted", "misdescribed", "right"]
"""A truth that nothing was found for; a prediction of nothing; a box beside its object; another text; neither."""

KINDS: tuple[Kind, ...] = ("missed", "false", "shifted", "misdescribed", "right")


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """A box with its text.

    Attributes:
        box_xyxy_px: Left, top, right, bottom in the image's pixels.
        label: The text.
        score: 0..1; ``None`` for truth.
        class_name: What it is counted as; empty: the text's first ``/`` segment.
    """

    box_xyxy_px: tuple[float, float, float, float]
    label: str
    score: float | None = None
    class_name: str = ""

    @property
    def counted_as(self) -> str:
        """The class."""
        return self.class_name or self.label.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class Pair:
    """A truth and the prediction that claims it; one of them may be missing."""

    truth: LabelledBox | None
    predicted: LabelledBox | None
    kind: Kind

    @property
    def class_name(self) -> str:
        """The class of the truth, or of the prediction where there is none."""
        return self._shown.counted_as

    @property
    def label(self) -> str:
        """The text of the truth, or of the prediction where there is none."""
        return self._shown.label

    @property
    def _shown(self) -> LabelledBox:
        shown = self.truth or self.predicted
        assert shown is not None
        return shown


def pair_up(truth: Sequence[LabelledBox], predicted: Sequence[LabelledBox]) -> list[Pair]:
    """Gives each truth its highest-scoring unclaimed prediction at IoU ≥ 0.5, of several equals the best fitting.

    A truth that is left then takes the unclaimed prediction of its class that overlaps most, if it overlaps at all
    well: its box is shifted.

    Returns:
        The truths in their order, then the predictions that nobody claimed, best first.
    """
    free = sorted(predicted, key=lambda p: -(p.score or 0.0))
    claims: list[LabelledBox | None] = []
    for wanted in truth:
        near = [(p, overlap) for p, overlap in _overlaps(wanted, free) if overlap >= MIN_IOU]
        best = max(near, key=lambda n: (n[0].score or 0.0, n[1]), default=None)
        claims.append(best[0] if best else None)
        free = [p for p in free if p is not claims[-1]]
    pairs = []
    for wanted, claim in zip(truth, claims, strict=True):
        if claim is not None:
            pairs.append(Pair(wanted, claim, "right" if _same_text(wanted, claim) else "misdescribed"))
            continue
        near = [(p, overlap) for p, overlap in _overlaps(wanted, free) if overlap >= SHIFTED_MIN_IOU]
        near = [n for n in near if _nfc(n[0].counted_as) == _nfc(wanted.counted_as)]
        best = max(near, key=lambda n: (n[1], n[0].score or 0.0), default=None)
        if best is None:
            pairs.append(Pair(wanted, None, "missed"))
        else:
            free = [p for p in free if p is not best[0]]
            pairs.append(Pair(wanted, best[0], "shifted"))
    return pairs + [Pair(None, p, "false") for p in free]


def above(predicted: Iterable[LabelledBox], score: float) -> list[LabelledBox]:
    """The predictions with at least this score; one without a score always counts."""
    return [p for p in predicted if p.score is None or p.score >= score]


def count_kinds(pairs: Iterable[Pair]) -> Counter[Kind]:
    """How many there are of each kind."""
    return Counter(pair.kind for pair in pairs)


def num_errors(pairs: Iterable[Pair]) -> int:
    """How many pairs are anything but right."""
    return sum(pair.kind != "right" for pair in pairs)


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes ``xyxy``."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def _overlaps(wanted: LabelledBox, among: Sequence[LabelledBox]) -> list[tuple[LabelledBox, float]]:
    return [(p, iou(p.box_xyxy_px, wanted.box_xyxy_px)) for p in among]


def _same_text(a: LabelledBox, b: LabelledBox) -> bool:
    return _nfc(a.label) == _nfc(b.label)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
