"""Several views of a picture in one vector: mirrored, and at a second size where the network takes one.

A viewed backbone is a backbone like any other: extraction, stores and fingerprints need not know that its vectors are
those of several views, one after the other.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Protocol, Self, runtime_checkable

import torch
from PIL import Image
from torch import Tensor

from argusvl.core.errors import ConfigError
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.backbones.table import load_backbone

SECOND_SIZE = 5 / 7
"""The second side as a share of the backbone's own: 160 of 224 pixels."""

VIEWS = ("one", "two", "four")
"""The backbone's own view; that and its mirror image; and both at :data:`SECOND_SIZE` as well, where it can take it."""


@runtime_checkable
class Resizable(Protocol):
    """A backbone that takes pictures of other sizes."""

    size_hw: tuple[int, int]

    def at_side(self, side_px: int) -> Self:
        """The same network for square pictures of this side."""
        ...


def with_views(backbone: Backbone, views: str) -> Backbone:
    """A backbone whose vectors hold those of several views of a picture.

    Args:
        backbone: Gives the vector of a view.
        views: One of :data:`VIEWS`; with ``one`` the backbone comes back as it is.

    Raises:
        ConfigError: There are no such views.
    """
    if views not in VIEWS:
        raise ConfigError(f"unknown views {views!r}", remedy=f"use one of {', '.join(VIEWS)}")
    if views == "one":
        return backbone
    parts = [backbone]
    if views == "four" and isinstance(backbone, Resizable):
        parts.append(backbone.at_side(round(backbone.size_hw[0] * SECOND_SIZE)))
    return ViewedBackbone(parts)


def load_with_views(spec: str, views: str, *, device: str) -> Backbone:
    """The same from the name of a backbone, as :func:`~argusvl.recognition.backbones.table.load_backbone` takes it."""
    return with_views(load_backbone(spec, device=device), views)


def own_view(backbone: Backbone) -> Backbone:
    """The backbone that gives the first view: whose network it is, whatever the views."""
    return backbone.parts[0] if isinstance(backbone, ViewedBackbone) else backbone


class ViewedBackbone:
    """Backbones of one network and different sizes, each on a picture and its mirror image.

    A picture's vectors are computed apart from those of the pictures beside it: to the last bit, they do not depend on
    what else is in the batch. So a table is the same whether vectors were at hand already or not.

    Args:
        parts: Each gives the vectors of two views; the first one's name and device are those of all.
    """

    def __init__(self, parts: list[Backbone]) -> None:
        first = parts[0]
        self.parts = parts
        self.views = 2 * len(parts)
        self.name = first.name
        self.dimension = self.views * first.dimension
        self.decode_side_px = max(part.decode_side_px for part in parts)
        self.device = first.device
        sizes = [dict(part.fingerprint.preprocessing) for part in parts]
        self.fingerprint = replace(
            first.fingerprint, preprocessing={"views": sizes, "mirrored": "each of these as well"}
        )
        blank = Image.new("RGB", (self.decode_side_px, self.decode_side_px))
        self._shapes = [tuple(part.preprocess(blank).shape) for part in parts]

    def preprocess(self, image: Image.Image) -> Tensor:
        """An RGB picture → float32 ``[3, 1, P]``, the pixels of all sizes in a row; mirroring is done later."""
        return torch.cat([part.preprocess(image).reshape(3, 1, -1) for part in self.parts], dim=2)

    def embed(self, batch: Tensor) -> Tensor:
        """Float32 ``[N, 3, 1, P]`` → float32 ``[N, views · D]`` on the CPU."""
        found = []
        for picture in batch:
            rows = picture[:, 0].split([prod(shape[1:]) for shape in self._shapes], dim=1)
            for part, pixels, shape in zip(self.parts, rows, self._shapes, strict=True):
                view = pixels.reshape(shape)
                found.append(part.embed(torch.stack([view, view.flip(-1)])).flatten())
        return torch.cat(found).reshape(len(batch), self.dimension)
