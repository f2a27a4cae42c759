"""Where features are sampled: at the very pixel, by the K of the crop, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from made_models import make_batch, make_model

from argusvl.manipulation.model.refinement import sample
from argusvl.synthetic.hands.camera import project

SIDE = 128


def painted(stride: int) -> torch.Tensor:
    """A map in which each place holds the pixel of its own centre: [1, 2, h, w]."""
    centres = (torch.arange(SIDE // stride) + 0.5) * stride
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x, y])[None]


@pytest.mark.parametrize("stride", [1, 8, 16, 32])
@pytest.mark.parametrize("autocast", [False, True])
def test_a_painted_map_gives_the_pixel_that_is_asked_for(stride: int, autocast: bool) -> None:
    g = torch.Generator().manual_seed(stride)
    # Between the centres of the outermost places, beyond which there is nothing to interpolate to.
    points = stride / 2 + torch.rand(1, 200, 2, generator=g) * (SIDE - stride)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = sample(painted(stride), points, SIDE)
    assert (found - points).abs().max() < 0.01


def test_nothing_is_sampled_outside_of_the_crop() -> None:
    ones = torch.ones(1, 3, 16, 16)
    points = torch.tensor([[[-9.0, 50.0], [50.0, 140.0], [64.0, 64.0], [float("inf"), 0.0], [1e12, 1e12]]])
    found = sample(ones, points, SIDE)
    assert found[0, :, 0].tolist() == [0, 0, 1, 0, 0]


def test_each_step_samples_where_the_last_joints_are_seen() -> None:
    model, batch = make_model(num_refinement_steps=3, wide_initialisation=True).eval(), make_batch(4)
    output = model(batch["pixel_values"], batch["cameras"])
    assert output.sampling_px.shape == (3, 4, 21, 2)
    first = project(output.hand["joints_3d"], batch["cameras"])
    assert (output.sampling_px[0] - first).abs().max() < 0.01
    assert (output.sampling_px[1] - first).abs().max() > 0.01
    # Another K for the same pixels, and the hand is elsewhere in space.
    other = batch["cameras"] * torch.tensor([2.0, 2.0, 1.0])[:, None]
    moved = model(batch["pixel_values"], other)
    assert (moved.sampling_px[0] - project(moved.hand["joints_3d"], other)).abs().max() < 0.01
    assert (moved.hand["root"] - output.hand["root"]).norm(dim=-1).min() > 0.05


def test_the_first_step_goes_where_heat_maps_see_the_joints() -> None:
    model, batch = make_model(num_refinement_steps=1).eval(), make_batch(4)
    seen: list[torch.Tensor] = []

    def sharpened(_: Any, __: Any, logits: torch.Tensor) -> torch.Tensor:
        seen.append(logits * 20)  # more than even maps
        return seen[0]

    model.refinement.heatmaps.heat.register_forward_hook(sharpened)
    output = model(batch["pixel_values"], batch["cameras"])
    chances = seen[0].flatten(2).softmax(-1).unflatten(2, seen[0].shape[2:])
    centres = (torch.arange(chances.shape[-1]) + 0.5) * model.config.image_size / chances.shape[-1]
    means = torch.stack([chances.sum(2) @ centres, chances.sum(3) @ centres], dim=-1)
    # A new model's change is nearly nothing.
    off = project(output.hand["joints_3d_refined"], batch["cameras"]) - means
    assert off.abs().max() < 1 and (means - model.config.image_size / 2).abs().max() > 2


def test_without_steps_refined_joints_are_the_coarse_ones() -> None:
    model, batch = make_model(num_refinement_steps=0), make_batch(4)
    output = model(**batch)
    assert torch.equal(output.hand["joints_3d"], output.hand["joints_3d_refined"])
    assert output.sampling_px.shape == (0, 4, 21, 2)
    assert not {"refined", "heatmap"} & set(output.loss_terms) and "joints" in output.loss_terms
