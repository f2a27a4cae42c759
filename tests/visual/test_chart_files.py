from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argusvl.visual.chart_files import chart_files, file_name, write_chart
from argusvl.visual.curves import make_chart
from argusvl.visual.marks import Mark
from argusvl.visual.plots import Series
from argusvl.visual.report import ReportData


def test_a_chart_becomes_files_of_its_own_with_its_marks_and_legend(tmp_path: Path) -> None:
    lines = [Series("training <a>", [0, 10], [4.0, 1.0]), Series("held-out 螺", [5, 10], [3.0, 2.0])]
    chart = make_chart("loss", lines, wide=True, marks=[Mark(5, "N-001", "error", "why")], warning="2 values")
    vector, raster = write_chart(chart, tmp_path, "loss")
    svg = vector.read_text(encoding="utf-8")
    ET.fromstring(svg)
    assert "var(--" not in svg and "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    for text in ("training &lt;a&gt; 1", "held-out 螺 2", "N-001", "loss", "2 values"):
        assert text in svg
    picture = np.asarray(Image.open(raster).convert("RGB")).astype(int)
    assert picture.shape[1] == 2000
    red = (picture[..., 0] > 180) & (picture[..., 1] < 90) & (picture[..., 2] < 90)
    columns = np.bincount(np.nonzero(red)[1])
    # The mark stands in the middle of the axis, from its name down to the bottom; the warning is written below.
    assert columns.argmax() == pytest.approx(2 * (60 + 914 / 2), abs=3) and columns.max() > 400
    assert red[-60:, :400].any()


def test_lines_go_from_axis_to_axis_in_the_colours_of_the_page(tmp_path: Path) -> None:
    _, raster = write_chart(make_chart("x", [Series("a", [0, 10], [0.0, 1.0])]), tmp_path, "x")
    picture = np.asarray(Image.open(raster).convert("RGB")).astype(int)
    ys, xs = np.nonzero(np.abs(picture[:480] - (0x1F, 0x5F, 0x8B)).max(-1) < 30)
    assert (xs.min(), xs.max()) == pytest.approx((2 * 60, 2 * (560 - 14 - 12)), abs=4)
    assert xs[ys.argmax()] < xs[ys.argmin()]


def test_a_report_writes_all_its_charts_and_an_empty_one_none(tmp_path: Path) -> None:
    log = [{"step": s, "loss": 1.0 / s, "gn/head": 1.0, "lr/head": 0.1} for s in (1, 2)]
    names = chart_files(ReportData("run", log_history=log), None, tmp_path)
    assert "time-line-loss" in names and "gradients-and-weights-gradient-norm" in names
    assert {p.name for p in tmp_path.iterdir()} == {f"{n}.{kind}" for n in names for kind in ("svg", "png")}
    assert chart_files(ReportData("run"), None, tmp_path / "none") == []
    assert (
        file_name("Loss by term", "AP50: 螺丝/x") == "loss-by-term-ap50-螺丝-x" and file_name("/") == "chart"
    )
