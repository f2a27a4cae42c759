from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest

from argusvl.visual.curves import charts_of_log
from argusvl.visual.plots import Series, format_number, line_chart


def heights(svg: str) -> list[float]:
    """Vertical positions of the last drawn line's points."""
    path = re.findall(r'class="line s\d" d="([^"]+)"', svg)[-1]
    return [float(point.split(" ")[1]) for point in path[1:].split("L")]


def test_a_chart_is_well_formed_and_larger_values_are_higher() -> None:
    svg = line_chart([Series('a "b" <c>', [0, 1, 2], [1.0, 5.0, 2.0])])
    ET.fromstring(svg)
    low, high, middle = heights(svg)
    assert high < middle < low


def test_values_that_are_not_finite_leave_a_gap_and_an_empty_chart_is_none() -> None:
    svg = line_chart([Series("a", [0, 1, 2], [1.0, math.nan, 2.0])])
    assert len(heights(svg)) == 2
    assert "nan" not in svg
    assert line_chart([Series("a", [0], [math.inf])]) == ""
    assert line_chart([]) == ""


def test_a_constant_and_a_single_value_can_be_drawn() -> None:
    assert len(set(heights(line_chart([Series("a", [0, 1], [3.0, 3.0])])))) == 1
    assert "<circle" in line_chart([Series("a", [5], [0.0])])


def test_a_logarithmic_chart_leaves_out_what_has_no_logarithm() -> None:
    positions = heights(line_chart([Series("a", [0, 1, 2, 3], [0.0, 1.0, 10.0, 100.0])], log_scale=True))
    assert len(positions) == 3
    assert positions[0] - positions[1] == pytest.approx(positions[1] - positions[2], abs=0.11)


def test_a_long_line_is_thinned_and_smoothed_without_lag() -> None:
    steps = list(range(10_000))
    svg = line_chart([Series("a", steps, [float(s) for s in steps])], smooth=True)
    assert len(svg) < 40_000
    assert 'class="raw' in svg
    raw = re.findall(r'class="raw s0" d="([^"]+)"', svg)[0]
    middle = [float(p.split(" ")[1]) for p in raw[1:].split("L")]
    assert heights(svg)[200] == pytest.approx(middle[200], abs=0.2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.500"),
        (3.14159, "3.14"),
        (1234.5, "1234"),
        (43210, "43.2k"),
        (2.5e6, "2.5M"),
        (1e-5, "1e-5"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert format_number(value) == text


def test_a_log_is_sorted_into_charts() -> None:
    log = [
        {"step": s, "epoch": s / 10, "loss": 9.0 - s, "bbox_l1_loss": 1 / (s + 1), "learning_rate": 1e-3}
        | {"lr/vision": 1e-3, "lr/llm": 1e-4, "gn/vision": 2.0, "grad_norm": 3.0, "wn/llm": 40.0}
        | {"throughput/images_per_second": 12.0, "train_runtime": 3.0}
        for s in range(3)
    ]
    log += [
        {
            "step": 2,
            "eval_loss": 4.0,
            "eval_AP50": 0.5,
            "eval_AP": 0.25,
            "eval_runtime": 1.0,
            "eval_AP50/a": 0.5,
        }
    ]
    charts = {chart.title: chart for chart in charts_of_log(log)}
    lines = {title: [entry.name for entry in chart.legend] for title, chart in charts.items()}
    assert lines == {
        "quality on held-out images": ["AP50", "AP"],
        "loss": ["training", "held-out"],
        "bbox l1 loss": ["training"],
        "AP50 by class": ["a"],
        "learning rate": ["vision", "llm"],
        "gradient norm": ["vision", "grad_norm"],
        "weight norm": ["llm"],
        "throughput: images per second": ["images_per_second"],
    }
    assert [e.last for e in charts["quality on held-out images"].legend] == ["0.500", "0.250"]


def test_a_loss_that_was_not_finite_is_said() -> None:
    log = [{"step": 1, "loss": math.nan}, {"step": 2, "loss": 1.0}, {"step": 3, "loss": math.inf}]
    (chart,) = charts_of_log(log)
    assert chart.warning == "loss: 2 values are not finite"


def test_an_empty_log_has_no_charts() -> None:
    assert charts_of_log([]) == []
    assert charts_of_log([{"step": 1, "epoch": 0.1}]) == []
