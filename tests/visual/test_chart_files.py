from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from PIL import Image

from argusvl.visual.chart_files import chart_files, file_name, settled, write_chart
from argusvl.visual.curves import make_chart
from argusvl.visual.marks import Mark
from argusvl.visual.plots import Series
from argusvl.visual.report import ReportData
from argusvl.visual.shapes import Shape, paint


def test_a_chart_becomes_files_of_its_own_with_its_marks_and_legend(tmp_path: Path) -> None:
    lines = [Series("training <a>", [0, 10], [4.0, 1.0]), Series("held-out", [5, 10], [3.0, 2.0])]
    chart = make_chart("loss", lines, wide=True, marks=[Mark(5, "N-001", "error", "why")], warning="2 values")
    vector, raster = write_chart(chart, tmp_path, "loss")
    svg = vector.read_text(encoding="utf-8")
    ET.fromstring(svg)
    assert "var(--" not in svg and "class=" not in svg and "%" not in svg
    for text in ("training &lt;a&gt; 1", "N-001", "loss", "2 values"):
        assert text in svg
    picture = np.asarray(Image.open(raster).convert("RGB")).astype(int)
    assert picture.shape[1] == 2000
    red = (picture[..., 0] > 180) & (picture[..., 1] < 90) & (picture[..., 2] < 90)
    # The mark stands in the middle of the axis, from its name down to the bottom.
    assert abs(np.nonzero(red)[1][np.argmax(np.bincount(np.nonzero(red)[0]) > 0)] - 1034) < 120


def test_positions_are_those_of_the_page() -> None:
    chart = make_chart("x", [Series("a", [0, 10], [0.0, 1.0])])
    width, height, shapes = settled(chart)
    (line,) = [
        s for s in shapes if s.kind == "line" and s.width == 2 and len(s.points) == 2 and s.points[1][0] > 400
    ]
    assert (width, line.stroke) == (560, "#1f5f8b")
    assert line.points[0][0] == 60 and line.points[1][0] == 560 - 14 - 12
    assert line.points[0][1] > line.points[1][1] and max(y for s in shapes for _, y in s.points) <= height


def test_dashes_leave_gaps_and_faint_lines_are_pale() -> None:
    dashed = Shape("line", ((0, 5), (40, 5)), stroke="#000000", width=2, dash=(4, 4))
    row = np.asarray(Image.open(io.BytesIO(paint(40, 10, [dashed]))).convert("L"))[10]
    assert 0.4 < (row < 128).mean() < 0.6
    faint = Shape("line", ((0, 5), (40, 5)), stroke="#000000", width=2, opacity=0.25)
    assert 180 < np.asarray(Image.open(io.BytesIO(paint(40, 10, [faint]))).convert("L"))[10, 40] < 200


def test_a_text_keeps_lines_off_its_letters() -> None:
    behind = Shape("rect", ((0, 0), (60, 20)), fill="#000000")
    text = Shape("text", ((30, 15),), fill="#000000", stroke="#ffffff", text="N-001", anchor="middle")
    assert np.asarray(Image.open(io.BytesIO(paint(60, 20, [behind, text]))).convert("L")).max() == 255


def test_a_report_writes_all_its_charts_and_an_empty_one_none(tmp_path: Path) -> None:
    log = [{"step": s, "loss": 1.0 / s, "gn/head": 1.0, "lr/head": 0.1} for s in (1, 2)]
    names = chart_files(ReportData("run", log_history=log), None, tmp_path)
    assert "time-line-loss" in names and "gradients-and-weights-gradient-norm" in names
    assert {p.name for p in tmp_path.iterdir()} == {f"{n}.{kind}" for n in names for kind in ("svg", "png")}
    assert chart_files(ReportData("run"), None, tmp_path / "none") == []
    assert (
        file_name("Loss by term", "AP50: 螺丝/x") == "loss-by-term-ap50-螺丝-x" and file_name("/") == "chart"
    )
