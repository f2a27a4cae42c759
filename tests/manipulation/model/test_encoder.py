"""Encoders: maps of the right strides, frozen parts that cost no graph, statistics of no batch, a hub's ViT."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from made_models import make_batch, make_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertConfig, Dinov2Config, Dinov2Model, ViTConfig, ViTModel

from argusvl.core.errors import CheckpointError, ConfigError
from argusvl.manipulation.model.configuration import HandConfig
from argusvl.manipulation.model.encoder import EfficientNetEncoder, SmallEncoder
from argusvl.manipulation.model.modeling import ArgusForHands, new_model
from argusvl.networks.efficientnet_lite import MEAN, STD, load_network, packaged_weights

IMAGENET_MEAN, IMAGENET_STD = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def crops(seed: int = 0, side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised as a batch, and as EfficientNet was trained."""
    levels = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(seed))

    def normalised(mean: Any, std: Any) -> torch.Tensor:
        return (levels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]

    return normalised(IMAGENET_MEAN, IMAGENET_STD), normalised(MEAN, STD)


def test_strides_are_4_8_16_and_32() -> None:
    for encoder in (
        SmallEncoder(HandConfig()),
        EfficientNetEncoder(HandConfig(encoder="efficientnet-lite0")),
    ):
        sides = zip(encoder.widths, (32, 16, 8, 4), strict=True)
        maps = encoder(torch.zeros(1, 3, 128, 128))
        assert [tuple(m.shape) for m in maps] == [(1, width, side, side) for width, side in sides]


def test_efficientnet_has_its_packaged_weights_and_running_statistics() -> None:
    encoder = new_model("efficientnet-lite0", image_size=64).train().encoder
    plain = load_network(packaged_weights())
    pixels, own = crops()
    with torch.no_grad():
        expected = plain.feature_maps(own)
    for found, stage in zip(encoder(pixels), (1, 2, 4, 6), strict=True):
        torch.testing.assert_close(found, expected[stage], rtol=1e-3, atol=1e-3)
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in encoder.modules())
    # A crop is seen in the same way whatever the others are.
    torch.testing.assert_close(encoder(pixels[:1])[3], encoder(pixels)[3][:1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("stages", [0, 3, 7])
def test_first_stages_are_frozen_and_keep_no_graph(stages: int) -> None:
    model = new_model("efficientnet-lite0", image_size=64, encoder_frozen_stages=stages)
    network = model.encoder.network
    maps = network.feature_maps(crops()[1])
    assert [m.requires_grad for m in maps] == [number >= stages for number in range(7)]
    assert network._conv_stem.weight.requires_grad == (stages == 0)
    if stages < 7:
        maps[-1].sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in network.parameters())


def test_efficientnet_may_end_at_stride_16() -> None:
    fields = {"image_size": 64, "hidden_size": 32, "encoder_frozen_stages": 5}
    whole, part = (new_model("efficientnet-lite0", encoder_stages=k, **fields).eval() for k in (7, 5))
    pixels = make_batch(2)["pixel_values"]
    for ours, theirs in zip(part.encoder(pixels), whole.encoder(pixels)[:3], strict=True):
        assert torch.equal(ours, theirs)
    for model in (whole, part):
        maps = model.decoder.neck(model.encoder(pixels))
        assert [tuple(m.shape[1:]) for m in maps] == [(8, 16, 16), (16, 8, 8), (32, 4, 4), (32, 2, 2)]
    assert sum(p.numel() for p in part.parameters()) < sum(p.numel() for p in whole.parameters()) / 2


def test_frozen_convolutions_notice_other_weights() -> None:
    network = new_model("efficientnet-lite0", image_size=64, encoder_frozen_stages=7).encoder.network
    pixels = crops()[1]
    first = network.feature_maps(pixels)[6]  # packs the weights
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.9)
    changed = other.feature_maps(pixels)[6]
    assert not torch.allclose(changed, first, rtol=0.1)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.feature_maps(pixels)[6], first)
    assert torch.equal(network.feature_maps(pixels)[6], first)


