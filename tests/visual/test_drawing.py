from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from argusvl.core.errors import ArgusError
from argusvl.visual.drawing import colour_of, distinct_colours, draw_boxes, draw_comparison

GREY = (120, 120, 120)


def blank(size: tuple[int, int] = (400, 300)) -> Image.Image:
    return Image.new("RGB", size, GREY)


def drawn(labels: list[str], boxes: list[list[float]] | None = None, **options: Any) -> np.ndarray[Any, Any]:
    boxes = boxes or [[100, 100, 300, 200]] * len(labels)
    return np.asarray(draw_boxes(blank(), boxes, labels, **options)).astype(int)


def plate(label: str) -> np.ndarray[Any, Any]:
    """What is written in one fixed colour, so that only the glyphs tell two labels apart."""
    return drawn([label], colours={label: (240, 240, 240)})


def test_chinese_glyphs_leave_ink_and_differ_from_each_other_and_from_the_missing_glyph() -> None:
    from argusvl.visual.fonts import load_font

    pictures = [plate(text) for text in "螺丝正确"]
    assert all((picture.max(axis=2) < 60).sum() > 40 for picture in pictures)
    for i, one in enumerate(pictures):
        assert all((one != other).any() for other in pictures[i + 1 :])
    font = load_font(None, 24)
    assert bytes(font.getmask("螺")) != bytes(font.getmask("\U000fffff"))


def test_the_box_is_drawn_where_it_is_also_when_the_image_is_enlarged() -> None:
    colour = (10, 250, 20)
    picture = drawn(["a"], [[100, 100, 300, 200]], colours={"a": colour})
    factor = picture.shape[1] / 400
    assert factor > 2
    ys, xs = np.nonzero((picture == colour).all(axis=2))
    low = [v / factor for v in (xs.min(), ys.max())]
    assert low[0] == pytest.approx(100, abs=1)
    assert low[1] == pytest.approx(200, abs=1)
    assert xs.max() / factor == pytest.approx(300, abs=1)


def test_a_large_image_keeps_its_size_and_the_given_image_is_not_changed() -> None:
    image = blank((1600, 1200))
    assert draw_boxes(image, [[9, 9, 99, 99]], ["a"]).size == (1600, 1200)
    assert np.unique(np.asarray(image)).tolist() == [120]


def test_labels_of_boxes_at_the_edges_stay_in_the_picture() -> None:
    boxes = [[0, 0, 40, 20], [370, 0, 400, 30], [0, 280, 30, 300], [360, 270, 400, 300]]
    for box in boxes:
        whole = drawn(["挡风板/未安装"], [box], colours={"挡风板/未安装": (255, 0, 255)})
        factor = whole.shape[1] / 400
        plate_area = (whole == (255, 0, 255)).all(axis=2).sum()
        assert plate_area > 600 * factor  # the whole plate, not its corner


def test_what_lies_outside_is_cut_off_and_nothing_is_drawn_for_no_box() -> None:
    drawn(["a"], [[-50, -50, 900, 900]])
    assert np.unique(np.asarray(draw_boxes(blank(), [], []))).tolist() == [120]


def test_few_labels_are_written_at_their_boxes_and_many_in_a_list_at_the_side() -> None:
    few = draw_boxes(blank(), [[100, 100, 300, 200]], ["挡风板"])
    boxes = [[20.0 * i, 15.0 * i, 20.0 * i + 30, 15.0 * i + 25] for i in range(18)]
    many = draw_boxes(blank(), boxes, ["螺丝连接点/BBU安装螺丝/连接正确"] * 18, [0.5] * 18)
    assert few.width / few.height == pytest.approx(400 / 300, abs=0.01)
    assert many.width / many.height > 1.6
    paper = np.asarray(many)[:, few.width + 10 :]
    assert (paper.min(axis=2) > 240).mean() > 0.5


def test_colours_are_stable_and_those_of_a_vocabulary_are_all_different() -> None:
    labels = [f"label {i}" for i in range(24)]
    assert colour_of("挡风板") == colour_of("挡风板") != colour_of("标签贴纸")
    colours = distinct_colours(labels)
    assert colours == distinct_colours(reversed(labels))
    assert len(set(colours.values())) == 24


def test_a_glyph_that_the_font_lacks_is_refused_or_written_as_its_code(latin_font: Path) -> None:
    with pytest.raises(ArgusError, match=r"latin\.otf: .*螺 \(U\+87BA\)"):
        drawn(["螺丝"], font_path=latin_font)
    escaped = drawn(["螺"], font_path=latin_font, on_missing="escape", colours={"螺": (240, 240, 240)})
    spelled = drawn(["<U+87BA>"], font_path=latin_font, colours={"<U+87BA>": (240, 240, 240)})
    assert (escaped == spelled).all()


def test_a_comparison_shows_both_and_takes_whatever_a_model_writes() -> None:
    box = [[100, 100, 300, 200]]
    sheet = draw_comparison(blank(), (box, ["挡风板"]), (box, ["\x00\U0001f600"], [0.4]))
    assert sheet.height > 2 * 300 * sheet.width / 400
