"""Batches whose entries contradict each other are refused with both sides named; pictures are cut into patches."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from argusvl.core.errors import ModelError
from argusvl.detection.data.sampling.pixels import pixel_values
from argusvl.detection.model.inputs import check_shapes, checked_images, cut_patches


@pytest.fixture
def batch(kit: Any) -> dict[str, Any]:
    return kit.collate(
        kit.sample(kit.scene(0, (56, 84)), kit.scene(1, (84, 56))), kit.sample(kit.scene(2, (56, 56)))
    )


def check(kit: Any, batch: dict[str, Any]) -> Any:
    names = ("pixel_values", "image_grid_thw", "input_ids", "mm_token_type_ids")
    return checked_images(*(batch[name] for name in names), kit.qwen_config())


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("attention_mask", lambda t: t[:, 1:], r"has shape \[2, \d+\], expected \[rows, tokens\]; input_ids"),
        ("mm_token_type_ids", lambda t: t[:1], r"mm_token_type_ids has shape \[1, .*input_ids has 2 rows"),
        ("labels", lambda t: t[0], r"labels has shape \[\d+\], expected \[rows, tokens\]"),
        ("image_grid_thw", lambda t: t[:, 1:], r"image_grid_thw has shape \[3, 2\], expected \[images, 3\]"),
        ("student_image_start", lambda t: t[:1], r"_start has shape \[1\].*student_image_index has 2"),
        ("student_prompt_span", lambda t: t.T[:1].T, r"student_prompt_span has shape \[2, 1\]"),
        ("object_label", lambda t: t[1:], r"object_label has shape \[3\].*object_boxes_cxcywh_norm has 4"),
        ("object_boxes_cxcywh_norm", lambda t: t[:, :3], r"object_boxes_cxcywh_norm has shape \[4, 3\]"),
        ("vocabulary_ids", lambda t: t[0], r"vocabulary_ids has shape .* expected \[labels, label tokens\]"),
        ("label_roles", lambda t: t.to("meta"), "label_roles is on meta, input_ids on cpu"),
    ],
)
def test_a_wrong_shape_names_both(batch: dict[str, Any], name: str, change: Any, message: str) -> None:
    batch[name] = change(batch[name])
    with pytest.raises(ModelError, match=message):
        check_shapes(batch)


PIXELS, GRID, TYPES = "pixel_values", "image_grid_thw", "mm_token_type_ids"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({GRID: None}, "pixel_values is given and image_grid_thw is not"),
        ({PIXELS: None}, "image_grid_thw is given and pixel_values is not"),
        ({PIXELS: None, GRID: None}, "input_ids has 16 image placeholders, .* no pixel_values"),
        ({PIXELS: lambda t: t[:-1]}, r"image_grid_thw stands for 64 patches, .* shape \[63, 1176\]"),
        ({PIXELS: lambda t: t[:, :588]}, r"pixel_values has shape \[64, 588\], expected \[patches, 1176\]"),
        ({PIXELS: lambda t: t[None]}, r"pixel_values has shape \[1, 64, 1176\]"),
        ({PIXELS: lambda t: t[0]}, r"pixel_values has shape \[1176\]"),
        ({PIXELS: lambda t: t.view(1, 1, 1, 64, 1176)}, r"pixel_values has shape \[1, 1, 1, 64, 1176\]"),
        ({GRID: lambda t: t.flip(0)}, r"image_grid_thw \[1, 4, 4\] makes 4 .* input_ids has 6 placeholders"),
        (
            {GRID: lambda t: t[:2], PIXELS: lambda t: t[:48]},
            "image_grid_thw has 2 images, input_ids has placeholders of 3",
        ),
        ({GRID: lambda t: t * torch.tensor([2, 1, 1])}, r"image_grid_thw\[0\] is \[2, 4, 6\]"),
        ({GRID: lambda t: t + torch.tensor([0, 1, 0])}, r"\[0\] is \[1, 5, 6\], expected \[1, h, w\]"),
        ({TYPES: torch.zeros_like}, "mm_token_type_ids marks 0 positions, .* 16 image placeholders"),
        ({TYPES: lambda t: t.roll(1, dims=1)}, "marks 16 positions, and not the 16 image placeholders"),
    ],
)
def test_pixels_grids_and_placeholders_that_contradict_each_other_are_named(
    kit: Any, batch: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    for name, change in changes.items():
        batch[name] = change(batch[name]) if callable(change) else change
    with pytest.raises(ModelError, match=message):
        check(kit, batch)


def test_the_forward_checks_its_batch(kit: Any, batch: dict[str, Any]) -> None:
    model = kit.model()
    with pytest.raises(ModelError, match="64 patches"):
        model(**{**batch, "pixel_values": batch["pixel_values"][1:]})
    with pytest.raises(ModelError, match="labels has shape"):
        model(**{**batch, "labels": batch["labels"][:, 1:]})
    for name, because in (("vocabulary_ids", "object_boxes"), ("object_label", "object_boxes")):
        with pytest.raises(ModelError, match=f"has {because}.* but no {name}"):
            model(**{**batch, name: None})
    asked = kit.collate(kit.sample(kit.scene(2, (56, 56))), for_inference=True)
    with pytest.raises(ModelError, match="has student_image_index but no vocabulary_ids"):
        model(**{**asked, "vocabulary_ids": None})


def pictures(kit: Any, count: int, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pictures normalised as CLIP's; their patches and grids by the data pipeline."""
    images = kit.scene(3, *[size] * count).images
    values, grid = pixel_values(images)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])
    stacked = torch.stack([torch.from_numpy(i.copy()).float() / 255 for i in images])
    return ((stacked - mean) / std).permute(0, 3, 1, 2), torch.from_numpy(values), torch.from_numpy(grid)


@pytest.mark.parametrize("size", [(28, 28), (84, 56), (56, 112)])
def test_pictures_are_cut_as_the_data_pipeline_cuts_them(kit: Any, size: tuple[int, int]) -> None:
    """P-003: 4-D pixel values are accepted."""
    whole, values, grid = pictures(kit, 2, size)
    patches, found = cut_patches(whole, kit.qwen_config().vision_config)
    assert torch.equal(found, grid)
    torch.testing.assert_close(patches, values, rtol=0, atol=1e-5)


def test_a_forward_takes_pictures_with_or_without_grids(kit: Any) -> None:
    model = kit.model().eval()
    scene = kit.scene(3, (84, 56), (84, 56))
    batch = kit.collate(kit.sample(scene))
    whole, _, _ = pictures(kit, 2, (84, 56))
    with torch.no_grad():
        expected = model(**batch).boxes_raw
        for grid in (batch["image_grid_thw"], None):
            found = model(**{**batch, "pixel_values": whole, "image_grid_thw": grid}).boxes_raw
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 30, 28), r"pixel_values has shape \[2, 3, 30, 28\], .* multiples of 28"),
        ((2, 1, 28, 28), r"pixel_values has shape \[2, 1, 28, 28\], expected \[images, 3"),
        ((2, 3, 0, 28), r"pixel_values has shape \[2, 3, 0, 28\]"),
        ((3, 3, 56, 56), r"pictures of grid \[\[1, 4, 4\]\], image_grid_thw says \[\[1, 4, 6\]"),
    ],
)
def test_pictures_off_the_grid_are_refused(
    kit: Any, batch: dict[str, Any], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        check(kit, {**batch, "pixel_values": torch.zeros(shape)})
