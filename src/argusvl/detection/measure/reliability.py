"""Is confidence what it says? Predictions in bins of similar confidence, and the share of each that is right."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argusvl.core.files import write_text_atomically

CALIBRATION = "calibration.json"
"""What a run, a checkpoint and an evaluation leave of it for the report."""

NUM_BINS = 10

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of similar confidence: their mean confidence, the share that is right, their number."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether confidence is what it says, for the scores that are shown and for those before calibration.

    Attributes:
        bins: Ten of equal width over 0..1, those that hold any prediction.
        ece: Expected calibration error: the bins' mean distance of accuracy and confidence, by count; ``nan``
            without predictions.
        bins_before: The same predictions as the model scores them; ``None`` where nothing was calibrated.
        ece_before: Of these.
    """

    bins: Sequence[Bin]
    ece: float
    bins_before: Sequence[Bin] | None = None
    ece_before: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; ``nan`` becomes ``None``."""
        return asdict(self) | {"ece": None if math.isnan(self.ece) else self.ece}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Reliability:
        """Inverse of :meth:`to_dict`."""
        before = value["bins_before"]
        return cls(
            tuple(Bin(**b) for b in value["bins"]),
            math.nan if value["ece"] is None else value["ece"],
            None if before is None else tuple(Bin(**b) for b in before),
            value["ece_before"],
        )


@dataclass(frozen=True, slots=True)
class ReliabilityReport:
    """Reliability of scores (is the prediction right?) and of label scores (is the label, given the object?)."""

    scores: Reliability
    types: Reliability

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the scores' figures, and those of label scores under ``types``."""
        return {**self.scores.to_dict(), "types": self.types.to_dict()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ReliabilityReport:
        """Inverse of :meth:`to_dict`."""
        return cls(Reliability.from_dict(value), Reliability.from_dict(value["types"]))


def write_reliability(folder: Path, report: ReliabilityReport, measured_on: str) -> None:
    """Writes ``calibration.json``, what the report draws, into the folder of a checkpoint, a run or an evaluation.

    ``measured_on`` names the data in words.
    """
    content = {**report.to_dict(), "measured_on": measured_on}
    write_text_atomically(folder / CALIBRATION, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def compare(raw: Array, calibrated: Array, correct: Flags, shown_from: float) -> Reliability:
    """Before and after, for predictions that have this confidence before or after: the same ones for both."""
    shown = np.maximum(raw, calibrated) >= shown_from
    before = reliability(raw[shown], correct[shown])
    ece = None if math.isnan(before.ece) else before.ece
    return replace(reliability(calibrated[shown], correct[shown]), bins_before=before.bins, ece_before=ece)


def reliability(confidence: Array, correct: Flags) -> Reliability:
    """Of confidence as it is, calibrated or not."""
    where = np.minimum((confidence * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    bins = [
        Bin(float(confidence[inside].mean()), float(correct[inside].mean()), int(inside.sum()))
        for inside in (where == k for k in range(NUM_BINS))
        if inside.any()
    ]
    error = (
        sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / len(confidence) if bins else math.nan
    )
    return Reliability(tuple(bins), error)
