"""A tiny backbone that meets the protocol, and folders of small pictures."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from argusvl.recognition.backbones.protocol import BackboneFingerprint

sys.path.insert(0, str(Path(__file__).parent))

SIDE = 8


class TinyBackbone:
    """Shrinks a picture to 8×8 pixels and multiplies them by a fixed matrix."""

    name = "tiny"
    decode_side_px = SIDE

    def __init__(self, dimension: int = 6, *, weights: str = "a" * 64, libraries: str = "1.0") -> None:
        self.dimension = dimension
        self.device = torch.device("cpu")
        self.fingerprint = BackboneFingerprint(
            backbone=self.name,
            weights_sha256=weights,
            preprocessing={"side_px": SIDE, "mean": (0.5, 0.5, 0.5)},
            pooling="none",
            dtype="float32",
            libraries={"torch": libraries},
        )
        seed = int(weights[:8], 16) % 2**31
        self.matrix = torch.randn(3 * SIDE * SIDE, dimension, generator=torch.Generator().manual_seed(seed))
        self.batches: list[int] = []

    def preprocess(self, image: Image.Image) -> Tensor:
        assert image.mode == "RGB"
        small = np.array(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float32)
        return torch.from_numpy(small).permute(2, 0, 1).contiguous() / 255 - 0.5

    def embed(self, batch: Tensor) -> Tensor:
        self.batches.append(len(batch))
        return batch.flatten(1) @ self.matrix


@pytest.fixture
def tiny() -> TinyBackbone:
    return TinyBackbone()


@pytest.fixture
def make_tiny() -> Callable[..., TinyBackbone]:
    """Makes backbones with other weights or versions."""
    return TinyBackbone


def picture_bytes(seed: int, size: tuple[int, int] = (12, 9), form: str = "PNG") -> bytes:
    """An encoded picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def write_photos(folder: Path, count: int, *, corrupt: tuple[int, ...] = ()) -> Path:
    """Small pictures ``000.png`` …; those in ``corrupt`` are cut off."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        data = picture_bytes(number)
        (folder / f"{number:03d}.png").write_bytes(data[: len(data) // 2] if number in corrupt else data)
    return folder


@pytest.fixture
def make_photos() -> Callable[..., Path]:
    """Writes a folder of small pictures."""
    return write_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten small pictures, number 4 is cut off."""
    return write_photos(tmp_path / "photos", 10, corrupt=(4,))
