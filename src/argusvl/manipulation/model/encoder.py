"""Pixels → feature maps of strides 4, 8, 16, 32: by a small network trained here, EfficientNet-Lite0 or a hub ViT."""

from __future__ import annotations

import inspect
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, PreTrainedConfig

from argusvl.core.errors import CheckpointError, ConfigError
from argusvl.core.weight_files import check_finite
from argusvl.core.wording import first_line
from argusvl.manipulation.data.dataset import MEAN, STD
from argusvl.manipulation.model.configuration import EFFICIENTNET, HUB, HandConfig
from argusvl.manipulation.model.layers import Down, Residual, SelfAttentionLayer, places_xy, sine_positions
from argusvl.networks.efficientnet_lite import (
    LAYOUT,
    STAGES,
    EfficientNetLite0,
    load_network,
    packaged_weights,
    renormalised,
)


class SmallEncoder(nn.Module):
    """Convolutions down to strides 4, 8, 16 and 32, with attention over all places at stride 16."""

    def __init__(self, config: HandConfig) -> None:
        super().__init__()
        channels = self.channels = config.encoder_channels
        self.stem = nn.ModuleList(Down(a, b) for a, b in pairwise([3, *channels[:2]]))
        self.to_8 = nn.Sequential(Down(channels[1], channels[2]), Residual(channels[2]))
        self.to_16 = nn.Sequential(Down(channels[2], channels[3]), Residual(channels[3]))
        layers = (SelfAttentionLayer(config, channels[3]) for _ in range(config.encoder_layers))
        self.layers = nn.ModuleList(layers)
        self.to_32 = Down(channels[3], channels[4])
        self.positions = config.positions
        self.frozen = config.encoder_frozen_stages
        self.freeze()

    def freeze(self) -> None:
        """Takes the first levels out of training."""
        levels = [*self.stem, self.to_8, nn.ModuleList([self.to_16, self.layers]), self.to_32]
        nn.ModuleList(levels[: self.frozen]).requires_grad_(False)

    @property
    def widths(self) -> list[int]:
        """Channels of the maps."""
        return self.channels[1:]

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """``[B, 3, S, S]`` → the four maps, ``[B, C, h, w]``."""
        x = pixels.contiguous(memory_format=LAYOUT)
        for down in self.stem:
            x = down(x)
        fine = self.to_8(x)
        middle = self.to_16(fine)
        height, width = middle.shape[2:]
        tokens = middle.flatten(2).transpose(1, 2)
        positions = sine_positions(places_xy(middle), tokens.shape[-1]) if self.positions else 0.0
        for layer in self.layers:
            tokens = layer(tokens, positions)
        middle = tokens.transpose(1, 2).unflatten(2, (height, width))
        return [x, fine, middle, self.to_32(middle)]


class EfficientNetEncoder(nn.Module):
    """EfficientNet-Lite0 with its norms folded into the convolutions: running statistics, never those of a batch."""

    def __init__(self, config: HandConfig) -> None:
        super().__init__()
        self.network = EfficientNetLite0().without_classifier(config.encoder_stages).fold_norms()
        self.ends = [stage for stage in (1, 2, 4, 6) if stage < config.encoder_stages]
        self.widths = [STAGES[stage][-1] for stage in self.ends]
        self.frozen = config.encoder_frozen_stages
        self.freeze()

    def freeze(self) -> None:
        """Takes the first stages out of training."""
        self.network.freeze_stages(self.frozen)

    def load_packaged(self) -> None:
        """Takes the weights that were trained on ImageNet."""
        packaged = load_network(packaged_weights()).without_classifier(len(self.network.stages)).fold_norms()
        self.network.load_state_dict(packaged.state_dict())

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """As :meth:`SmallEncoder.forward`; with five stages without the last map."""
        # From the normalisation of the batch to the one that the weights know.
        pixels = renormalised(pixels, MEAN, STD)
        maps = self.network.feature_maps(pixels.contiguous(memory_format=LAYOUT))
        return [maps[stage] for stage in self.ends]


