"""Pictures are told from mirrored and turned ones only where something in them tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from argusvl.detection.data.measuring.symmetries import LEAST, told_apart


def draw(folder: Path, count: int, lamp: str) -> list[Path]:
    """Rectangles anywhere on grey; and a dark wall with a lamp, always on the left, or anywhere along the top."""
    rng, files = np.random.default_rng(0), []
    for number in range(count):
        picture = Image.new("RGB", (160, 160), (120, 120, 120))
        brush = ImageDraw.Draw(picture)
        for x, y, width, height in rng.integers(0, (130, 130, 40, 40), (4, 4)).tolist():
            brush.rectangle((x, y, x + width, y + height), fill=tuple(rng.integers(0, 256, 3).tolist()))
        if lamp:
            brush.rectangle((0, 0, 50, 160) if lamp == "left" else (0, 0, 160, 50), fill=(20, 20, 20))
            x = 5 if lamp == "left" else int(rng.integers(5, 116))
            brush.ellipse((x, 5, x + 40, 45), fill=(255, 240, 80))
        files.append(folder / f"{number}.png")
        picture.save(files[-1])
    return files


@pytest.mark.parametrize(("lamp", "mirrored", "turned"), [("", 0, 0), ("left", 1, 1), ("top", 0, 1)])
def test_what_always_stands_on_one_side_tells(tmp_path: Path, lamp: str, mirrored: int, turned: int) -> None:
    apart = told_apart(draw(tmp_path, LEAST, lamp))
    assert apart is not None
    for share, known in ((apart.mirrored, mirrored), (apart.turned, turned)):
        assert (0.9 <= share <= 1) if known else (0.3 <= share <= 0.7)


def test_of_few_pictures_nothing_is_found_out(tmp_path: Path) -> None:
    files = draw(tmp_path, LEAST - 1, lamp="left")
    assert told_apart(files) is None
    assert told_apart([*files, *files]) is None, "the same picture again tells nothing more"
