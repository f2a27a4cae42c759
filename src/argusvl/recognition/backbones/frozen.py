"""What every frozen network does in the same way: checks its input, runs without a graph, hands float32 to the CPU."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from argusvl.core.errors import CheckpointError, ModelError
from argusvl.core.files import open_file
from argusvl.core.precision import full_precision
from argusvl.core.wording import first_line
from argusvl.recognition.backbones.protocol import BackboneFingerprint

CANNOT_LOAD = (
    *(OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, EOFError),
    *(pickle.UnpicklingError, SafetensorError),
)
"""What libraries raise for weights and descriptions that are damaged or of another model."""


@contextlib.contextmanager
def loading(what: str, where: object, remedy: str) -> Iterator[None]:
    """Tells what a library raises inside as a ``CheckpointError``: what is wrong, and the first line of why."""
    try:
        yield
    except CANNOT_LOAD as error:
        raise CheckpointError(f"{what}: {first_line(error)}", where=where, remedy=remedy) from None


class FrozenBackbone(ABC):
    """The common part of our backbones; a subclass says how pictures become pixels and pixels become vectors.

    The attributes are those of :class:`~argusvl.recognition.backbones.protocol.Backbone`, and ``size_hw``, height and
    width of the input. The fingerprint has the versions of ``libraries``, and what is given as in
    :class:`~argusvl.recognition.backbones.protocol.BackboneFingerprint`.
    """

    def __init__(
        self,
        *,
        name: str,
        dimension: int,
        size_hw: tuple[int, int],
        decode_side_px: int,
        device: torch.device,
        weights_sha256: str,
        preprocessing: Mapping[str, Any],
        pooling: str,
        libraries: Sequence[str],
    ) -> None:
        self.name = name
        self.dimension = dimension
        self.size_hw = size_hw
        self.decode_side_px = decode_side_px
        self.device = device
        self.fingerprint = BackboneFingerprint(
            backbone=name,
            weights_sha256=weights_sha256,
            preprocessing=preprocessing,
            pooling=pooling,
            dtype="float32",
            libraries=library_versions(*libraries),
        )

    @abstractmethod
    def _pixels(self, image: Image.Image) -> Tensor:
        """An RGB picture → float32 ``[3, H, W]``."""

    @abstractmethod
    def _vectors(self, batch: Tensor) -> Tensor:
        """``[N, 3, H, W]`` on the device → ``[N, dimension]``."""

    def preprocess(self, image: Image.Image) -> Tensor:
        """An RGB picture of any size → float32 ``[3, H, W]`` on the CPU.

        Raises:
            ModelError: The picture is not RGB.
        """
        if image.mode != "RGB":
            raise ModelError(
                f"{self.name} takes RGB pictures, this one has the mode {image.mode}",
                remedy="open the file with argusvl.core.images.open_image, which converts any mode",
            )
        return self._pixels(image)

    def embed(self, batch: Tensor) -> Tensor:
        """Float32 ``[N, 3, H, W]`` → float32 ``[N, dimension]`` on the CPU, not normalised, without a graph.

        Raises:
            ModelError: The batch has another shape or another dtype.
        """
        height, width = self.size_hw
        if batch.ndim != 4 or tuple(batch.shape[1:]) != (3, height, width) or batch.dtype != torch.float32:
            raise ModelError(
                f"{self.name} takes float32 [N, 3, {height}, {width}], got {batch.dtype} {list(batch.shape)}",
                remedy="stack what its own preprocess() gives",
            )
        if len(batch) == 0:  # which some networks cannot reshape
            return torch.empty(0, self.dimension)
        with torch.inference_mode(), full_precision():
            vectors = self._vectors(batch.to(self.device)).to("cpu", torch.float32)
        return vectors.clone()  # an ordinary tensor: one from inference mode could not train a linear probe


def weights_sha256(files: Iterable[Path]) -> str:
    """SHA-256 of files one after the other, in the order of their names, in hexadecimal digits.

    Raises:
        CheckpointError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda f: f.name):
        try:
            with open_file(file) as stream:
                hashlib.file_digest(stream, lambda: digest)
        except OSError as error:
            raise CheckpointError(
                f"the weights cannot be read: {error.strerror}",
                where=file,
                remedy="check the path and its permissions",
            ) from None
    return digest.hexdigest()


def library_versions(*packages: str) -> dict[str, str]:
    """Version of each installed package by its name."""
    return {package: metadata.version(package) for package in packages}
