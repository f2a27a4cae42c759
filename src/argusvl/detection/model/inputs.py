"""What a batch must be before the model reads it: every contradiction is an error that names both of its sides."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedConfig, Qwen2_5_VLConfig

from argusvl.core.errors import ModelError

# Each entry of a batch by its axes; an axis has one size wherever it stands.
AXES: dict[str, tuple[str | int, ...]] = {
    "input_ids": ("rows", "tokens"),
    "attention_mask": ("rows", "tokens"),
    "mm_token_type_ids": ("rows", "tokens"),
    "position_ids": (4, "rows", "tokens"),
    "labels": ("rows", "tokens"),
    "label_roles": ("rows", "tokens"),
    "image_grid_thw": ("images", 3),
    "student_image_index": ("student images",),
    "student_image_sample": ("student images",),
    "student_image_start": ("student images",),
    "student_prompt_span": ("samples", 2),
    "object_boxes_cxcywh_norm": ("objects", 4),
    "object_image": ("objects",),
    "object_label": ("objects",),
    "object_caption_ids": ("objects", "caption tokens"),
    "vocabulary_ids": ("labels", "label tokens"),
}


def check_shapes(batch: Mapping[str, Tensor | None]) -> None:
    """Compares shapes and devices of a batch's entries with each other; names that are not in :data:`AXES` are let
    pass.

    Raises:
        ModelError: Names the entry, its shape and what it contradicts.
    """
    sizes: dict[str | int, tuple[int, str]] = {}
    first: tuple[str, Tensor] | None = None
    for name, axes in AXES.items():
        tensor = batch.get(name)
        if tensor is None:
            continue
        problem = f"{name} has shape {list(tensor.shape)}, expected [{', '.join(map(str, axes))}]"
        if tensor.dim() != len(axes):
            raise ModelError(problem)
        for axis, size in zip(axes, tensor.shape, strict=True):
            expected, authority = (
                (axis, "") if isinstance(axis, int) else sizes.setdefault(axis, (size, name))
            )
            if size != expected:
                beside = f"; {authority} has {expected} {axis}" if authority else ""
                raise ModelError(problem + beside, remedy="build the whole batch with one collator")
        first = first or (name, tensor)
        if tensor.device != first[1].device:
            raise ModelError(
                f"{name} is on {tensor.device}, {first[0]} on {first[1].device}",
                remedy="move the whole batch to the model's device",
            )


def check_present(batch: Mapping[str, Tensor | None], needed: tuple[str, ...], because: str) -> None:
    """Names entries that are missing while another one, ``because``, asks for them.

    Raises:
        ModelError: An entry is missing.
    """
    missing = [name for name in needed if batch.get(name) is None]
    if missing:
        raise ModelError(
            f"the batch has {because} but no {', '.join(missing)}",
            remedy="build the whole batch with one collator",
        )


def checked_images(
    pixel_values: Tensor | None,
    image_grid_thw: Tensor | None,
    input_ids: Tensor,
    mm_token_type_ids: Tensor,
    config: Qwen2_5_VLConfig,
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Pixels as ``[patches, patch width]`` and their grids, both fitting the placeholders of the text.

    Args:
        pixel_values: ``[patches, patch width]``, or normalised pictures of one size ``[N, channels, H, W]`` (P-003).
        image_grid_thw: ``[N, 3]``; may be left out for pictures.
        input_ids: ``[B, L]``.
        mm_token_type_ids: ``[B, L]``.
        config: Of the stock model.

    Raises:
        ModelError: Pixels, grids and placeholders contradict each other; both sides are named.
    """
    is_placeholder = input_ids == config.image_token_id
    if not torch.equal(is_placeholder, mm_token_type_ids != 0):
        raise ModelError(
            f"mm_token_type_ids marks {int((mm_token_type_ids != 0).sum())} positions, and not the "
            f"{int(is_placeholder.sum())} image placeholders of input_ids",
            remedy="write 1 at image placeholders and 0 elsewhere; without it positions (mRoPE) would be wrong",
        )
    runs = _run_lengths(is_placeholder)
    vision = config.vision_config
    assert isinstance(vision, PreTrainedConfig)
    if pixel_values is None:
        if image_grid_thw is not None:
            raise ModelError(
                "image_grid_thw is given and pixel_values is not", remedy="give both, or neither"
            )
        if runs:
            raise ModelError(
                f"input_ids has {sum(runs)} image placeholders, and there are no pixel_values",
                remedy="give the images of the text",
            )
        return None, None
    if pixel_values.dim() == 4:
        pixel_values, grid = cut_patches(pixel_values, vision)
        if image_grid_thw is not None and not torch.equal(image_grid_thw, grid):
            raise ModelError(
                f"pixel_values holds pictures of grid {grid[:1].tolist()}, "
                f"image_grid_thw says {image_grid_thw.tolist()}",
                remedy="leave image_grid_thw out, or build both with the same image processor",
            )
        image_grid_thw = grid
    _check_patches(pixel_values, image_grid_thw, vision)
    assert image_grid_thw is not None
    _check_placeholders(image_grid_thw, runs, vision.spatial_merge_size)
    return pixel_values, image_grid_thw


