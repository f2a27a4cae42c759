from __future__ import annotations

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from argusvl.detection.data.orientation import box_to_upright, fitting_frames, upright_size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_turns_with_its_pixels(orientation: int) -> None:
    stored = Image.new("L", (40, 24), 0)
    box = (5, 3, 17, 9)
    stored.paste(255, box)
    stored.getexif()[ExifTags.Base.Orientation] = orientation
    upright = ImageOps.exif_transpose(stored)
    rows, columns = np.nonzero(np.asarray(upright))
    turned = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert box_to_upright(box, (40, 24), orientation) == turned
    assert upright_size((40, 24), orientation) == upright.size


@pytest.mark.parametrize(
    ("stored", "orientation", "annotated", "frames"),
    [
        ((40, 24), 6, (40, 24), ["stored"]),
        ((40, 24), 6, (24, 40), ["upright"]),
        ((40, 24), 6, (41, 24), []),
        ((30, 30), 6, (30, 30), ["stored", "upright"]),
        ((40, 24), 6, None, ["stored", "upright"]),
        ((40, 24), 3, (40, 24), ["stored", "upright"]),  # turned by 180°: the sides stay
    ],
)
def test_the_annotated_size_tells_where_boxes_were_drawn_or_leaves_it_open(
    stored: tuple[int, int], orientation: int, annotated: tuple[int, int] | None, frames: list[str]
) -> None:
    assert fitting_frames(stored, orientation, annotated) == frames
