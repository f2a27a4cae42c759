from __future__ import annotations

import re

import pytest

from argusvl.detection.measure.figures import PrecisionCurve
from argusvl.detection.measure.reliability import Bin, Reliability
from argusvl.detection.report.scored_curves import MAX_CLASSES, f1_chart, precision_chart, reliability_chart


def test_each_class_and_their_mean_have_their_area() -> None:
    steep = PrecisionCurve([1.0] * 51 + [0.0] * 50, [0.9] * 51 + [0.0] * 50)
    whole = PrecisionCurve([1.0] * 101, [0.5] * 101)
    chart = precision_chart({"steep": steep, "whole": whole}, {})
    areas = {entry.name: float(entry.last) for entry in chart.legend}
    assert areas == pytest.approx(
        {"steep": 51 / 101, "whole": 1.0, "mean of the classes": 76 / 101}, abs=5e-4
    )
    readings = {r.split("\n")[0]: r.split("\n")[1:] for r in re.findall(r"<title>([^<]+)<", chart.svg)}
    # Where a class is not reached the line goes down, and ends.
    assert readings["recall 0"][0] == "steep 1 · score 0.90"
    assert [readings[f"recall {at}"][0] for at in (0.5, 0.51, 0.52)] == [
        "steep 1 · score 0.90",
        "steep 0",
        "steep –",
    ]
    assert readings["recall 1"][2] == "mean of the classes 0.500"


def test_one_class_has_no_mean() -> None:
    chart = precision_chart({"a": PrecisionCurve([0.5] * 101, [0.5] * 101)}, {})
    assert [entry.name for entry in chart.legend] == ["a"]


def test_of_many_classes_the_frequent_ones_are_shown_and_all_are_in_the_mean() -> None:
    curves = {f"c{k}": PrecisionCurve([k % 2] * 101, [0.5] * 101) for k in range(100)}
    chart = precision_chart(curves, {f"c{k}": k for k in range(100)})
    names = [entry.name for entry in chart.legend]
    assert names[:-1] == [f"c{k}" for k in range(100 - MAX_CLASSES, 100)]
    assert chart.legend[-1].last == "0.500"
    assert chart.warning.startswith(f"{100 - MAX_CLASSES} classes")


def test_calibration_is_drawn_before_and_after_on_a_diagonal() -> None:
    bins = [Bin(0.8, 0.7, 20), Bin(0.2, 0.25, 5), Bin(0.5, 0.0, 0)]
    chart = reliability_chart("t", Reliability(bins, 0.04, [Bin(0.9, 0.4, 3)], 0.5))
    assert [(e.name, e.last) for e in chart.legend] == [
        ("calibrated", "error 0.040"),
        ("before calibration", "error 0.500"),
    ]
    readings = re.findall(r"<title>([^<]+)<", chart.svg)
    assert [reading.split("\n")[:2] for reading in readings] == [
        ["confidence 0.2", "calibrated 0.250 · of 5"],
        ["confidence 0.8", "calibrated 0.700 · of 20"],
        ["confidence 0.9", "calibrated –"],
    ]
    alone = reliability_chart("t", Reliability(bins, 0.04))
    assert [entry.name for entry in alone.legend] == ["as the model scores"]


def test_f1_names_the_threshold_to_ask_for() -> None:
    early = PrecisionCurve([1.0], [1.0], [0.8 if k <= 20 else 0.0 for k in range(101)])
    late = PrecisionCurve([1.0], [1.0], [k / 200 for k in range(101)])
    chart = f1_chart({"early": early, "late": late}, {})
    assert {entry.name: entry.last for entry in chart.legend} == {
        "early": "0.800 at 0.00",
        "late": "0.500 at 1.00",
        "mean of the classes": "0.450 at 0.20",
    }
    nothing = PrecisionCurve([0.0], [0.0], [0.0] * 101)
    assert nothing.best() is PrecisionCurve([1.0], [1.0]).best() is None
    assert PrecisionCurve([1.0], [1.0], [0.5]).best() == (0.5, 0)
    assert f1_chart({"nothing": nothing}, {}).legend[0].last == "0"
