"""A second computation of a backbone's pixels, where there is one: by the library, or from the numbers it states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from argusvl.recognition.backbones.protocol import Backbone

_STATED = {"resize_shorter_side_px", "filter", "centre_crop_px", "mean", "std"}


@dataclass(frozen=True, slots=True)
class Reference:
    """Pixels as they should be.

    Attributes:
        pixels: ``[3, H, W]``.
        source: What computed them.
    """

    pixels: Tensor
    source: str


def reference_pixels(backbone: Backbone, image: Image.Image) -> Reference | None:
    """The pixels by another way than the backbone's own; ``None`` where there is none.

    Args:
        backbone: One from a folder in hub layout has the library's processor of that folder; one that states its sizes,
            mean and standard deviation is computed anew from these.
        image: RGB.
    """
    folder = getattr(backbone, "folder", None)
    if isinstance(folder, Path):
        processor = _processor(folder)
        pixels = processor(images=image, return_tensors="pt")["pixel_values"][0]
        return Reference(pixels, f"{type(processor).__name__} of transformers")
    stated = backbone.fingerprint.preprocessing
    if set(stated) == _STATED:
        return Reference(_from_numbers(image, stated), "computed from the numbers that it states")
    return None


@lru_cache(maxsize=1)
def _processor(folder: Path) -> Any:
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True)


def _from_numbers(image: Image.Image, stated: Mapping[str, Any]) -> Tensor:
    side, crop = stated["resize_shorter_side_px"], stated["centre_crop_px"]
    resampling = Image.Resampling[stated["filter"].upper()]
    shorter = min(image.size)
    width, height = (max(side, round(length * side / shorter)) for length in image.size)
    scaled = np.asarray(image.resize((width, height), resampling), dtype=np.float64)
    left, top = (width - crop) // 2, (height - crop) // 2
    window = scaled[top : top + crop, left : left + crop] / 255
    return torch.from_numpy(((window - stated["mean"]) / stated["std"]).transpose(2, 0, 1))
