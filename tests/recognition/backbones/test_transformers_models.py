"""Models of transformers: pixels and vectors are the library's own, and what does not fit together is named."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoImageProcessor, CLIPModel, Dinov2Model, ResNetForImageClassification, SiglipModel

from argusvl.core.errors import CheckpointError
from argusvl.recognition.backbones.transformers_models import FAMILIES, TransformersBackbone

CPU = torch.device("cpu")
NAMES = sorted(FAMILIES)


@pytest.fixture(scope="module")
def backbones(hub_folders: dict[str, Path]) -> dict[str, TransformersBackbone]:
    return {name: TransformersBackbone(name, str(hub_folders[name]), device=CPU) for name in NAMES}


def by_the_library(name: str, folder: Path, pixels: Tensor) -> Tensor:
    """Vectors from the whole published model, called as its own documentation does."""
    with torch.inference_mode():
        if name == "clip-vit-b32":
            model = CLIPModel.from_pretrained(folder).eval()
            return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
        if name == "siglip2-base":
            return SiglipModel.from_pretrained(folder).eval().vision_model(pixel_values=pixels).pooler_output
        if name == "resnet50":
            body = ResNetForImageClassification.from_pretrained(folder).eval().resnet
            return body(pixel_values=pixels).last_hidden_state.mean(dim=(2, 3))
        return Dinov2Model.from_pretrained(folder).eval()(pixel_values=pixels).last_hidden_state[:, 0]


def by_hand(name: str, image: Image.Image) -> np.ndarray:
    """The published preprocessing, written down again."""
    side, crop, mean, std = {
        "clip-vit-b32": (32, 32, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        "resnet50": (64, 56, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "dinov2-base": (32, 28, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "siglip2-base": (None, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    }[name]
    if side is None:  # to a square, whatever the aspect
        image = image.resize((crop, crop), Image.Resampling.BILINEAR)
    else:
        width, height = image.size
        short, long = min(width, height), max(width, height)
        longer = int(side * long / short)
        image = image.resize((side, longer) if width < height else (longer, side), Image.Resampling.BICUBIC)
        left, top = (image.size[0] - crop) // 2, (image.size[1] - crop) // 2
        image = image.crop((left, top, left + crop, top + crop))
    pixels = np.asarray(image, dtype=np.float64) / 255
    return ((pixels - mean) / std).transpose(2, 0, 1)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_those_of_the_librarys_processor_and_of_the_published_recipe(
    backbones: dict[str, TransformersBackbone],
    hub_folders: dict[str, Path],
    pictures: list[Image.Image],
    name: str,
) -> None:
    own = AutoImageProcessor.from_pretrained(hub_folders[name], backend="pil")
    for image in pictures:
        pixels = backbones[name].preprocess(image)
        expected = own(images=image, return_tensors="pt")["pixel_values"][0]
        assert pixels.dtype == torch.float32
        torch.testing.assert_close(pixels, expected.float(), atol=1e-5, rtol=0)
        assert np.abs(pixels.numpy() - by_hand(name, image)).max() < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_vectors_are_those_of_the_whole_model(
    backbones: dict[str, TransformersBackbone],
    hub_folders: dict[str, Path],
    pictures: list[Image.Image],
    name: str,
) -> None:
    backbone = backbones[name]
    batch = torch.stack([backbone.preprocess(image) for image in pictures])
    vectors = backbone.embed(batch)
    assert vectors.shape == (len(pictures), backbone.dimension)
    torch.testing.assert_close(vectors, by_the_library(name, hub_folders[name], batch), atol=1e-5, rtol=1e-5)


def test_sizes_come_from_the_models_own_files(backbones: dict[str, TransformersBackbone]) -> None:
    sizes = {name: (b.dimension, b.size_hw, b.decode_side_px) for name, b in backbones.items()}
    assert sizes == {
        "clip-vit-b32": (24, (32, 32), 32),
        "resnet50": (24, (56, 56), 64),
        "dinov2-base": (24, (28, 28), 32),
        "siglip2-base": (24, (32, 32), 32),
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_processor_is_named_and_not_guessed_by_what_is_installed(
    backbones: dict[str, TransformersBackbone],
    hub_folders: dict[str, Path],
    pictures: list[Image.Image],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels = backbones[name].preprocess(pictures[0])
    for module in ("utils.import_utils", "image_processing_backends", "models.auto.image_processing_auto"):
        monkeypatch.setattr(f"transformers.{module}.is_torchvision_available", lambda: True)
    with_torchvision = TransformersBackbone(name, str(hub_folders[name]), device=CPU)
    assert torch.equal(with_torchvision.preprocess(pictures[0]), pixels)
    assert with_torchvision._processor.backend == "pil"


# What is wrong is named.


@pytest.fixture
def copied(hub_folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy that may be spoilt."""

    def copy(name: str) -> Path:
        shutil.copytree(hub_folders[name], tmp_path / name)
        return tmp_path / name

    return copy


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def refused(name: str, folder: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as raised:
        TransformersBackbone(name, str(folder), device=CPU)
    assert folder.name in str(raised.value) and "What to do" in str(raised.value)


def test_a_model_of_another_kind_is_refused(hub_folders: dict[str, Path]) -> None:
    for name, other in itertools.permutations(NAMES, 2):
        refused(name, hub_folders[other], r"config\.json: model_type is '\w+', expected")


def layers(number: int) -> Callable[[dict[str, Any]], object]:
    return lambda config: config["vision_config"].update(num_hidden_layers=number)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "siglip2-base",
            lambda c: c.update(model_type="siglip2"),
            "model_type is 'siglip2', whose pictures have no fixed size",
        ),
        ("clip-vit-b32", layers(3), "weights are missing .*layers.2"),
        ("clip-vit-b32", layers(1), "are unexpected .*layers.1"),
        ("clip-vit-b32", lambda c: c.update(projection_dim=12), "of another shape .*visual_projection"),
        ("siglip2-base", layers(1), "are unexpected .*layers.1"),
        ("resnet50", lambda c: c.update(depths=[1, 1]), "are unexpected .*stages.1.layers.1"),
        ("dinov2-base", lambda c: c.update(num_hidden_layers=4), "weights are missing .*layer.2"),
    ],
)
def test_a_description_of_other_weights_is_refused_by_name(
    copied: Callable[[str], Path], name: str, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    folder = copied(name)
    edit(folder / "config.json", change)
    refused(name, folder, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update(size=16, crop_size=16),
            "makes pictures of 16×16, which the network of config.json does not take: .*32",
        ),
        (lambda c: c.update(do_center_crop=False), "makes pictures of no fixed size: "),
        (
            lambda c: (c.pop("feature_extractor_type"), c.update(image_processor_type="NoImageProcessor")),
            "is damaged, or not for Pillow: Unrecognized image processor",
        ),
    ],
)
def test_preprocessing_that_does_not_fit_is_refused(
    copied: Callable[[str], Path], change: Callable[[dict[str, Any]], object], message: str
) -> None:
    folder = copied("clip-vit-b32")
    edit(folder / "preprocessor_config.json", change)
    refused("clip-vit-b32", folder, rf"preprocessor_config\.json: {message}")


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_a_bad_description_is_refused(copied: Callable[[str], Path], file: str) -> None:
    folder = copied("dinov2-base")
    for content in ("", "{", "[]", '"text"'):
        (folder / file).write_text(content)
        refused("dinov2-base", folder, file.replace(".", r"\."))
    (folder / file).unlink()
    refused("dinov2-base", folder, file.replace(".", r"\."))


