"""What every backbone is: its own preprocessing, one vector a picture, and a fingerprint of what made the vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor


@dataclass(frozen=True)
class BackboneFingerprint:
    """What decides the vectors; two backbones whose fingerprints are equal give the same ones.

    Attributes:
        backbone: Name in the table.
        weights_sha256: Of the weights' file, of the files one after the other in the order of their names, or, where a
            library keeps its files to itself, of the parameters with their names.
        preprocessing: Every number of it, JSON-ready: sizes, crop, filter, mean, standard deviation.
        pooling: How a vector comes from the last feature map or the tokens.
        dtype: Of the computation.
        libraries: Name → version of those that compute.
    """

    backbone: str
    weights_sha256: str
    preprocessing: Mapping[str, Any]
    pooling: str
    dtype: str
    libraries: Mapping[str, str]


class Backbone(Protocol):
    """A frozen network that gives one vector for a picture.

    Attributes:
        name: In the table of backbones.
        dimension: Of its vectors.
        decode_side_px: The shorter side to which its preprocessing brings a picture: the scaled lane of decoding need
            not give more.
        device: Where it computes.
        fingerprint: What decides its vectors.
    """

    name: str
    dimension: int
    decode_side_px: int
    device: torch.device
    fingerprint: BackboneFingerprint

    def preprocess(self, image: Image.Image) -> Tensor:
        """An RGB picture of any size → float32 ``[3, H, W]`` on the CPU; the size is the same for every picture."""
        ...

    def embed(self, batch: Tensor) -> Tensor:
        """Float32 ``[N, 3, H, W]`` → float32 ``[N, dimension]`` on the CPU, not normalised, without a graph."""
        ...


@runtime_checkable
class Classifying(Protocol):
    """A backbone whose network has a linear classifier of its own, on its vectors."""

    @property
    def class_weights(self) -> Tensor:
        """``[classes, D]``."""
        ...

    def logits_of(self, vectors: Tensor) -> Tensor:
        """``[N, D]`` → ``[N, classes]``."""
        ...