def cut_patches(pictures: Tensor, vision: PreTrainedConfig) -> tuple[Tensor, Tensor]:
    """Normalised pictures of one size → patches in the order of the tower (see ``detection.data.sampling.pixels``).

    Sides of pictures ``[N, channels, H, W]`` are multiples of a merged token's side (28 pixels). The patches are
    ``[ΣP, patch width]``, the grids ``[N, 3]``.

    Raises:
        ModelError: The pictures have other channels, or are not on the grid.
    """
    count, channels, height, width = pictures.shape
    patch, merge, frames = vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size
    side = patch * merge
    if channels != vision.in_channels or not height or not width or height % side or width % side:
        raise ModelError(
            f"pixel_values has shape {list(pictures.shape)}, expected [images, {vision.in_channels}, height, width] "
            f"with sides that are multiples of {side}",
            remedy="resize images first (argusvl.detection.data.resize)",
        )
    rows, columns = height // side, width // side
    blocks = pictures.reshape(count, channels, rows, merge, patch, columns, merge, patch)
    # → image, row and column of the merged token, row and column inside it, channel, pixels of the patch
    blocks = blocks.permute(0, 2, 5, 3, 6, 1, 4, 7)
    frame = blocks.reshape(-1, channels, 1, patch * patch)
    patches = frame.expand(-1, -1, frames, -1).reshape(len(frame), -1)
    grid = torch.tensor([[1, rows * merge, columns * merge]], device=pictures.device).expand(count, -1)
    return patches, grid.contiguous()


def pictures_of(patches: Tensor, grid: Tensor, chosen: Tensor, vision: PreTrainedConfig) -> list[Tensor]:
    """Back from patches to normalised pictures ``[channels, H, W]``: what :func:`cut_patches` cut, first frames.

    Patches are ``[ΣP, patch width]``; ``chosen`` are rows of ``grid``.
    """
    patch, merge, channels = vision.patch_size, vision.spatial_merge_size, vision.in_channels
    rows = patches.split(grid.prod(-1).tolist())
    pictures = []
    for index in chosen.tolist():
        _, height, width = grid[index].tolist()
        blocks = rows[index].view(
            height // merge, width // merge, merge, merge, channels, vision.temporal_patch_size, patch, patch
        )[:, :, :, :, :, 0]
        # → channel, row of the merged token, row inside it, pixel, and the same of columns
        pictures.append(blocks.permute(4, 0, 2, 5, 1, 3, 6).reshape(channels, height * patch, width * patch))
    return pictures


def _check_patches(pixel_values: Tensor, grid: Tensor | None, vision: PreTrainedConfig) -> None:
    patch_width = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    if pixel_values.dim() != 2 or pixel_values.shape[1] != patch_width:
        raise ModelError(
            f"pixel_values has shape {list(pixel_values.shape)}, expected [patches, {patch_width}] or "
            f"[images, {vision.in_channels}, height, width]",
            remedy="make it by argusvl.detection.data.sampling.pixels.pixel_values",
        )
    if grid is None:
        raise ModelError("pixel_values is given and image_grid_thw is not", remedy="give both, or neither")
    merge = vision.spatial_merge_size
    for index, (frames, height, width) in enumerate(grid.tolist()):
        if frames != 1 or height < 1 or width < 1 or height % merge or width % merge:
            raise ModelError(
                f"image_grid_thw[{index}] is {[frames, height, width]}, expected [1, h, w], both multiples of {merge}",
                remedy="give still images whose sides are multiples of 28 pixels",
            )
    patches = int(grid.prod(-1).sum())
    if patches != len(pixel_values):
        raise ModelError(
            f"image_grid_thw stands for {patches} patches, pixel_values has shape {list(pixel_values.shape)}",
            remedy="build both with the same image processor",
        )


def _check_placeholders(grid: Tensor, runs: list[int], merge: int) -> None:
    remedy = "write the placeholders for images already resized to the training grid (P-002)"
    if len(runs) != len(grid):
        raise ModelError(
            f"image_grid_thw has {len(grid)} images, input_ids has placeholders of {len(runs)}", remedy=remedy
        )
    merged = (grid.prod(-1) // merge**2).tolist()
    for index, (tokens, placeholders) in enumerate(zip(merged, runs, strict=True)):
        if tokens != placeholders:
            raise ModelError(
                f"image {index}: image_grid_thw {grid[index].tolist()} makes {tokens} merged vision tokens, "
                f"input_ids has {placeholders} placeholders",
                remedy=remedy,
            )


def _run_lengths(marked: Tensor) -> list[int]:
    """Lengths of the runs of true in ``[B, L]``, row after row: each is an image."""
    edges = F.pad(marked.int(), (1, 1)).diff(dim=1)
    starts, stops = (edges == 1).nonzero()[:, 1], (edges == -1).nonzero()[:, 1]
    return [int(length) for length in (stops - starts).tolist()]
