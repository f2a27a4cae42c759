"""Mirrored pictures are told from others only where something in them tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from argusvl.detection.data.measuring.mirror_images import LEAST, mirrored_told_apart


def draw(folder: Path, count: int, lamp: bool) -> list[Path]:
    """Rectangles anywhere on grey; ``lamp``: and a dark wall with a lamp, always on the left."""
    rng, files = np.random.default_rng(0), []
    for number in range(count):
        picture = Image.new("RGB", (160, 120), (120, 120, 120))
        brush = ImageDraw.Draw(picture)
        for x, y, width, height in rng.integers(0, (130, 90, 40, 40), (4, 4)).tolist():
            brush.rectangle((x, y, x + width, y + height), fill=tuple(rng.integers(0, 256, 3).tolist()))
        if lamp:
            brush.rectangle((0, 0, 50, 120), fill=(20, 20, 20))
            brush.ellipse((5, 5, 45, 45), fill=(255, 240, 80))
        files.append(folder / f"{number}.png")
        picture.save(files[-1])
    return files


@pytest.mark.parametrize(("lamp", "least", "most"), [(False, 0.3, 0.7), (True, 0.9, 1.0)])
def test_what_always_stands_on_one_side_tells(tmp_path: Path, lamp: bool, least: float, most: float) -> None:
    apart = mirrored_told_apart(draw(tmp_path, LEAST, lamp))
    assert apart is not None and least <= apart <= most


def test_of_few_pictures_nothing_is_found_out(tmp_path: Path) -> None:
    files = draw(tmp_path, LEAST - 1, lamp=True)
    assert mirrored_told_apart(files) is None
    assert mirrored_told_apart([*files, *files]) is None, "the same picture again tells nothing more"
