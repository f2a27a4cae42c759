"""Small backbones that keep the protocol, and small pictures for them; imported by name, as ``interruptions`` is."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from argusvl.recognition.backbones.protocol import BackboneFingerprint

SIDE = 8
CLASSES = 12


class TinyBackbone:
    """Shrinks a picture to a square and multiplies its pixels by a fixed matrix."""

    pixels_a_side = SIDE

    def __init__(
        self, dimension: int = 6, side: int = SIDE, *, weights: str = "a" * 64, libraries: str = "1.0"
    ) -> None:
        self.name = "tiny"
        self.dimension = dimension
        self.decode_side_px = side
        self.device = torch.device("cpu")
        self.weights = weights
        self.fingerprint = BackboneFingerprint(
            backbone=self.name,
            weights_sha256=weights,
            preprocessing={"side_px": side, "mean": (0.5, 0.5, 0.5)},
            pooling="none",
            dtype="float32",
            libraries={"torch": libraries},
        )
        self.random = torch.Generator().manual_seed(int(weights[:8], 16) % 2**31)
        self.matrix = torch.randn(3 * self.pixels_a_side**2, dimension, generator=self.random)
        self.batches: list[int] = []

    def preprocess(self, image: Image.Image) -> Tensor:
        assert image.mode == "RGB"
        small = image.resize((self.decode_side_px, self.decode_side_px), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(small, dtype=np.float32)).permute(2, 0, 1).contiguous() / 255 - 0.5

    def embed(self, batch: Tensor) -> Tensor:
        self.batches.append(len(batch))
        return batch.flatten(1) @ self.matrix


class TinyNetwork(TinyBackbone):
    """One that takes other sizes and has logits; how many pictures it was given is counted."""

    pixels_a_side = 4

    def __init__(self, dimension: int = 24, side: int = SIDE, weights: str = "a" * 64) -> None:
        super().__init__(dimension, side, weights=weights)
        self.size_hw = (side, side)
        self.classifier = torch.randn(dimension, CLASSES, generator=self.random)
        self.pictures = 0

    def embed(self, batch: Tensor) -> Tensor:
        self.pictures += len(batch)
        small = torch.nn.functional.adaptive_avg_pool2d(batch, self.pixels_a_side)
        return torch.relu(super().embed(small)) + 0.01

    def at_side(self, side_px: int) -> TinyNetwork:
        return TinyNetwork(self.dimension, side_px, self.weights)

    @property
    def class_weights(self) -> Tensor:
        return self.classifier.T

    def logits_of(self, vectors: Tensor) -> Tensor:
        return vectors @ self.classifier


def passing(network: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The network; what it gives goes through a function."""
    real = network.embed
    network.embed = lambda pixels: change(real(pixels))
    return network


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def write(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def write_photos(folder: Path, count: int, *, corrupt: tuple[int, ...] = ()) -> Path:
    """Small pictures of noise, ``000.png`` …; those in ``corrupt`` are cut off."""
    for number in range(count):
        data = encoded(np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8))
        write(folder / f"{number:03d}.png", data[: len(data) // 2] if number in corrupt else data)
    return folder


def picture(label: str, number: int, size: tuple[int, int] = (12, 9)) -> bytes:
    """A PNG of noise around the class's colour; the same for the same class and number."""
    seed = zlib.crc32(label.encode("utf-8"))
    colour = np.random.default_rng(seed).integers(40, 216, 3)
    noise = np.random.default_rng([seed, number]).normal(0, 40, (size[1], size[0], 3))
    return encoded(np.clip(colour + noise, 0, 255).astype(np.uint8))


def opened(data: bytes) -> Image.Image:
    """The picture of some bytes."""
    return Image.open(io.BytesIO(data)).convert("RGB")


def write_classes(folder: Path, classes: Mapping[str, range]) -> dict[str, list[Path]]:
    """Pictures in a folder for each class, which has these numbers; class → files."""
    return {
        label: [write(folder / label / f"{n:02d}.png", picture(label, n)) for n in numbers]
        for label, numbers in classes.items()
    }


def make_category(
    data: Path, name: str = "fruit", classes: Mapping[str, int] | None = None, queries: int = 6
) -> Path:
    """``data/<name>`` in the schema; ``classes`` is class → shots."""
    for label, shots in (classes or {"apple": 4, "pear": 4, "plum": 4}).items():
        for shot in range(1, shots + 1):
            file = data / name / "2.support-set" / f"Class_{label}" / f"shot{shot}" / "a.png"
            write(file, picture(label, shot))
        for number in range(queries):
            write(data / name / "6.preprocessed" / label / f"q{number}.png", picture(label, 100 + number))
    return data
