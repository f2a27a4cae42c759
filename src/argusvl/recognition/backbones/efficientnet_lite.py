"""EfficientNet-Lite0 on the weights that a Python package carries: the backbone that needs no hub."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from argusvl.core.errors import ModelError
from argusvl.core.files import user_path
from argusvl.core.precision import full_precision
from argusvl.networks.efficientnet_lite import DIMENSION, LAYOUT, MEAN, STD, load_network, packaged_weights
from argusvl.recognition.backbones.frozen import FrozenBackbone, weights_sha256

NAME = "efficientnet-lite0"

RESIZE_PX = 224
CROP_PX = 224
_STRIDE_PX = 32
"""Of the last feature map's places in the picture."""


class EfficientNetLite0Backbone(FrozenBackbone):
    """EfficientNet-Lite0 as a backbone.

    Args:
        weights: A state dict with the keys of the packaged file; the packaged file itself when ``None``.
        device: Where it computes.

    Raises:
        CheckpointError: The file is missing, damaged, or no EfficientNet-Lite0.
    """

    def __init__(self, weights: str | Path | None = None, *, device: torch.device) -> None:
        file = packaged_weights() if weights is None else user_path(str(weights))
        super().__init__(
            name=NAME,
            dimension=DIMENSION,
            size_hw=(CROP_PX, CROP_PX),
            decode_side_px=RESIZE_PX,
            device=device,
            weights_sha256=weights_sha256([file]),
            preprocessing={
                "resize_shorter_side_px": RESIZE_PX,
                "filter": "bilinear",
                "centre_crop_px": CROP_PX,
                "mean": list(MEAN),
                "std": list(STD),
            },
            pooling="mean over the places of the last feature map",
            libraries=("pillow", "torch"),
        )
        self._network = load_network(file).fold_norms().to(device)

    def at_side(self, side_px: int) -> Self:
        """The same network for pictures of another side, with a fingerprint of its own; the weights are shared.

        It is convolutional and takes any multiple of 32 pixels. Objects that fill the picture look, in a smaller one,
        more as they did in training, where they were cropped at random (Touvron et al., 2019, arXiv 1906.06423).

        Raises:
            ModelError: The side is no multiple of 32.
        """
        if side_px < _STRIDE_PX or side_px % _STRIDE_PX:
            raise ModelError(
                f"{self.name} cannot take pictures of {side_px} pixels",
                remedy=f"choose a multiple of {_STRIDE_PX}",
            )
        other = copy.copy(self)
        other.size_hw = (side_px, side_px)
        other.decode_side_px = side_px
        other.fingerprint = replace(
            self.fingerprint,
            preprocessing={
                **self.fingerprint.preprocessing,
                "resize_shorter_side_px": side_px,
                "centre_crop_px": side_px,
            },
        )
        return other

    def logits_of(self, vectors: Tensor) -> Tensor:
        """Vectors that :meth:`embed` gave, ``[N, 1280]`` → logits of ImageNet's 1000 classes on the CPU, ``[N, 1000]``.

        Raises:
            ModelError: The vectors have another shape or another dtype.
        """
        if vectors.ndim != 2 or vectors.shape[1] != DIMENSION or vectors.dtype != torch.float32:
            raise ModelError(
                f"logits come from float32 [N, {DIMENSION}], got {vectors.dtype} {list(vectors.shape)}",
                remedy="give what embed() gave",
            )
        with torch.inference_mode(), full_precision():
            logits = self._network.classify(vectors.to(self.device)).to("cpu")
        return logits.clone()

    @property
    def class_weights(self) -> Tensor:
        """Of the classifier behind :meth:`logits_of`, ``[1000, 1280]``."""
        return self._network.class_weights.detach().to("cpu")

    def _pixels(self, image: Image.Image) -> Tensor:
        width, height = image.size
        shorter, side = self.decode_side_px, self.size_hw[0]
        scale = shorter / min(width, height)
        size = (max(shorter, round(width * scale)), max(shorter, round(height * scale)))
        left, top = (size[0] - side) // 2, (size[1] - side) // 2
        crop = image.resize(size, Image.Resampling.BILINEAR).crop((left, top, left + side, top + side))
        pixels = torch.from_numpy(np.array(crop)).permute(2, 0, 1).contiguous().float().div_(255)
        return pixels.sub_(torch.tensor(MEAN)[:, None, None]).div_(torch.tensor(STD)[:, None, None])

    def _vectors(self, batch: Tensor) -> Tensor:
        return self._network(batch.contiguous(memory_format=LAYOUT))
