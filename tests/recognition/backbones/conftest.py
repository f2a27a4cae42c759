"""Small models of each kind in hub layout, as the hub has the large ones, and pictures to give them."""

from __future__ import annotations

import json
import string
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}

# As the hub's files say it, with their older spellings; only the sizes are smaller.
PREPROCESSORS: dict[str, dict[str, Any]] = {
    "clip-vit-b32": {
        "crop_size": 32,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "size": 32,
    },
    "resnet50": {
        "crop_pct": 0.875,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ConvNextFeatureExtractor",
        "resample": 3,
        "size": 56,
        **IMAGENET,
    },
    "dinov2-base": {
        "crop_size": {"height": 28, "width": 28},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_processor_type": "BitImageProcessor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": 32},
        **IMAGENET,
    },
    "siglip2-base": {
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessorFast",
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "SiglipProcessor",
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": 32, "width": 32},
    },
}


def write_clip(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    letters = string.ascii_lowercase + string.digits + "."
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    start, end = len(words) - 2, len(words) - 1
    tower = {"intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"hidden_size": 16, "vocab_size": len(words), "max_position_embeddings": 24}
    tokens = {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    config = CLIPConfig(
        vision_config={"hidden_size": 32, "image_size": 32, "patch_size": 8, **tower},
        text_config={**text, **tokens, **tower},
        projection_dim=24,
    )
    CLIPModel(config).save_pretrained(folder)


def write_resnet(folder: Path) -> None:
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(embedding_size=8, hidden_sizes=[16, 24], depths=[1, 2], layer_type="bottleneck")
    model = ResNetForImageClassification(config)
    # As after training: untouched running statistics would hide the training mode.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    model.save_pretrained(folder)


def write_dinov2(folder: Path) -> None:
    from transformers import Dinov2Config, Dinov2Model

    # Trained at another size than is used, as the published one is: its positions are interpolated.
    config = Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=42, patch_size=14
    )
    Dinov2Model(config).save_pretrained(folder)


def write_siglip(folder: Path) -> None:
    from transformers import SiglipConfig, SiglipModel

    tower = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = SiglipConfig(
        vision_config={**tower, "image_size": 32, "patch_size": 8}, text_config={**tower, "vocab_size": 64}
    )
    SiglipModel(config).save_pretrained(folder)


WRITERS: dict[str, Callable[[Path], None]] = {
    "clip-vit-b32": write_clip,
    "resnet50": write_resnet,
    "dinov2-base": write_dinov2,
    "siglip2-base": write_siglip,
}


@pytest.fixture(scope="session")
def hub_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name of a backbone → a folder with a small one; not to be written to."""
    root = tmp_path_factory.mktemp("hub")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, write in WRITERS.items():
            write(root / name)
            (root / name / "preprocessor_config.json").write_text(json.dumps(PREPROCESSORS[name]))
    return {name: root / name for name in WRITERS}


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Not grey, not square: colours that differ by place and channel, lying, standing, small and very long."""
    rng = np.random.default_rng(0)
    sizes = [(90, 61), (47, 120), (20, 14), (200, 33)]
    coarse = [rng.integers(0, 256, (5, 4, 3), dtype=np.uint8) for _ in sizes]
    return [
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        for pixels, size in zip(coarse, sizes, strict=True)
    ]


class FakeTimm(ModuleType):
    """What the adapter uses of timm, with one model whose weights are in ``published``."""

    MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)

    class Network(torch.nn.Module):
        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 10, 3, stride=2)
            self.norm = torch.nn.BatchNorm2d(10)
            self.fc = torch.nn.Linear(10, num_classes)
            self.num_classes = num_classes
            self.pretrained_cfg = {"classifier": "fc", "input_size": (3, 16, 16)}

        def reset_classifier(self, num_classes: int) -> None:
            assert num_classes == 0
            self.fc = torch.nn.Identity()

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.fc(self.norm(self.conv(pixels)).relu().mean(dim=(2, 3)))

    def __init__(self) -> None:
        super().__init__("timm")
        self.data = ModuleType("timm.data")
        self.data.resolve_model_data_config = self._data_config  # type: ignore[attr-defined]
        self.data.create_transform = self._create_transform  # type: ignore[attr-defined]
        self.published: dict[str, torch.Tensor] | None = None

    def is_model(self, name: str) -> bool:
        return name in self.list_models()

    def list_models(self) -> list[str]:
        return ["small_net", "large_net"]

    def create_model(self, name: str, pretrained: bool = False, num_classes: int = 5) -> Network:
        network = self.Network(num_classes)
        if pretrained:
            if self.published is None:
                raise RuntimeError(f"No pretrained weights exist for {name}.\nUse `pretrained=False`.")
            network.load_state_dict(self.published)
        return network.train()

    @staticmethod
    def _data_config(network: torch.nn.Module) -> dict[str, Any]:
        return {
            "input_size": network.pretrained_cfg["input_size"],
            "interpolation": "bilinear",
            "mean": FakeTimm.MEAN,
            "std": FakeTimm.STD,
            "crop_pct": 0.875,
            "crop_mode": "center",
        }

    @staticmethod
    def _create_transform(*, is_training: bool, **config: Any) -> Callable[[Image.Image], torch.Tensor]:
        assert not is_training and config["crop_pct"] == 0.875

        def transform(image: Image.Image) -> torch.Tensor:
            pixels = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR), dtype=np.float64) / 255
            return torch.from_numpy((pixels - config["mean"]) / config["std"]).permute(2, 0, 1)

        return transform


@pytest.fixture
def fake_timm(monkeypatch: pytest.MonkeyPatch) -> FakeTimm:
    """Stands in for timm, which is not installed here: it would pull another torch."""
    timm = FakeTimm()
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "timm.data", timm.data)
    version = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "0.0" if name in ("timm", "torchvision") else version(name)
    )
    return timm


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """No hub, and an empty cache at the path that is given."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"
