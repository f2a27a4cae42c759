"""Patches: equal to the stock processor's, and refused where image and grid contradict each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from argusvl.core.errors import ModelError
from argusvl.detection.data.sampling.pixels import mirror_images, pixel_values


def test_every_level_of_every_channel_is_the_stock_processors() -> None:
    ramp = np.arange(28 * 28, dtype=np.uint32).reshape(28, 28) % 256
    image = np.stack([ramp, 255 - ramp, ramp[::-1]], axis=2).astype(np.uint8)
    stock = Qwen2VLImageProcessorPil()(Image.fromarray(image), do_resize=False, return_tensors="np")
    np.testing.assert_array_equal(pixel_values([image])[0], stock["pixel_values"])


def test_patches_mirrored_are_those_of_mirrored_images() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for w, h in [(84, 140), (56, 28), (140, 84)]]
    wanted, grids = pixel_values([images[0][:, ::-1], images[1], images[2][:, ::-1]])
    given = torch.from_numpy(pixel_values(images)[0])
    before = given.clone()
    mirrored = mirror_images(given, torch.from_numpy(grids), torch.tensor([0, 2]))
    np.testing.assert_array_equal(mirrored, wanted)
    torch.testing.assert_close(given, before)


def test_no_images_give_no_rows() -> None:
    values, grids = pixel_values([])
    assert values.shape == (0, 1176)
    assert grids.shape == (0, 3)


@pytest.mark.parametrize(("width", "height"), [(30, 28), (28, 14), (0, 28)])
def test_a_side_off_the_grid_is_refused(width: int, height: int) -> None:
    with pytest.raises(ModelError, match=rf"multiples of 28.*{width}×{height}"):
        pixel_values([np.zeros((height, width, 3), dtype=np.uint8)])


def test_pixels_that_are_not_rgb_bytes_are_refused() -> None:
    with pytest.raises(ModelError, match=r"float32 \[28, 28, 3\]"):
        pixel_values([np.zeros((28, 28, 3), dtype=np.float32)])
    with pytest.raises(ModelError, match=r"uint8 \[3, 28, 28\]"):
        pixel_values([np.zeros((3, 28, 28), dtype=np.uint8)])
