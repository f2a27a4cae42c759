"""The figures of detection, in the order in which they are read, and what AP50 is the mean of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from argusvl.core.figures import FigureSpec
from argusvl.core.schemas import Share

FIGURES: dict[str, FigureSpec] = {
    "AP50": FigureSpec("mean over classes, IoU 0.50", "higher"),
    "AP": FigureSpec("mean over classes and IoU 0.50 to 0.95", "higher"),
    "caption_exact": FigureSpec("found objects described to the character", "higher"),
    "dense_caption_mAP_chrf": FigureSpec(
        "objects found and described: mean over IoU 0.3 to 0.7 and chrF 0 to 0.25", "higher"
    ),
    "dense_caption_mAP_meteor": FigureSpec("the same by METEOR 0 to 0.25, for English", "higher"),
    "recall": FigureSpec("objects with a box at IoU 0.50, whatever its score", "higher"),
    "AP75": FigureSpec("mean over classes, IoU 0.75", "higher"),
    "AR100": FigureSpec("recall over IoU 0.50 to 0.95, at most 100 boxes an image", "higher"),
    "AP50_agnostic": FigureSpec("all classes taken as one, IoU 0.50", "higher"),
    "ece": FigureSpec("calibration error: how far scores are from the share that is right", "lower"),
    "boxes_per_second": FigureSpec("boxes shown in a second, reading the images included", "higher"),
}


@dataclass(frozen=True, slots=True)
class PrecisionCurve:
    """One class's precision over recall at IoU 0.50, as COCO takes it; its mean is the class's AP50.

    Attributes:
        precision: At recall 0, 0.01, … 1: the best that is reached with at least this recall; 0 where it is not
            reached.
        scores: The threshold that gives it; 0 where it is not reached.
        f1: At thresholds 0, 0.01, … 1; empty where it was not measured.
    """

    precision: Annotated[Sequence[Share], Field(min_length=1)]
    scores: Sequence[Share]
    f1: Sequence[Share] = ()

    def best(self) -> tuple[float, float] | None:
        """The greatest F1 and its threshold; ``None`` where nothing was found, or F1 was not measured."""
        greatest = max(self.f1, default=0.0)
        return (greatest, list(self.f1).index(greatest) / max(len(self.f1) - 1, 1)) if greatest else None
