"""Answers: written as Qwen2.5-VL writes them, and read back however a generation ends."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argusvl.detection.data.records import ObjectAnnotation
from argusvl.detection.data.sampling.answer_parsing import parse_answer
from argusvl.detection.data.sampling.answers import answer_entries, answer_text

GRID = (1, 6, 8)  # 112×84 pixels


def annotation(*box: float, desc: str = "a", image: int = 0) -> ObjectAnnotation:
    return ObjectAnnotation(box, desc, image)  # type: ignore[arg-type]


def test_sorted_by_y_then_x_in_whole_pixels() -> None:
    objects = [
        annotation(50.4, 20, 60, 30.6, desc="三"),
        annotation(9, 20, 12, 30, desc="二"),
        annotation(70, 3, 80, 9, desc="一"),
    ]
    assert answer_text(answer_entries(objects, [GRID])) == (
        '[{"bbox_2d": [70, 3, 80, 9], "label": "一"}, '
        '{"bbox_2d": [9, 20, 12, 30], "label": "二"}, '
        '{"bbox_2d": [50, 20, 60, 31], "label": "三"}]'
    )


def test_no_objects_are_an_empty_list() -> None:
    assert answer_text(answer_entries([], [GRID])) == "[]"
    assert parse_answer("[]").complete


def test_of_several_images_each_object_names_its_own_and_they_come_in_order() -> None:
    objects = [annotation(1, 2, 3, 4, desc="b", image=1), annotation(5, 50, 7, 60)]
    text = answer_text(answer_entries(objects, [GRID, GRID]))
    assert json.loads(text) == [
        {"image": 0, "bbox_2d": [5, 50, 7, 60], "label": "a"},
        {"image": 1, "bbox_2d": [1, 2, 3, 4], "label": "b"},
    ]
    assert parse_answer(text, num_images=2).objects == (objects[1], objects[0])


@pytest.mark.parametrize("box", [(10.1, 10.1, 10.4, 10.4), (111.6, 83.6, 112.0, 84.0), (0.0, 0.0, 0.2, 0.3)])
def test_rounding_leaves_every_box_an_area_inside_the_image(box: tuple[float, float, float, float]) -> None:
    [((x1, y1, x2, y2), _, _)] = answer_entries([annotation(*box)], [GRID])
    assert 0 <= x1 < x2 <= 112
    assert 0 <= y1 < y2 <= 84


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(41, 84)] * 2), st.text(min_size=1, max_size=9)
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read(items: list[tuple[tuple[int, int, int, int], str]]) -> None:
    objects = [annotation(*box, desc=desc) for box, desc in items if desc.strip()]
    parsed = parse_answer(answer_text(answer_entries(objects, [GRID])))
    assert sorted(parsed.objects, key=repr) == sorted(objects, key=repr)
    assert parsed.complete
    assert not parsed.dropped
