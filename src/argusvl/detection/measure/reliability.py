"""Is confidence what it says? Predictions in bins of similar confidence, and the share of each that is right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argusvl.core.files import write_text_atomically
from argusvl.core.schemas import Count, Share

CALIBRATION = "calibration.json"
"""What a run, a checkpoint and an evaluation leave of it for the report."""

NUM_BINS = 10

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of similar confidence: their mean confidence, the share that is right, their number."""

    confidence: Share
    accuracy: Share
    count: Count


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether confidence is what it says, for the scores that are shown and for those before calibration.

    Attributes:
        bins: Ten of equal width over 0..1, those that hold any prediction.
        ece: Expected calibration error: the bins' mean distance of accuracy and confidence, by count; ``None``
            without predictions.
        bins_before: The same predictions as the model scores them; ``None`` where nothing was calibrated.
        ece_before: Of these.
    """

    bins: Sequence[Bin]
    ece: Share | None
    bins_before: Sequence[Bin] | None = None
    ece_before: Share | None = None


@dataclass(frozen=True, slots=True)
class ReliabilityReport(Reliability):
    """Reliability of scores (is the prediction right?) and, in ``types``, of label scores (is the label, given the
    object?).
    """

    types: Reliability = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class ReliabilityFile(ReliabilityReport):
    """What ``calibration.json`` holds; ``measured_on`` names the data in words."""

    measured_on: str = field(kw_only=True)


def write_reliability(folder: Path, report: ReliabilityReport, measured_on: str) -> None:
    """Writes ``calibration.json``, what the report draws, into the folder of a checkpoint, a run or an evaluation.

    ``measured_on`` names the data in words.
    """
    content = asdict(report) | {"measured_on": measured_on}
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    write_text_atomically(folder / CALIBRATION, text)


def compare(raw: Array, calibrated: Array, correct: Flags, shown_from: float) -> Reliability:
    """Before and after, for predictions that have this confidence before or after: the same ones for both."""
    shown = np.maximum(raw, calibrated) >= shown_from
    before = reliability(raw[shown], correct[shown])
    after = reliability(calibrated[shown], correct[shown])
    return replace(after, bins_before=before.bins, ece_before=before.ece)


def reliability(confidence: Array, correct: Flags) -> Reliability:
    """Of confidence as it is, calibrated or not."""
    where = np.minimum((confidence * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    bins = [
        Bin(float(confidence[inside].mean()), float(correct[inside].mean()), int(inside.sum()))
        for inside in (where == k for k in range(NUM_BINS))
        if inside.any()
    ]
    error = sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / len(confidence) if bins else None
    return Reliability(tuple(bins), error)
