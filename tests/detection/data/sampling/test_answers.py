"""Answers: written as Qwen2.5-VL writes them, read back however one ends and whatever a model makes of the format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argusvl.detection.commands import service
from argusvl.detection.data.records import ObjectAnnotation
from argusvl.detection.data.sampling.answers import answer_entries, answer_text, parse_answer

GRID = (1, 6, 8)  # 112×84 pixels
LABEL = st.text(alphabet="ab螺丝/，：、“”【】｛[{}]\"'\\ ", min_size=1, max_size=8).filter(str.strip)
BOX = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(41, 84)] * 2)
OBJECTS = st.lists(st.tuples(BOX, LABEL), max_size=5)
GOOD = '{"bbox_2d": [1, 2, 3, 4], "label": "a"}'


Items = list[tuple[tuple[int, int, int, int], str]]
"""Boxes with their labels."""


def annotation(*box: float, desc: str = "a", image: int = 0) -> ObjectAnnotation:
    return ObjectAnnotation(box, desc, image)  # type: ignore[arg-type]


def in_order(items: Items) -> tuple[ObjectAnnotation, ...]:
    return tuple(annotation(*box, desc=label) for box, label in items)


def as_json(box: tuple[int, int, int, int], label: str, label_first: bool = False) -> str:
    value = {"label": label, "bbox_2d": list(box)} if label_first else {"bbox_2d": list(box), "label": label}
    return json.dumps(value, ensure_ascii=False)


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


@settings(deadline=None)
@given(st.lists(st.tuples(BOX, LABEL | st.text(min_size=1, max_size=9).filter(str.strip)), max_size=5))
def test_what_is_written_is_read(items: Items) -> None:
    objects = in_order(items)
    parsed = parse_answer(answer_text(answer_entries(objects, [GRID])))
    assert sorted(parsed.objects, key=repr) == sorted(objects, key=repr)
    assert parsed.complete and not parsed.dropped


@given(st.text(alphabet='[]{}",:“”，：【】｛｝[1２.-ab \\\n', max_size=60))
def test_any_text_is_read_and_what_is_found_is_valid(text: str) -> None:
    for found in parse_answer(text).objects:
        x1, y1, x2, y2 = found.bbox_2d
        assert x1 < x2 and y1 < y2 and found.desc.strip()


@given(OBJECTS, st.lists(st.booleans(), min_size=5, max_size=5))
def test_the_order_of_keys_and_of_objects_does_not_matter(items: Items, label_first: list[bool]) -> None:
    written = [as_json(*item, first) for item, first in zip(items, label_first, strict=False)]
    parsed = parse_answer(f"[{', '.join(written)}]")
    assert parsed.objects == in_order(items)
    assert parsed.complete and not parsed.dropped


@given(OBJECTS)
def test_chinese_punctuation_is_read(items: Items) -> None:
    items = [(box, label.replace("“", "").replace("”", "").replace('"', "") or "a") for box, label in items]
    items = [(box, label if label.strip() else "a") for box, label in items]
    digits = str.maketrans("0123456789", "０１２３４５６７８９")
    written = [
        "｛“bbox_2d”：【" + "，".join(map(str, box)).translate(digits) + f"】，“label”：“{label}”，｝"
        for box, label in items
    ]
    parsed = parse_answer("【" + "，\n".join(written) + "】")
    assert parsed.objects == in_order(items)
    assert parsed.complete and not parsed.dropped


@given(OBJECTS, st.sampled_from(['{"objects": [%s]}', "[[%s]]", '[{"image_0": {"found": [%s]}}]', "%s"]))
def test_objects_may_be_nested(items: Items, around: str) -> None:
    parsed = parse_answer(around % ", ".join(as_json(*item) for item in items))
    assert parsed.objects == in_order(items)
    assert not parsed.dropped
    assert parsed.complete == (around != "%s")


@given(st.lists(st.booleans(), max_size=8))
def test_every_part_of_a_list_is_an_object_or_a_line_that_says_why_not(good: list[bool]) -> None:
    bad = ['{"label": "a"}', '{"bbox_2d": [1, 2, 3,, 4]}', "[1, 2, 3, 4]", "null"]
    parts = [GOOD if one else bad[k % len(bad)] for k, one in enumerate(good)]
    parsed = parse_answer(f"Found: [{', '.join(parts)}] and nothing else.")
    assert len(parsed.objects) == sum(good)
    # What is no object and stands together is one line.
    plain = [part if part in bad[2:] else " " for part in parts]
    runs = sum(a != " " and (k == 0 or plain[k - 1] == " ") for k, a in enumerate(plain))
    assert len(parsed.dropped) == runs + sum(part in bad[:2] for part in parts)
    assert parsed.complete


def test_corners_as_two_points_a_child_of_an_object_and_single_quotes() -> None:
    assert parse_answer('[{"bbox_2d": [[1, 2], [3, 4]], "label": "a"}]').objects == (annotation(1, 2, 3, 4),)
    parent = '[{"bbox_2d": [1, 2, 30, 40], "label": "b", "parts": [' + GOOD + ', {"label": "c"}]}]'
    parsed = parse_answer(parent)
    assert parsed.objects == (annotation(1, 2, 30, 40, desc="b"), annotation(1, 2, 3, 4))
    assert parsed.dropped == ('no bbox_2d of four numbers: {"label": "c"}',)
    assert parse_answer("[{'bbox_2d': [1, 2, 3, 4], 'label': 'a'},]").objects == (annotation(1, 2, 3, 4),)
    assert parse_answer("[{'bbox_2d': [1 2, 3, 4, 5], 'label': 'a'}]").objects == ()


def test_a_cut_answer_in_an_object_keeps_what_is_whole() -> None:
    parsed = parse_answer('{"objects": [' + GOOD + ', {"bbox_2d": [1, 2')
    assert parsed.objects == (annotation(1, 2, 3, 4),)
    assert [line.split(": ")[0] for line in parsed.dropped] == ["not a complete JSON object"] * 2
    assert not parsed.complete


@pytest.mark.parametrize("text", ['{"a": ' * 2500, "{" * 10000, "{“" * 4500, "[" * 20000, "｛[" * 4500])
def test_a_text_of_brackets_holds_nothing(text: str) -> None:
    """Each bracket may begin an object: looking for all of their ends would take minutes here."""
    assert parse_answer(text).objects == ()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200))
def test_cut_anywhere_it_keeps_the_whole_objects(length: int) -> None:
    objects = [annotation(i, 10 * i, i + 5, 10 * i + 5, desc='x{"]') for i in range(1, 5)]
    text = answer_text(answer_entries(objects, [GRID]))
    cut = text[: min(length, len(text) - 1)]
    parsed = parse_answer(cut)
    assert not parsed.complete
    assert len(parsed.objects) == cut.count('"}')
    assert list(parsed.objects) == objects[: len(parsed.objects)]
    if cut.count("{") > 2 * len(parsed.objects):
        assert "not a complete JSON object" in parsed.dropped[0]


def test_text_and_code_fences_around_the_list_do_not_matter() -> None:
    text = 'Here:\n```json\n[\n\t{"bbox_2d": [1, 2, 3, 4], "label": "a"}\n]\n```'
    assert parse_answer(text).objects == (annotation(1, 2, 3, 4),)
    assert parse_answer(text).complete
    assert parse_answer(GOOD).objects == (annotation(1, 2, 3, 4),)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"label": "a"}', "bbox_2d"),
        ('{"bbox_2d": [1, 2, 3], "label": "a"}', "bbox_2d"),
        ('{"bbox_2d": [1, 2, 3, "4"], "label": "a"}', "bbox_2d"),
        ('{"bbox_2d": [1, 2, true, 4], "label": "a"}', "bbox_2d"),
        ('{"bbox_2d": [1, 2, NaN, 4], "label": "a"}', "finite"),
        ('{"bbox_2d": [1, 2, 1e999, 4], "label": "a"}', "finite"),
        ('{"bbox_2d": [3, 2, 1, 4], "label": "a"}', "inverted"),
        ('{"bbox_2d": [1, 2, 1, 4], "label": "a"}', "area"),
        ('{"bbox_2d": [1, 2, 3, 4], "label": " "}', "label"),
        ('{"bbox_2d": [1, 2, 3, 4]}', "label"),
        ('{"image": 1, "bbox_2d": [1, 2, 3, 4], "label": "a"}', "image"),
        ('{"bbox_2d": [1, 2, 3,, 4], "label": "a"}', "JSON"),
        ('{"a": ' * 1500, "JSON"),
    ],
)
def test_a_bad_object_is_dropped_with_its_reason_and_the_others_stay(bad: str, reason: str) -> None:
    parsed = parse_answer(f"[{GOOD}, {bad}, {GOOD}]")
    assert parsed.objects == (annotation(1, 2, 3, 4),) * 2
    assert reason in parsed.dropped[0]
    assert parsed.complete


@pytest.mark.parametrize("text", ["", "nothing found", "]", "[", "{", "[[[["])
def test_no_list_is_no_object_and_not_complete(text: str) -> None:
    parsed = parse_answer(text)
    assert parsed.objects == ()
    assert not parsed.complete


def test_the_example_that_the_service_gives_is_an_answer() -> None:
    example: dict[str, Any] = service._WRITTEN_EXAMPLE
    parsed = parse_answer(example["text"])
    written = [{"box_xyxy_px": list(one.bbox_2d), "description": one.desc} for one in parsed.objects]
    assert (written, parsed.complete) == (example["objects"], example["complete"])
