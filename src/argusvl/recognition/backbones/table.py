"""The one table of backbones, and how a user names one.

A backbone is named by its name, and where its weights may lie in several places by ``NAME:PLACE``:

- ``efficientnet-lite0``: the packaged weights; ``efficientnet-lite0:FILE`` another state dict of the same network.
- ``clip-vit-b32``, ``resnet50``, ``dinov2-base``, ``siglip2-base``: the published weights by their id on the hub;
  ``clip-vit-b32:FOLDER`` a folder in hub layout, ``clip-vit-b32:OWNER/MODEL`` another model of the same kind.
- ``timm:MODEL``: any model of timm with its published weights; ``timm:MODEL:FILE`` with those of a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from argus_doctor.wording import did_you_mean
from argusvl.core.devices import usable_device
from argusvl.core.errors import ConfigError
from argusvl.core.files import user_path
from argusvl.recognition.backbones.protocol import Backbone

if TYPE_CHECKING:
    import torch


def load_backbone(spec: str, *, device: str | torch.device = "cpu") -> Backbone:
    """The backbone that a user named, as the module says, ready to compute.

    Raises:
        ConfigError: No backbone has this name, or the device cannot be used.
        CheckpointError: Its weights are missing, damaged, or another model's.
        ArgusError: An extra that it needs is not installed.
    """
    name, _, place = spec.partition(":")
    if name not in _NAMES:
        raise ConfigError(
            f"unknown backbone {spec!r}{did_you_mean(name, _NAMES)}",
            remedy=f"use one of {', '.join(known_backbones())}",
        )
    where = usable_device(device)
    # Imported where it is needed: each brings libraries that the others do without.
    if name == "efficientnet-lite0":
        from argusvl.recognition.backbones.efficientnet_lite import EfficientNetLite0Backbone

        return EfficientNetLite0Backbone(place or None, device=where)
    if name == "clip-vit-b32":
        from argusvl.recognition.backbones.clip import ClipBackbone

        return ClipBackbone(place or None, device=where)
    if name == "timm":
        from argusvl.recognition.backbones.timm_models import TimmBackbone

        if not place:
            raise ConfigError("timm: without a model", remedy="write timm:MODEL, e.g. timm:resnet18.a1_in1k")
        model, _, file = place.partition(":")
        return TimmBackbone(model, file or None, device=where)
    from argusvl.recognition.backbones.transformers_models import TransformersBackbone

    return TransformersBackbone(name, place or None, device=where)


def absolute_spec(spec: str) -> str:
    """The same backbone, named so that it is found from any working directory: a folder or file by its whole path."""
    before, colon, place = spec.rpartition(":")
    path = user_path(place) if colon and place else None
    return f"{before}:{path.absolute()}" if path is not None and path.exists() else spec


def known_backbones() -> tuple[str, ...]:
    """What may be written as a backbone, for help texts."""
    return tuple("timm:MODEL" if name == "timm" else name for name in _NAMES)


_NAMES = ("efficientnet-lite0", "clip-vit-b32", "resnet50", "dinov2-base", "siglip2-base", "timm")
