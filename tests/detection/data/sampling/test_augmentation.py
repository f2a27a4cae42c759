"""Augmentation: boxes stay on their objects, sizes on the grid, and everything comes from the generator."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from argusvl.detection.data.sampling.augmentation import (
    Augmentation,
    View,
    change_colour,
    turn,
    zoom,
)

CHANGES = (
    "horizontal_flip",
    "vertical_flip",
    "rotate90",
    "brightness",
    "contrast",
    "saturation",
    "hue",
)
NOTHING = Augmentation(**dict.fromkeys(CHANGES, 0), scale_min=1, scale_max=1, min_visible=0.3)
GEOMETRY = replace(
    NOTHING, horizontal_flip=0.5, vertical_flip=0.5, rotate90=0.5, scale_min=0.6, scale_max=1.8
)
ALL = replace(GEOMETRY, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
COLOURS = ((255, 40, 40), (40, 255, 40), (40, 40, 255))


def painted(seed: int = 0, width: int = 168, height: int = 112) -> View:
    """Three rectangles that do not touch, each in a colour of its own, on black."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    boxes = []
    for number, colour in enumerate(COLOURS):
        left = number * width // 3
        x1, y1 = left + int(rng.integers(2, 12)), int(rng.integers(2, height // 2))
        x2, y2 = left + int(rng.integers(28, width // 3 - 2)), int(rng.integers(height // 2 + 8, height - 2))
        pixels[y1:y2, x1:x2] = colour
        boxes.append((x1, y1, x2, y2))
    return View(pixels, np.array(boxes, dtype=np.float64), ("red", "green", "blue"))


def where(view: View, number: int) -> np.ndarray:
    """Mask of the pixels in which a colour clearly stands out."""
    others = [c for c in range(3) if c != number]
    values = view.pixels.astype(int)
    return (values[..., number] > 120) & (values[..., others] < 70).all(axis=-1)


def assert_boxes_fit(view: View, tolerance: float = 1.5) -> None:
    """Every pixel of a colour is in a box of its name, and each box is tight around such pixels."""
    width, height = view.size
    names = ("red", "green", "blue")
    for box, name in zip(view.boxes_xyxy_px, view.descs, strict=True):
        x1, y1, x2, y2 = box
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        ys, xs = np.nonzero(where(view, names.index(name)))
        inside = (
            (xs + 1 > x1 - tolerance)
            & (xs < x2 + tolerance)
            & (ys + 1 > y1 - tolerance)
            & (ys < y2 + tolerance)
        )
        xs, ys = xs[inside], ys[inside]
        if min(x2 - x1, y2 - y1) > 6:
            tight = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            np.testing.assert_allclose(box, tight, atol=tolerance + 1)


def assert_same(view: View, other: View) -> None:
    np.testing.assert_array_equal(view.pixels, other.pixels)
    np.testing.assert_array_equal(view.boxes_xyxy_px, other.boxes_xyxy_px)


@pytest.mark.parametrize(("way", "back"), [(2, 2), (4, 4), (6, 8), (8, 6)])
def test_flips_and_turns_are_exact_and_can_be_undone(way: int, back: int) -> None:
    turned = turn(painted(), way)
    assert turned.size == ((168, 112) if way < 5 else (112, 168))
    assert_boxes_fit(turned, tolerance=0)
    assert_same(turn(turned, back), painted())


def test_clockwise_is_clockwise() -> None:
    pixels = np.zeros((28, 56, 3), dtype=np.uint8)
    pixels[0, 0] = 255  # left upper corner → right upper corner
    view = View(pixels, np.array([[0.0, 0.0, 1.0, 1.0]]), ("dot",))
    turned = turn(view, 6)
    assert turned.pixels[0, 27].tolist() == [255, 255, 255]
    assert turned.boxes_xyxy_px.tolist() == [[27, 0, 28, 1]]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_boxes_follow_their_objects_through_every_geometry(seed: int) -> None:
    rng = np.random.default_rng(seed)
    changed = GEOMETRY(painted(seed), rng)
    assert changed.size in [(168, 112), (112, 168)]
    assert changed.pixels.flags["C_CONTIGUOUS"]
    assert len(changed.boxes_xyxy_px) == len(changed.descs)
    assert_boxes_fit(changed)


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.3, 2.0])
def test_zoom_keeps_the_size_and_scales_the_boxes(scale: float) -> None:
    view = painted()
    changed = zoom(view, np.random.default_rng(3), scale, min_visible=0.99)
    assert changed.size == view.size
    names = list(view.descs)
    for box, name in zip(changed.boxes_xyxy_px, changed.descs, strict=True):
        before = view.boxes_xyxy_px[names.index(name)]
        np.testing.assert_allclose(box[2:] - box[:2], (before[2:] - before[:2]) * scale, rtol=0.03)
    assert_boxes_fit(changed)


def test_zooming_out_shows_the_whole_picture_on_its_mean_colour() -> None:
    view = View(np.full((112, 168, 3), (10, 100, 200), dtype=np.uint8), np.zeros((0, 4)), ())
    changed = zoom(view, np.random.default_rng(0), 0.5, min_visible=0.3)
    assert (changed.pixels == (10, 100, 200)).all()


@pytest.mark.parametrize(("min_visible", "stays"), [(0.5, True), (0.6, False)])
def test_an_object_goes_when_too_little_of_it_is_left(min_visible: float, stays: bool) -> None:
    class Corner(np.random.Generator):
        """Always draws the low end: the window is the left upper part."""

        def uniform(self, low: float = 0.0, high: float = 1.0, size: object = None) -> float:  # type: ignore[override]
            return low

    pixels = np.zeros((100, 100, 3), dtype=np.uint8)
    # Twice as large, the picture ends at x = 50: 55 % of the box is left of it.
    view = View(pixels, np.array([[39.0, 10.0, 59.0, 30.0]]), ("a",))
    changed = zoom(view, Corner(np.random.PCG64(0)), 2.0, min_visible)
    assert changed.boxes_xyxy_px.tolist() == ([[78, 20, 100, 60]] if stays else [])


def test_colour_changes_leave_boxes_and_the_given_view_alone() -> None:
    view = painted()
    before = view.pixels.copy()
    colours = replace(NOTHING, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    changed = colours(view, np.random.default_rng(0))
    np.testing.assert_array_equal(view.pixels, before)
    np.testing.assert_array_equal(changed.boxes_xyxy_px, view.boxes_xyxy_px)
    assert (changed.pixels != before).any()


def test_brightness_contrast_and_saturation_are_pillows_to_a_level_or_two() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 180, (56, 56, 3), dtype=np.uint8)
    view, image = View(pixels, np.zeros((0, 4)), ()), Image.fromarray(pixels)
    for change, pillow in [
        ((0.2, 0, 0, 0), ImageEnhance.Brightness(image).enhance(1.2)),
        ((0, 0.3, 0, 0), ImageEnhance.Contrast(image).enhance(1.3)),
        ((0, 0, -0.5, 0), ImageEnhance.Color(image).enhance(0.5)),
    ]:
        ours = change_colour(view, *change).pixels.astype(int)
        assert np.abs(ours - np.asarray(pillow)).max() <= 3


def test_hue_turns_colours_and_leaves_grey_and_luma() -> None:
    pixels = np.full((28, 28, 3), 128, dtype=np.uint8)
    pixels[:14] = (160, 110, 110)
    changed = change_colour(View(pixels, np.zeros((0, 4)), ()), 0, 0, 0, 0.33).pixels.astype(float)
    assert np.abs(changed[14:] - 128).max() <= 1
    luma = np.array([0.299, 0.587, 0.114])
    assert abs(changed[0, 0] @ luma - pixels[0, 0] @ luma) <= 2
    assert changed[0, 0].argmax() != 0


def test_nothing_configured_changes_nothing() -> None:
    view = painted()
    assert_same(NOTHING(view, np.random.default_rng(0)), view)


def test_the_same_generator_state_gives_the_same_picture_and_another_another() -> None:
    first, again, other = (ALL(painted(), np.random.default_rng(s)) for s in (1, 1, 2))
    assert_same(first, again)
    assert first.pixels.shape != other.pixels.shape or (first.pixels != other.pixels).any()


def test_a_picture_without_objects_is_changed_too() -> None:
    empty = View(painted().pixels, np.zeros((0, 4)), ())
    for seed in range(10):
        changed = ALL(empty, np.random.default_rng(seed))
        assert changed.boxes_xyxy_px.shape == (0, 4)


def test_fast_enough_for_training() -> None:
    rng = np.random.default_rng(0)
    view = View(
        rng.integers(0, 256, (336, 448, 3), dtype=np.uint8), np.array([[9.0, 9.0, 90.0, 90.0]]), ("a",)
    )
    times = []
    for _ in range(20):
        begin = time.process_time()
        ALL(view, rng)
        times.append(time.process_time() - begin)
    # The target is 6 ms; a shared machine gets some room.
    assert sorted(times)[len(times) // 2] < 0.015
