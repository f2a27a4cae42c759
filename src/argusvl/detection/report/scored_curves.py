"""Charts of what an evaluation measured: precision over recall, F1 over the threshold, how good the scores are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from argusvl.detection.measure.figures import PrecisionCurve
from argusvl.detection.measure.reliability import Bin, Reliability
from argusvl.visual.curves import Chart, make_chart
from argusvl.visual.plots import NUM_COLOURS, Series

MAX_CLASSES = 3 * NUM_COLOURS
"""As many lines as there are colours and dashes."""


def precision_chart(curves: Mapping[str, PrecisionCurve], counts: Mapping[str, int]) -> Chart:
    """Precision over recall of each class, and the mean over the classes.

    Args:
        curves: By class.
        counts: Number of objects by class: where there are too many classes to show, the frequent ones are.
    """
    series = [_precision_series(name, curves[name]) for name in _shown(curves, counts)]
    values = {name: curve.precision for name, curve in curves.items()}
    # Averaged over all classes at each recall, as AP50 is: the mean's own mean is AP50.
    return _class_chart("precision over recall", "recall", "precision", series, values, _area)


def f1_chart(curves: Mapping[str, PrecisionCurve], counts: Mapping[str, int]) -> Chart:
    """F1 over the score threshold of each class, and the mean over the classes; as :func:`precision_chart`."""
    series = [Series(name, _from_0_to_1(curves[name].f1), curves[name].f1) for name in _shown(curves, counts)]
    values = {name: curve.f1 for name, curve in curves.items()}
    return _class_chart("F1 over the score threshold", "score threshold", "F1", series, values, _peak)


def _class_chart(
    title: str,
    x_name: str,
    y_name: str,
    series: list[Series],
    values: Mapping[str, Sequence[float]],
    number: Callable[[Sequence[float]], str],
) -> Chart:
    """The lines of some classes and the mean of all, each with the number that its values come to."""
    count = len(values) - len(series)
    left_out = f"{count} classes with fewer objects are left out of the picture, not of the mean."
    numbers = [number(values[line.name]) for line in series]
    if len(values) > 1:
        mean = [_mean(column) for column in zip(*values.values(), strict=True)]
        series.append(Series("mean of the classes", _from_0_to_1(mean), mean, style="mean"))
        numbers.append(number(mean))
    return make_chart(
        title,
        series,
        warning=left_out if count else "",
        last=numbers,
        x_name=x_name,
        y_name=y_name,
        unit_square=True,
    )


def reliability_chart(title: str, calibration: Reliability) -> Chart:
    """Accuracy over confidence: on the diagonal, a score of 0.8 is right eight times in ten."""
    series = [
        _reliability_series(
            "calibrated" if calibration.bins_before else "as the model scores", calibration.bins
        )
    ]
    shown = [_error(calibration.ece)]
    if calibration.bins_before:
        series.append(_reliability_series("before calibration", calibration.bins_before))
        shown.append(_error(calibration.ece_before))
    series.append(Series("as it should be", [0.0, 1.0], [0.0, 1.0], style="guide"))
    return make_chart(
        title, series, last=[*shown, ""], x_name="confidence", y_name="accuracy", unit_square=True
    )


def _precision_series(name: str, curve: PrecisionCurve) -> Series:
    # One point at 0 shows where the class ends; the rest would run along the axis.
    end = next((i + 1 for i, p in enumerate(curve.precision) if p <= 0), len(curve.precision))
    recalls = _from_0_to_1(curve.precision)[:end]
    notes = [f"score {s:.2f}" if p > 0 else "" for p, s in zip(curve.precision, curve.scores, strict=True)]
    return Series(name, recalls, curve.precision[:end], notes[:end])


def _reliability_series(name: str, bins: Sequence[Bin]) -> Series:
    filled = sorted((b for b in bins if b.count), key=lambda b: b.confidence)
    notes = [f"of {b.count}" for b in filled]
    return Series(name, [b.confidence for b in filled], [b.accuracy for b in filled], notes, style="dots")


def _shown(curves: Mapping[str, PrecisionCurve], counts: Mapping[str, int]) -> list[str]:
    """The classes that have a line, in the order of the file."""
    frequent = set(sorted(curves, key=lambda name: -counts.get(name, 0))[:MAX_CLASSES])
    return [name for name in curves if name in frequent]


def _area(precision: Sequence[float]) -> str:
    return f"{_mean(precision):.3f}"


def _peak(f1: Sequence[float]) -> str:
    best = PrecisionCurve((), (), f1).best()
    return f"{best[0]:.3f} at {best[1]:.2f}" if best else "0"


def _error(ece: float | None) -> str:
    return "" if ece is None else f"error {ece:.3f}"


def _from_0_to_1(values: Sequence[float]) -> list[float]:
    return [i / max(len(values) - 1, 1) for i in range(len(values))]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(len(values), 1)
