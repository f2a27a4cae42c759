"""Pictures are told from mirrored and turned ones only where something in them tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from argusvl.detection.data.measuring import symmetries
from argusvl.detection.data.measuring.symmetries import LEAST, told_apart


def draw(folder: Path, count: int, shown: str) -> list[Path]:
    """Rectangles anywhere on grey; and a band from the left upper corner, or a lamp anywhere along a dark top."""
    rng, files = np.random.default_rng(0), []
    for number in range(count):
        picture = Image.new("RGB", (160, 160), (120, 120, 120))
        brush = ImageDraw.Draw(picture)
        for x, y, width, height in rng.integers(0, (130, 130, 40, 40), (4, 4)).tolist():
            brush.rectangle((x, y, x + width, y + height), fill=tuple(rng.integers(0, 256, 3).tolist()))
        if shown == "band":
            brush.line((0, 0, 160, 160), fill=(20, 20, 20), width=40)
        else:
            brush.rectangle((0, 0, 160, 50), fill=(20, 20, 20))
            x = int(rng.integers(5, 116))
            brush.ellipse((x, 5, x + 40, 45), fill=(255, 240, 80))
        files.append(folder / f"{number}.png")
        picture.save(files[-1])
    return files


@pytest.mark.parametrize(("shown", "mirrored", "turned"), [("band", 1, 0), ("lamp", 0, 1)])
def test_what_always_stands_on_one_side_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: str, mirrored: int, turned: int
) -> None:
    monkeypatch.setattr(symmetries, "_SIDE_PX", 96)
    apart = told_apart(draw(tmp_path, LEAST, shown))
    assert apart is not None
    for share, known in ((apart.mirrored, mirrored), (apart.turned, turned)):
        assert (0.9 <= share <= 1) if known else (0.3 <= share <= 0.7)


def test_of_few_pictures_nothing_is_found_out(tmp_path: Path) -> None:
    files = draw(tmp_path, LEAST - 1, "lamp")
    assert told_apart(files) is None
    assert told_apart([*files, *files]) is None, "the same picture again tells nothing more"
