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

from argusvl.detection.data.labels import type_of

SCORE_THRESHOLD = 0.3
"""Score from which a prediction is worth showing to people; evaluation uses none."""

MIN_IOU = 0.5
"""From this overlap on a prediction is an object's: recall, descriptions and the gallery count by it."""
SHIFTED_MIN_IOU = 0.1
"""A prediction of the same class that overlaps less than :data:`MIN_IOU`, but so much, is this object's, misplaced."""

Kind = Literal["missed", "false", "shifted", "misdescribed", "right"]
"""A truth that nothing was found for; a prediction of nothing; a box beside its object; another text; neither."""

KINDS: tuple[Kind, ...] = ("missed", "false", "shifted", "misdescribed", "right")


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """A box, left, top, right, bottom in the image's pixels, with its text.

    ``score`` is ``None`` for truth; ``class_name`` is what it is counted as; empty: the text's first ``/`` segment.
    """

    box_xyxy_px: tuple[float, float, float, float]
    label: str
    score: float | None = None
    class_name: str = ""

    @property
    def counted_as(self) -> str:
        """The class."""
        return self.class_name or type_of(self.label)


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
    # Not above: the command line takes its default threshold from here before any numbers are at work.
    import numpy as np

    from argusvl.core.matching import match, pairwise_iou

    found = sorted(predicted, key=lambda p: -(p.score or 0.0))
    overlaps = pairwise_iou([t.box_xyxy_px for t in truth], [p.box_xyxy_px for p in found])
    claimed = match(overlaps, MIN_IOU, np.array([p.score or 0.0 for p in found]))
    same_class = [[_nfc(p.counted_as) == _nfc(t.counted_as) for p in found] for t in truth]
    left = np.where(np.array(same_class, dtype=bool).reshape(overlaps.shape), overlaps, 0.0)
    left[claimed >= 0] = 0.0
    left[:, claimed[claimed >= 0]] = 0.0
    shifted = match(left, SHIFTED_MIN_IOU)
    pairs = []
    for wanted, claim, beside in zip(truth, claimed.tolist(), shifted.tolist(), strict=True):
        if claim >= 0:
            same_text = _nfc(wanted.label) == _nfc(found[claim].label)
            pairs.append(Pair(wanted, found[claim], "right" if same_text else "misdescribed"))
        elif beside >= 0:
            pairs.append(Pair(wanted, found[beside], "shifted"))
        else:
            pairs.append(Pair(wanted, None, "missed"))
    taken = {*claimed.tolist(), *shifted.tolist()}
    return pairs + [Pair(None, p, "false") for k, p in enumerate(found) if k not in taken]


def above(predicted: Iterable[LabelledBox], score: float) -> list[LabelledBox]:
    """The predictions with at least this score."""
    return [p for p in predicted if (p.score or 0.0) >= score]


def count_kinds(pairs: Iterable[Pair]) -> Counter[Kind]:
    """How many there are of each kind."""
    return Counter(pair.kind for pair in pairs)


def num_errors(pairs: Iterable[Pair]) -> int:
    """How many pairs are anything but right."""
    return sum(pair.kind != "right" for pair in pairs)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
