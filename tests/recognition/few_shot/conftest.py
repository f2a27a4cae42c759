"""Small data folders whose classes differ in colour, so that a tiny backbone tells them apart."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from argusvl.recognition.backbones.protocol import BackboneFingerprint

SIDE = 8
CLASSES = 12


class TinyNetwork:
    """Shrinks a picture to a square and multiplies its pixels by a fixed matrix; takes other sizes, has logits."""

    def __init__(self, dimension: int = 24, side: int = SIDE, weights: str = "a" * 64) -> None:
        self.name = "tiny"
        self.dimension = dimension
        self.decode_side_px = side
        self.size_hw = (side, side)
        self.device = torch.device("cpu")
        self.weights = weights
        self.fingerprint = BackboneFingerprint(
            backbone=self.name,
            weights_sha256=weights,
            preprocessing={"side_px": side},
            pooling="none",
            dtype="float32",
            libraries={"torch": torch.__version__},
        )
        generator = torch.Generator().manual_seed(int(weights[:8], 16) % 2**31)
        self.matrix = torch.randn(3 * 4 * 4, dimension, generator=generator)
        self.classifier = torch.randn(dimension, CLASSES, generator=generator)
        self.pictures = 0

    def preprocess(self, image: Image.Image) -> Tensor:
        assert image.mode == "RGB"
        small = np.array(image.resize(self.size_hw, Image.Resampling.BILINEAR), dtype=np.float32)
        return torch.from_numpy(small).permute(2, 0, 1).contiguous() / 255 - 0.5

    def embed(self, batch: Tensor) -> Tensor:
        self.pictures += len(batch)
        small = torch.nn.functional.adaptive_avg_pool2d(batch, 4)
        return torch.relu(small.flatten(1) @ self.matrix) + 0.01

    def at_side(self, side_px: int) -> TinyNetwork:
        return TinyNetwork(self.dimension, side_px, self.weights)

    @property
    def class_weights(self) -> Tensor:
        return self.classifier.T

    def logits_of(self, vectors: Tensor) -> Tensor:
        return vectors @ self.classifier


def picture(label: str, number: int, size: tuple[int, int] = (12, 9)) -> bytes:
    """A PNG of noise around the class's colour; the same for the same class and number."""
    colour = np.random.default_rng(zlib.crc32(label.encode("utf-8"))).integers(40, 216, 3)
    noise = np.random.default_rng([zlib.crc32(label.encode("utf-8")), number]).normal(
        0, 40, (size[1], size[0], 3)
    )
    stream = io.BytesIO()
    Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def opened(data: bytes) -> Image.Image:
    """The picture of some bytes."""
    return Image.open(io.BytesIO(data)).convert("RGB")


def write(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


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


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One category of three classes with four shots and six queries each."""
    return make_category(tmp_path / "data")


@pytest.fixture
def network() -> TinyNetwork:
    return TinyNetwork()


@pytest.fixture
def tiny_backbone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[TinyNetwork]:
    """The commands find the tiny network as ``tiny`` and ``tiny:b``, and a cache of their own; what they loaded."""
    loaded: list[TinyNetwork] = []

    def load(spec: str, *, device: Any = "cpu") -> TinyNetwork:
        if not spec.startswith("tiny"):
            return real(spec, device=device)  # type: ignore[no-any-return]
        loaded.append(TinyNetwork(side=14, weights=(spec.partition(":")[2] or "a") * 64))
        return loaded[-1]

    import argusvl.recognition.backbones.views as views

    real: Any = views.load_backbone
    monkeypatch.setattr(views, "load_backbone", load)
    monkeypatch.setenv("ARGUS_CACHE", str(tmp_path / "cache"))
    return loaded


@pytest.fixture(scope="session")
def few_shot() -> SimpleNamespace:
    """What makes data folders."""
    makers = {"make_category": make_category, "picture": picture, "opened": opened, "write": write}
    return SimpleNamespace(**makers, TinyNetwork=TinyNetwork, SIDE=SIDE)