@pytest.mark.parametrize("stages", [0, 2, 5])
def test_levels_of_the_small_encoder_are_frozen(stages: int) -> None:
    encoder = make_model(encoder_frozen_stages=stages).encoder
    # The stem's two levels, then one for each map.
    assert [m.requires_grad for m in encoder(crops()[0])] == [number >= stages for number in range(1, 5)]
    frozen = {name.split(".")[0] for name, p in encoder.named_parameters() if not p.requires_grad}
    assert frozen == {0: set(), 2: {"stem"}, 5: {"stem", "to_8", "to_16", "layers", "to_32"}}[stages]


def vit_folder(folder: Path, kind: str = "dinov2") -> Path:
    torch.manual_seed(3)
    shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 28}
    if kind == "dinov2":
        Dinov2Model(Dinov2Config(patch_size=14, mlp_ratio=2, **shape)).save_pretrained(folder)
    else:
        ViTModel(ViTConfig(patch_size=14, intermediate_size=32, **shape)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["dinov2", "vit"])
def test_a_hub_vit_reads_crops_of_another_size(kind: str, tmp_path: Path) -> None:
    folder = vit_folder(tmp_path / "vit", kind)
    model = new_model(folder, image_size=64, hidden_size=32, encoder_frozen_stages=1)
    reference = (Dinov2Model if kind == "dinov2" else ViTModel).from_pretrained(folder)
    for name, value in reference.state_dict().items():
        assert torch.equal(model.encoder.network.state_dict()[name], value)
    # 64 is no multiple of 14: 5 × 5 patches, and maps of a quarter of a patch, half, one and two.
    maps = model.encoder(make_batch(2)["pixel_values"])
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 20, 20), (16, 10, 10), (16, 5, 5), (16, 2, 2)]
    frozen = {name for name, p in model.encoder.network.named_parameters() if not p.requires_grad}
    assert {name.split(".")[0] for name in frozen} > {"embeddings"}
    assert {number for name in frozen for number in re.findall(r"layers?\.(\d)\.", name)} == {"0"}


def test_a_hub_vit_is_saved_with_its_configuration(tmp_path: Path) -> None:
    model = new_model(vit_folder(tmp_path / "vit"), image_size=64, hidden_size=32).eval()
    model.save_pretrained(tmp_path / "saved")
    for file in (tmp_path / "vit").iterdir():
        file.unlink()
    batch = {name: make_batch(3)[name] for name in ("pixel_values", "cameras")}
    loaded = ArgusForHands.from_pretrained(tmp_path / "saved").eval()
    assert loaded.config.encoder_config.hidden_size == 16
    for ours, theirs in zip(model(**batch).hand.values(), loaded(**batch).hand.values(), strict=True):
        assert torch.equal(ours, theirs)


def test_without_positions_a_vit_cannot_tell_where_a_patch_is(tmp_path: Path) -> None:
    folder = vit_folder(tmp_path / "vit")
    pixels = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    # The four quarters change places: the patches are the same, elsewhere.
    rolled = pixels.roll((28, 28), dims=(2, 3))
    fields = {"image_size": 64, "hidden_size": 32}
    for positions in (True, False):
        encoder = new_model(folder, positions=positions, **fields).eval().encoder
        first, second = (encoder(p)[2] for p in (pixels, rolled))
        moved = first.roll((2, 2), dims=(2, 3))
        assert torch.allclose(moved, second, atol=1e-4) != positions


def test_what_is_no_vit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no model of the hub"):
        new_model(tmp_path)
    BertConfig(hidden_size=16, num_attention_heads=2).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="no plain ViT"):
        new_model(tmp_path)
    folder = vit_folder(tmp_path / "vit")
    weights = load_file(folder / "model.safetensors")
    broken = {name: value * torch.nan for name, value in weights.items()}
    save_file(broken, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="not finite"):
        new_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        new_model(folder)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"encoder": "smal"}, "did you mean"),
        ({"encoder_stages": 6}, "choose one of 5, 7"),
        ({"image_size": 100}, "multiple of 32"),
        ({"hidden_size": 100}, "multiple of 16"),
        ({"encoder": "hub"}, "needs encoder_config"),
        ({"object_symmetries": {"mug": "round"}}, "choose one of none"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        HandConfig(**fields)
