"""Several views in one vector: each as the backbone alone gives it, whatever else is in the batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image, ImageOps
from samples import TinyNetwork, opened, picture

from argusvl.recognition.backbones.views import VIEWS, with_views


@pytest.fixture
def image() -> Image.Image:
    return opened(picture("apple", 1, (40, 24)))


def vector(backbone: Any, image: Image.Image) -> torch.Tensor:
    return backbone.embed(backbone.preprocess(image)[None])[0]


def test_each_view_is_what_the_backbone_alone_gives(image: Image.Image) -> None:
    network = TinyNetwork(side=14)
    small = network.at_side(10)
    mirrored = ImageOps.mirror(image)
    found = vector(with_views(network, "four"), image).reshape(4, -1)
    expected = [vector(of, shown) for of in (network, small) for shown in (image, mirrored)]
    assert torch.allclose(found, torch.stack(expected), atol=1e-3)
    # In a batch of another size a CPU may add in another order.
    torch.testing.assert_close(found[0], expected[0])
    assert not torch.allclose(found[0], found[1], atol=1e-2)
    torch.testing.assert_close(vector(with_views(network, "two"), image), found[:2].flatten())
    assert with_views(network, "one") is network


def test_a_picture_has_the_same_vectors_in_any_company() -> None:
    backbone = with_views(TinyNetwork(side=14), "four")
    pictures = [opened(picture(label, n)) for label in "ab" for n in range(3)]
    batch = torch.stack([backbone.preprocess(p) for p in pictures])
    together = backbone.embed(batch)
    assert together.shape == (6, backbone.dimension)
    for number in range(6):
        assert torch.equal(backbone.embed(batch[number : number + 1])[0], together[number])


def test_a_backbone_of_one_size_gives_two_views(image: Image.Image) -> None:
    network = TinyNetwork()
    plain = type("OneSize", (), dict(vars(network)))()
    plain.preprocess, plain.embed = network.preprocess, network.embed
    viewed = with_views(plain, "four")
    assert viewed.dimension == 2 * network.dimension
    assert torch.equal(vector(viewed, image), vector(with_views(network, "two"), image))


def test_fingerprints_tell_views_apart() -> None:
    network = TinyNetwork(side=14)
    prints = [with_views(network, views).fingerprint for views in VIEWS]
    assert prints[0] != prints[1] != prints[2] != prints[0]
    assert {p.weights_sha256 for p in prints} == {network.fingerprint.weights_sha256}


def test_efficientnet_takes_a_second_size() -> None:
    from argusvl.recognition.backbones.table import load_backbone

    backbone = with_views(load_backbone("efficientnet-lite0"), "four")
    assert backbone.dimension == 4 * 1280
    sides = [part["resize_shorter_side_px"] for part in backbone.fingerprint.preprocessing["views"]]
    assert sides == [224, 160]
