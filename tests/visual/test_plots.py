from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest

from argusvl.visual.plots import NUM_COLOURS, Series, colour_class, format_number, line_chart


def heights(svg: str) -> list[float]:
    """Vertical positions of the last drawn line's points."""
    path = re.findall(r'class="line s\d" d="([^"]+)"', svg)[-1]
    return [float(point.split(" ")[1]) for point in path[1:].split("L")]


def test_a_chart_is_well_formed_and_larger_values_are_higher() -> None:
    svg = line_chart([Series('a "b" <c>', [0, 1, 2], [1.0, 5.0, 2.0])])
    ET.fromstring(svg)
    low, high, middle = heights(svg)
    assert high < middle < low


def readings(svg: str) -> list[str]:
    """What is read at each place of a chart."""
    return [str(title.text) for title in ET.fromstring(svg).iter("title")]


def test_values_that_are_not_finite_leave_a_gap_with_a_mark_and_an_empty_chart_is_none() -> None:
    svg = line_chart([Series("a", [0, 1, 2], [1.0, math.nan, 2.0])])
    assert len(heights(svg)) == 2 and "nan" not in svg
    assert re.findall(r'class="bad" x1="([^"]+)"', svg) == ["50.00%"]
    assert readings(svg)[1] == "step 1\na not finite"
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
        *((0, "0"), (0.5, "0.500"), (3.14159, "3.14"), (1234.5, "1234")),
        *((43210, "43.2k"), (2.5e6, "2.5M"), (1e-5, "1e-5")),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert format_number(value) == text


def test_a_unit_square_shows_nothing_else() -> None:
    svg = line_chart([Series("a", [0.2, 0.4], [0.5, 0.6])], unit_square=True)
    labels = re.findall(r'<text class="axis"[^>]*>([^<]+)<', svg)
    assert labels.count("0") == 2 and labels.count("1") == 2
    assert not {float(label) for label in labels} - {0, 0.2, 0.25, 0.4, 0.5, 0.6, 0.75, 0.8, 1}


def test_more_lines_than_colours_are_dashed() -> None:
    names = [colour_class(i) for i in range(3 * NUM_COLOURS)]
    assert len(set(names)) == len(names)
    assert colour_class(3, "mean") == "mean"


def test_a_long_line_can_be_read_at_some_places_and_at_its_end() -> None:
    values = [math.sin(s / 1000) for s in range(10_000)]
    svg = line_chart([Series("a <b>", list(range(10_000)), values)])
    found = readings(svg)
    assert 50 < len(found) <= 120
    assert found[-1] == f"step 9999\na <b> {format_number(values[-1])}"


def test_notes_stay_with_their_values_and_beyond_a_line_nothing_is_read() -> None:
    svg = line_chart(
        [
            Series("a", [0, 1, 2], [0.1, math.nan, 0.3], ["x", "y", "z"], style="dots"),
            Series("b", [1, 2], [5, 6]),
            Series("diagonal", [0, 2], [0, 2], style="guide"),
        ],
        x_name="recall",
    )
    assert readings(svg) == [
        "recall 0\na 0.100 · x\nb –",
        "recall 1\na not finite · y\nb 5",
        "recall 2\na 0.300 · z\nb 6",
    ]
    assert svg.count("<circle") == 2
