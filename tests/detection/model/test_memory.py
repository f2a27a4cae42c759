"""The head's memory: each cell knows its own patch and its own merged token. (Of padding see test_head.)"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from argusvl.detection.model.memory import Memory, MemoryBuilder, ResidualMLPAdapter

WIDTH = 32


def build(builder: MemoryBuilder, seed: int = 0) -> tuple[Memory, list[list[torch.Tensor]]]:
    """Images of 4 × 6 and 2 × 4 patches with prompts of 3 and 5 tokens."""
    torch.manual_seed(seed)
    rasters = [torch.randn(4, 6, WIDTH), torch.randn(2, 4, WIDTH)]
    image_states = [torch.randn(6, WIDTH), torch.randn(2, WIDTH)]
    prompts = [torch.randn(3, WIDTH), torch.randn(5, WIDTH)]
    return builder(rasters, image_states, prompts), [rasters, image_states, prompts]


@pytest.fixture
def builder(kit: Any) -> MemoryBuilder:
    return kit.model().detection_head.memory_builder


def test_a_merged_token_reaches_the_four_cells_that_it_covers(builder: MemoryBuilder) -> None:
    memory, (rasters, image_states, prompts) = build(builder)
    image_states[0][4] += torch.randn(WIDTH)  # second row, second column of the 2 × 3 merged tokens
    changed = builder(rasters, image_states, prompts)
    moved = (memory.raster - changed.raster).abs().sum(-1) > 1e-6
    assert moved.nonzero().tolist() == [[0, 2, 2], [0, 2, 3], [0, 3, 2], [0, 3, 3]]


def test_a_patch_reaches_its_cell_and_a_prompt_no_cell(builder: MemoryBuilder) -> None:
    memory, (rasters, image_states, prompts) = build(builder)
    rasters[1][1, 2] += torch.randn(WIDTH)
    prompts[0][1] += torch.randn(WIDTH)
    changed = builder(rasters, image_states, prompts)
    assert ((memory.raster - changed.raster).abs().sum(-1) > 1e-6).nonzero().tolist() == [[1, 1, 2]]
    assert ((memory.language - changed.language).abs().sum(-1) > 1e-6).nonzero().tolist() == [[0, 7]]


def test_a_new_adapter_is_its_projection() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 64)
    adapter = ResidualMLPAdapter(64, 32, 8)
    assert adapter.down.out_features == 8
    torch.testing.assert_close(adapter(x), adapter.project(adapter.norm(x)))
    assert isinstance(ResidualMLPAdapter(64, 64, 8).project, torch.nn.Identity)
    adapter(x).sum().backward()
    assert adapter.up.weight.grad is not None and adapter.up.weight.grad.abs().sum() > 0
