"""Which prediction answers which truth: what a reader of a gallery wants to see at a glance."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

MIN_IOU = 0.5

Verdict = Literal["same", "differs", "missed", "extra"]
"""Found with the same text, found with another one, not found, or found where nothing is."""


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """A box with its text.

    Attributes:
        box_xyxy_px: Left, top, right, bottom in the image's pixels.
        label: The text.
        score: 0..1; ``None`` for truth.
    """

    box_xyxy_px: tuple[float, float, float, float]
    label: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A truth and the prediction that claims it; one of them may be missing."""

    truth: LabelledBox | None
    predicted: LabelledBox | None

    @property
    def verdict(self) -> Verdict:
        """What became of the truth, or that there was none."""
        if self.predicted is None:
            return "missed"
        if self.truth is None:
            return "extra"
        same = unicodedata.normalize("NFC", self.truth.label) == unicodedata.normalize(
            "NFC", self.predicted.label
        )
        return "same" if same else "differs"


def pair_up(truth: Sequence[LabelledBox], predicted: Sequence[LabelledBox]) -> list[Pair]:
    """Gives each truth its highest-scoring unclaimed prediction at IoU ≥ 0.5, of several equals the best fitting.

    Returns:
        The truths in their order, then the predictions that nobody claimed, best first.
    """
    free = sorted(predicted, key=lambda p: -(p.score or 0.0))
    pairs = []
    for wanted in truth:
        near = [(p, iou(p.box_xyxy_px, wanted.box_xyxy_px)) for p in free]
        near = [(p, overlap) for p, overlap in near if overlap >= MIN_IOU]
        best = max(near, key=lambda n: (n[0].score or 0.0, n[1]), default=None)
        if best is None:
            pairs.append(Pair(wanted, None))
        else:
            free = [p for p in free if p is not best[0]]
            pairs.append(Pair(wanted, best[0]))
    return pairs + [Pair(None, p) for p in free]


def agreement(pairs: Sequence[Pair]) -> float:
    """Share of the pairs that are right to the character; 1 where there is nothing and nothing was found."""
    return sum(p.verdict == "same" for p in pairs) / len(pairs) if pairs else 1.0


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes ``xyxy``."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)