class HubEncoder(nn.Module):
    """Any ViT of the hub that gives its layers' states: those at a third, two thirds and the end of its depth.
    That at a third makes both of the finer maps.

    Its positions are interpolated to the crop's patches. The crop is resized where the patch does not divide it.
    """

    def __init__(self, config: HandConfig) -> None:
        super().__init__()
        assert config.encoder_config is not None
        sizes = config.encoder_config
        self.patch = _patch_size(sizes)
        self.network = AutoModel.from_config(sizes)
        depth = sizes.num_hidden_layers
        self.chosen = [max(1, depth // 3)] * 2 + [max(1, 2 * depth // 3), depth]
        self.widths = [sizes.hidden_size] * 4
        self.positions = config.positions
        # Some models need to be told.
        known = inspect.signature(self.network.forward).parameters
        self.told = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in known else {}
        self.frozen = config.encoder_frozen_stages
        if not config.positions:
            self.zero_positions()
        self.freeze()

    def freeze(self) -> None:
        """Takes the first layers out of training, and positions that are to stay zero."""
        if not self.positions:
            for parameter in self._position_embeddings():
                parameter.requires_grad_(False)
        if self.frozen:
            depth = self.network.config.num_hidden_layers
            stacks = (m for m in self.network.modules() if isinstance(m, nn.ModuleList) and len(m) == depth)
            frozen = nn.ModuleList([self.network.embeddings, *next(stacks)[: self.frozen]])
            frozen.requires_grad_(False)

    @torch.no_grad()
    def zero_positions(self) -> None:
        """Makes all places alike."""
        for parameter in self._position_embeddings():
            parameter.zero_()

    def _position_embeddings(self) -> list[nn.Parameter]:
        return [p for name, p in self.network.named_parameters() if "position_embedding" in name]

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """As :meth:`SmallEncoder.forward`; strides are a quarter of, half, one and two patches."""
        side = max(1, round(pixels.shape[-1] / self.patch))
        if pixels.shape[-1] != side * self.patch:
            pixels = F.interpolate(pixels, size=(side * self.patch,) * 2, mode="bilinear", antialias=True)
        states = self.network(pixel_values=pixels, output_hidden_states=True, **self.told).hidden_states
        maps = []
        for layer, scale in zip(self.chosen, (4.0, 2.0, 1.0, 0.5), strict=True):
            # Class and register tokens stand before the patches.
            places = states[layer][:, -side * side :].transpose(1, 2).unflatten(2, (side, side))
            size = max(1, round(side * scale))
            if size != side:
                places = F.interpolate(places, size=(size, size), mode="bilinear")
            maps.append(places)
        return maps


def build_encoder(config: HandConfig) -> SmallEncoder | EfficientNetEncoder | HubEncoder:
    """The encoder that a configuration names, with random weights."""
    if config.encoder == HUB:
        return HubEncoder(config)
    return EfficientNetEncoder(config) if config.encoder == EFFICIENTNET else SmallEncoder(config)


def hub_config(folder: Path) -> PreTrainedConfig:
    """The configuration of a ViT in a folder of the hub's layout.

    Raises:
        CheckpointError: There is none that transformers knows.
        ConfigError: It is no plain ViT.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"no model of the hub: {first_line(error)}",
            where=folder,
            remedy="give the folder that holds config.json and model.safetensors of a ViT, e.g. of DINOv2",
        ) from None
    _patch_size(config)
    return config


def load_hub_weights(encoder: HubEncoder, folder: Path) -> None:
    """Takes the weights of the folder.

    Raises:
        CheckpointError: They are missing or do not fit.
    """
    try:
        network, info = AutoModel.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"the weights cannot be read: {first_line(error)}", where=folder, remedy="copy the folder again"
        ) from None
    lacking = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    if lacking:
        raise CheckpointError(
            f"weights are missing: {', '.join(lacking[:3])}", where=folder, remedy="copy the folder again"
        )
    check_finite(network.named_parameters(), folder)
    encoder.network.load_state_dict(network.state_dict())
    if not encoder.positions:
        encoder.zero_positions()


def _patch_size(config: PreTrainedConfig) -> int:
    patch = getattr(config, "patch_size", None)
    if isinstance(patch, int) and isinstance(getattr(config, "num_hidden_layers", None), int):
        return patch
    raise ConfigError(
        f"a model of the type {config.model_type!r} is no plain ViT: it has no patch_size or no num_hidden_layers",
        where="encoder",
        remedy="give a ViT, e.g. DINOv2, or one of the encoders small and efficientnet-lite0",
    )
