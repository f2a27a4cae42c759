"""How large images should be, by what is in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from argusvl.detection.data.measuring.pixel_limits import TOKEN_AREA, PixelChoice, choose_pixel_limits
from argusvl.detection.data.measuring.survey import small_side, survey_data
from argusvl.detection.data.resize import plan_resize


def choice(folder: Path, size: tuple[int, int], side: int, objects: int = 1) -> PixelChoice:
    """For one image with squares of one size, side by side."""
    Image.new("1", size).save(folder / "a.png")
    across = size[0] // side
    corners = [(side * (k % across), side * (k // across)) for k in range(objects)]
    entries = [{"bbox_2d": [x, y, x + side, y + side], "desc": "x"} for x, y in corners]
    (folder / "train.jsonl").write_text(json.dumps({"images": ["a.png"], "objects": entries}))
    survey = survey_data(folder)
    return choose_pixel_limits(survey.images, small_side(survey.trained_on.sides))


@pytest.mark.parametrize("size", [(56, 56), (448, 336), (640, 480), (2000, 1500), (4000, 3000)])
@pytest.mark.parametrize("share", [0.004, 0.01, 0.03, 0.1, 0.5])
def test_limits_are_whole_tokens_and_fit_all(tmp_path: Path, size: tuple[int, int], share: float) -> None:
    chosen = choice(tmp_path, size, max(1, round(share * size[0])))
    assert chosen.max_pixels % TOKEN_AREA == 0
    assert 64 * TOKEN_AREA <= chosen.max_pixels <= 768 * TOKEN_AREA
    assert chosen.why_min and chosen.why_max
    plan_resize(*size, *chosen.limits)


def test_small_objects_in_large_images_are_given_more_pixels(tmp_path: Path) -> None:
    large, small, tiny = (choice(tmp_path, (2000, 1500), side).max_pixels for side in (400, 40, 10))
    assert large < small < tiny
    # Sides of 16 pixels, as far as the limit allows.
    assert 40 * (small / (2000 * 1500)) ** 0.5 == pytest.approx(16, rel=0.02)


def test_small_images_are_not_enlarged_for_nothing(tmp_path: Path) -> None:
    assert choice(tmp_path, (448, 336), 10).max_pixels == 448 * 336


def test_every_object_has_a_patch_to_be_proposed_from(tmp_path: Path) -> None:
    chosen = choice(tmp_path, (60, 48), 4, objects=150)
    plan = plan_resize(60, 48, *chosen.limits)
    assert (plan.resized_width // 14) * (plan.resized_height // 14) >= 150
    assert "150 objects in a.png" in chosen.why_min
