"""The batched window attention is the stock tower's, and the raster is the picture's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from argusvl.detection.data.sampling.pixels import PATCH, pixel_values
from argusvl.detection.model.architecture import random_qwen
from argusvl.detection.model.vision import BatchedWindowAttention, make_fast, raster_rows, sine_embedding

# Windows of 56 pixels (2 × 2 merged tokens): some images fill them, some leave narrow ones at the border.
GRIDS = {
    "one window": [(56, 56)],
    "whole windows": [(112, 112)],
    "narrow windows": [(84, 140)],
    "several images": [(84, 56), (28, 28), (140, 84), (56, 56)],
}


def pictures(kit: Any, sizes: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    values, grids = pixel_values(kit.scene(11, *sizes).images)
    return torch.from_numpy(values), torch.from_numpy(grids)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_batched_windows_are_the_stock_ones(kit: Any, name: str, implementation: str) -> None:
    torch.manual_seed(1)
    stock = random_qwen(kit.qwen_config(), implementation).model.visual
    with torch.no_grad():
        for parameter in stock.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    batched = copy.deepcopy(stock)
    make_fast(batched)
    assert all(isinstance(block.attn, BatchedWindowAttention) for block in batched.blocks)
    assert batched.state_dict().keys() == stock.state_dict().keys()
    values, grid = pictures(kit, GRIDS[name])
    weights = None
    for tower in (stock, batched):
        output = tower(values, grid_thw=grid)
        weights = torch.randn_like(output.pooler_output) if weights is None else weights
        (output.pooler_output * weights).sum().backward()
        tower.output = output
    torch.testing.assert_close(
        batched.output.last_hidden_state, stock.output.last_hidden_state, rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(batched.output.pooler_output, stock.output.pooler_output, rtol=1e-4, atol=1e-5)
    for (where, ours), theirs in zip(batched.named_parameters(), stock.parameters(), strict=True):
        assert theirs.grad is not None and ours.grad is not None, where
        torch.testing.assert_close(
            ours.grad, theirs.grad, rtol=1e-3, atol=1e-4, msg=lambda m, w=where: f"{w}: {m}"
        )


@pytest.mark.parametrize("name", GRIDS)
def test_the_raster_holds_each_patch_at_its_place(kit: Any, name: str) -> None:
    """A tower without layers only reorders: its tokens are embedded patches, found by cutting the picture by hand."""
    torch.manual_seed(2)
    config = kit.qwen_config(vision_depth=0, vision_fullatt_block_indexes=[])
    tower = random_qwen(config, "sdpa").model.visual
    scene = kit.scene(11, *GRIDS[name])
    values, grid = pictures(kit, GRIDS[name])
    with torch.no_grad():
        tokens = tower(values, grid_thw=grid).last_hidden_state
    rasters = [tokens[rows] for rows in raster_rows(grid, tower)]
    assert len(rasters) == len(scene.images)
    for image, raster in zip(scene.images, rasters, strict=True):
        height, width = image.shape[:2]
        assert raster.shape[:2] == (height // PATCH, width // PATCH)
        for y in range(height // PATCH):
            for x in range(width // PATCH):
                # A picture of one merged token whose every patch is this one: its first row is the patch itself.
                patch = image[y * PATCH : (y + 1) * PATCH, x * PATCH : (x + 1) * PATCH]
                alone, _ = pixel_values([np.tile(patch, (2, 2, 1))])
                with torch.no_grad():
                    expected = tower.patch_embed(torch.from_numpy(alone[:1]))[0]
                torch.testing.assert_close(raster[y, x], expected)


def test_sine_embedding_tells_places_apart_and_fills_the_width() -> None:
    places = torch.rand(20, 20, 4)
    features = sine_embedding(places, 33)
    assert features.shape == (20, 20, 33) and features.abs().max() <= 1
    flat = features.flatten(0, 1)
    distances = torch.cdist(flat, flat) + torch.eye(400) * 9
    assert distances.min() > 1e-3
