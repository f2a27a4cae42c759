from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
from PIL import Image

from argusvl.visual.feature_statistics import LayerStatistics
from argusvl.visual.heat import colours, over_picture
from argusvl.visual.inner import Inner, attention_over, feature_strip, inner_section


def layer(name: str, dead: int = 0) -> LayerStatistics:
    return LayerStatistics(name, "ReLU", 10, dead, 0.5, 1.0, -2.0, 3.0, 0)


def test_the_strip_has_a_cell_for_each_layer_and_each_statistic_and_names_its_parts() -> None:
    layers = [layer(f"tower.blocks.{i}") for i in range(8)] + [layer(f"head.{i}", dead=i) for i in range(4)]
    svg = feature_strip(layers).svg
    ET.fromstring(svg)
    assert svg.count("<rect") == 3 * 12
    assert "tower.blocks.7 (ReLU)" in svg and "3 of 10 units dead" in svg
    assert ">tower.blocks</text>" in svg or ">tower</text>" in svg


def test_a_layer_that_is_not_finite_leaves_its_cells_empty() -> None:
    bad = LayerStatistics("a", "Linear", 4, 0, math.nan, math.nan, math.inf, -math.inf, 8)
    assert "nan" not in feature_strip([bad, layer("b")]).svg.split("<title>")[0]


def test_the_section_lists_dead_units_and_says_where_there_are_none() -> None:
    html = inner_section(Inner("four records", [layer("a.b"), layer("a.<c>", dead=4)])).html
    assert "1 of 2 layers have dead units" in html and "4/10" in html and "a.&lt;c&gt;" in html
    assert "No unit of 1 layers is dead" in inner_section(Inner("x", [layer("a")])).html
    assert inner_section(Inner("x")).html.strip() == ""


def test_heat_is_where_the_attention_is_and_the_picture_keeps_its_size() -> None:
    heat = np.zeros((2, 4))
    heat[1, 3] = 0.5
    picture = Image.new("RGB", (80, 40), (90, 90, 90))
    seen = np.asarray(over_picture(picture, heat)).astype(int)
    assert seen.shape == (40, 80, 3)
    assert (seen[5, 5] == 90).all() and np.ptp(seen[38, 78]) > 100
    assert (np.asarray(over_picture(picture, np.zeros((2, 2)))) == 90).all()
    assert colours(np.array([0.0, 1.0])).tolist() == [[68, 1, 84], [253, 231, 37]]


def test_attention_has_a_tile_for_each_head_and_all_together() -> None:
    found = attention_over("a.jpg", Image.new("RGB", (80, 40)), np.ones((4, 2, 4)))
    heads = [f"head {number}" for number in (1, 2, 3, 4)]
    assert [title for title, _ in found.tiles] == ["photograph", "all heads", *heads]
    assert found.sheet().width > 3 * 300
