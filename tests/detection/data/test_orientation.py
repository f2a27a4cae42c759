from __future__ import annotations

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from argusvl.detection.data.orientation import box_to_upright, upright_size


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