def test_weights_in_shards_and_pickled_weights_are_the_same_model(
    copied: Callable[[str], Path], backbones: dict[str, TransformersBackbone], pictures: list[Image.Image]
) -> None:
    whole = backbones["dinov2-base"]
    batch = whole.preprocess(pictures[0])[None]
    folder = copied("dinov2-base")
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    refused("dinov2-base", folder, r"holds no weights \(model\.safetensors or pytorch_model\.bin\)")
    names = sorted(state)
    shards = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
    for shard, keys in shards.items():
        save_file({key: state[key] for key in keys}, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: shard for shard, keys in shards.items() for key in keys}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    sharded = TransformersBackbone("dinov2-base", str(folder), device=CPU)
    assert torch.equal(sharded.embed(batch), whole.embed(batch))

    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors: is missing"):
        TransformersBackbone("dinov2-base", str(folder), device=CPU)

    (folder / "model.safetensors.index.json").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    pickled = TransformersBackbone("dinov2-base", str(folder), device=CPU)
    assert torch.equal(pickled.embed(batch), whole.embed(batch))
    prints = {b.fingerprint.weights_sha256 for b in (whole, sharded, pickled)}
    assert len(prints) == 3  # of the files, which differ


def test_where_pictures_are_not_resized_none_may_be_decoded_smaller(copied: Callable[[str], Path]) -> None:
    folder = copied("resnet50")
    values = {"image_processor_type": "BitImageProcessor", "do_resize": False, "do_center_crop": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(values | {"crop_size": 40}))
    backbone = TransformersBackbone("resnet50", str(folder), device=CPU)
    assert backbone.size_hw == (40, 40)
    assert backbone.decode_side_px > 100_000
