from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from argusvl.core.errors import DataError, ImageError
from argusvl.detection.data.resize import ResizePlan, plan_resize, resize_image

sides = st.integers(1, 6000)


@st.composite
def plans(draw: st.DrawFn) -> ResizePlan:
    width, height = draw(sides), draw(sides)
    low = draw(st.integers(28 * 28, 200_000))
    high = low * draw(st.integers(2, 20))
    try:
        return plan_resize(width, height, low, high)
    except ImageError:
        reject()


@st.composite
def boxes_in(draw: st.DrawFn, width: float, height: float) -> tuple[float, float, float, float]:
    x = st.floats(0, width, allow_nan=False)
    y = st.floats(0, height, allow_nan=False)
    return draw(x), draw(y), draw(x), draw(y)


@settings(max_examples=100, deadline=None)
@given(st.data(), plans())
def test_a_box_goes_there_and_back_unchanged(data: st.DataObject, plan: ResizePlan) -> None:
    box = data.draw(boxes_in(plan.width, plan.height))
    there = plan.box_to_resized(box)
    assert tuple(plan.boxes_to_original([there])[0]) == pytest.approx(box, abs=1e-6)
    assert all(v <= limit + 1e-6 for v, limit in zip(there, plan.resized_size * 2, strict=True))
    resized = data.draw(boxes_in(plan.resized_width, plan.resized_height))
    back = tuple(plan.boxes_to_original([resized])[0])
    assert plan.box_to_resized(back) == pytest.approx(resized, abs=1e-6)
    assert plan.box_to_resized((0, 0, *plan.size)) == (0, 0, *plan.resized_size)


@settings(max_examples=100, deadline=None)
@given(plans(), st.integers(28 * 28, 200_000))
def test_the_size_is_on_the_grid_and_in_the_limits_and_stays(plan: ResizePlan, low: int) -> None:
    assert plan.resized_width % 28 == 0
    assert plan.resized_height % 28 == 0
    assert plan.vision_tokens == plan.resized_width * plan.resized_height / 28**2
    area = plan.resized_width * plan.resized_height
    again = plan_resize(plan.resized_width, plan.resized_height, min(low, area), max(low, area))
    assert again.is_identity


@settings(max_examples=300, deadline=None)
@given(sides, sides, st.integers(1, 300_000), st.integers(28 * 28, 20_000_000))
def test_the_size_is_that_of_transformers(width: int, height: int, low: int, high: int) -> None:
    assume(low <= high and max(width, height) <= 200 * min(width, height))
    expected = smart_resize(height, width, factor=28, min_pixels=low, max_pixels=high)
    try:
        plan = plan_resize(width, height, low, high)
    except ImageError as error:  # of limits that leave no size, which theirs passes over
        assert f"would become {expected[1]}×{expected[0]} " in str(error)
    else:
        assert (plan.resized_height, plan.resized_width) == expected


def test_pixels_follow_the_plan() -> None:
    image = Image.new("RGB", (640, 480), "white")
    image.paste("black", (320, 0, 640, 480))
    plan = plan_resize(640, 480, 3136, 448 * 336)
    resized = resize_image(image, plan)
    assert resized.size == (448, 336)
    edge = plan.box_to_resized((320, 0, 640, 480))[0]
    assert resized.getpixel((math.floor(edge) - 4, 100)) == (255, 255, 255)
    assert resized.getpixel((math.ceil(edge) + 4, 100)) == (0, 0, 0)
    assert resize_image(resized, plan_resize(448, 336, 3136, 448 * 336)) is resized


def test_an_image_of_another_size_than_planned_is_refused() -> None:
    plan = plan_resize(640, 480, 3136, 150_528)
    with pytest.raises(ImageError, match="expected an image of 640×480, got 480×640"):
        resize_image(Image.new("RGB", (480, 640)), plan)


@pytest.mark.parametrize(
    ("size", "low", "high", "said"),
    [
        ((6030, 30), 3136, 10**6, r"cable\.jpg: .*6030×30 is 201 times.*\n.*cut the image"),
        ((0, 10), 784, 10_000, "0×10"),
        ((647, 481), 150_528, 150_528, "lower min_pixels"),
        ((1900, 10), 784, 28 * 28 * 4, "raise max_pixels"),
    ],
)
def test_an_image_without_a_size_in_the_limits_is_named_with_what_to_do(
    size: tuple[int, int], low: int, high: int, said: str
) -> None:
    with pytest.raises(ImageError, match=said):
        plan_resize(*size, low, high, where="cable.jpg")


@pytest.mark.parametrize(
    ("low", "high", "named"),
    [
        (0, 10_000, "min_pixels is 0"),
        (784, 783, "max_pixels is 783"),
        (5000, 4000, "min_pixels 5000 is more than"),
    ],
)
def test_contradicting_limits_are_an_error(low: int, high: int, named: str) -> None:
    with pytest.raises(DataError, match=named):
        plan_resize(640, 480, low, high)
