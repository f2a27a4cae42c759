"""The adapter for timm, with a stand-in for it: its API is used as it is, and weights are all there or refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from argusvl.core.errors import ArgusError, CheckpointError, ConfigError
from argusvl.recognition.backbones.table import load_backbone


@pytest.fixture
def network(fake_timm: Any) -> torch.nn.Module:
    """Trained, so that its norm differs between training and evaluation; its classifier knows seven classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = fake_timm.create_model("small_net", num_classes=7)
        network(torch.randn(8, 3, 16, 16) * 3 + 1)
    return network.eval()


def without_classifier(network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network.norm(network.conv(pixels)).relu().mean(dim=(2, 3))


def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ArgusError, match="timm cannot be imported") as raised:
        load_backbone("timm:resnet18")
    assert "pip install 'argusvl[timm]'" in str(raised.value)


@pytest.mark.parametrize("form", ["state dict", "safetensors", "checkpoint of a training", "averaged"])
def test_vectors_are_those_before_the_classifier(
    network: torch.nn.Module, pictures: list[Image.Image], tmp_path: Path, form: str
) -> None:
    state = network.state_dict()
    noise = {name: torch.zeros_like(value) for name, value in state.items()}
    file = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, file)
    elif form == "state dict":
        torch.save(state, file)
    elif form == "averaged":
        torch.save({"state_dict": noise, "state_dict_ema": state, "epoch": 3}, file)
    else:
        torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, file)
    backbone = load_backbone(f"timm:small_net:{file}")
    batch = torch.stack([backbone.preprocess(image) for image in pictures])
    assert batch.dtype == torch.float32
    assert (backbone.name, backbone.dimension, backbone.decode_side_px) == ("timm:small_net", 10, 19)
    torch.testing.assert_close(backbone.embed(batch), without_classifier(network, batch))
    assert backbone.fingerprint.preprocessing["mean"] == [0.4, 0.5, 0.6]


def test_published_weights_come_with_a_classifier(fake_timm: Any, pictures: list[Image.Image]) -> None:
    source = fake_timm.create_model("small_net")
    fake_timm.published = source.state_dict()
    backbone = load_backbone("timm:small_net")
    batch = backbone.preprocess(pictures[0])[None]
    torch.testing.assert_close(backbone.embed(batch), without_classifier(source.eval(), batch))


def test_published_weights_that_cannot_be_had_are_an_error(fake_timm: Any) -> None:
    with pytest.raises(
        CheckpointError, match="timm:small_net: timm has no weights for it: No pretrained"
    ) as raised:
        load_backbone("timm:small_net")
    assert "timm:small_net:FILE" in str(raised.value)


def test_an_unknown_model_is_named_with_the_nearest_one(fake_timm: Any) -> None:
    with pytest.raises(ConfigError, match="timm knows no model 'smal_net'; did you mean 'small_net'"):
        load_backbone("timm:smal_net")
    for spec in ("timm", "timm:"):
        with pytest.raises(ConfigError, match="write timm:MODEL"):
            load_backbone(spec)


def test_a_damaged_safetensors_file_is_refused(fake_timm: Any, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"w\.safetensors: (the weights cannot be read|is truncated)"):
        load_backbone(f"timm:small_net:{tmp_path / 'w.safetensors'}")
