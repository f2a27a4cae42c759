"""The one table of backbones, and how a user names one.

A backbone is named by its name, and where its weights may lie in several places by ``NAME:PLACE``:

- ``efficientnet-lite0``: the packaged weights; ``efficientnet-lite0:FILE`` another state dict of the same network.
- ``clip-vit-b32``, ``resnet50``, ``dinov2-base``, ``siglip2-base``: the published weights by their id on the hub;
  ``clip-vit-b32:FOLDER`` a folder in hub layout, ``clip-vit-b32:OWNER/MODEL`` another model of the same kind.
- ``timm:MODEL``: any model of timm with its published weights; ``timm:MODEL:FILE`` with those of a file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from argus_doctor.wording import did_you_mean
from argusvl.core.devices import usable_device
from argusvl.core.errors import ConfigError
from argusvl.core.files import user_path
from argusvl.recognition.backbones.protocol import Backbone

if TYPE_CHECKING:
    import torch


def load_backbone(spec: str, *, device: str | torch.device = "cpu") -> Backbone:
    """The backbone that a user named, ready to compute.

    Args:
        spec: ``NAME`` or ``NAME:PLACE``, as the module says.
        device: Where it computes.

    Raises:
        ConfigError: No backbone has this name, or the device cannot be used.
        CheckpointError: Its weights are missing, damaged, or another model's.
        ArgusError: An extra that it needs is not installed.
    """
    name, _, place = spec.partition(":")
    if name not in _LOADERS:
        raise ConfigError(
            f"unknown backbone {spec!r}{did_you_mean(name, _LOADERS)}",
            remedy=f"use one of {', '.join(known_backbones())}",
        )
    return _LOADERS[name](place or None, usable_device(device))


def absolute_spec(spec: str) -> str:
    """The same backbone, named so that it is found from any working directory: a folder or file by its whole path."""
    before, colon, place = spec.rpartition(":")
    path = user_path(place) if colon and place else None
    return f"{before}:{path.absolute()}" if path is not None and path.exists() else spec


def known_backbones() -> tuple[str, ...]:
    """What may be written as a backbone, for help texts."""
    return tuple("timm:MODEL" if name == "timm" else name for name in _LOADERS)


def _efficientnet_lite0(place: str | None, device: torch.device) -> Backbone:
    from argusvl.recognition.backbones.efficientnet_lite import EfficientNetLite0Backbone

    return EfficientNetLite0Backbone(place, device=device)


def _clip(place: str | None, device: torch.device) -> Backbone:
    from argusvl.recognition.backbones.clip import ClipBackbone

    return ClipBackbone(place, device=device)


def _of_family(name: str) -> Callable[[str | None, torch.device], Backbone]:
    def load(place: str | None, device: torch.device) -> Backbone:
        from argusvl.recognition.backbones.transformers_models import TransformersBackbone

        return TransformersBackbone(name, place, device=device)

    return load


def _timm(place: str | None, device: torch.device) -> Backbone:
    from argusvl.recognition.backbones.timm_models import TimmBackbone

    if place is None:
        raise ConfigError("timm: without a model", remedy="write timm:MODEL, e.g. timm:resnet18.a1_in1k")
    model, _, file = place.partition(":")
    return TimmBackbone(model, file or None, device=device)


_LOADERS: dict[str, Callable[[str | None, torch.device], Backbone]] = {
    "efficientnet-lite0": _efficientnet_lite0,
    "clip-vit-b32": _clip,
    "resnet50": _of_family("resnet50"),
    "dinov2-base": _of_family("dinov2-base"),
    "siglip2-base": _of_family("siglip2-base"),
    "timm": _timm,
}
