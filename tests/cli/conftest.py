"""The tiny checkpoint and its pictures, shared with the detection tests; the tiny backbone, with those of few-shot."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch


def _load(folder: str) -> ModuleType:
    place = Path(__file__).parents[1] / folder / "conftest.py"
    spec = importlib.util.spec_from_file_location(f"{folder.replace('/', '_')}_fixtures", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_detection = _load("detection")
scenes = _detection.scenes
tiny_checkpoint = _detection.tiny_checkpoint

_few_shot = _load("recognition/few_shot")
few_shot = _few_shot.few_shot
tiny_backbone = _few_shot.tiny_backbone
_backbones = _load("recognition/backbones")


@pytest.fixture(scope="session")
def small_resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ResNet in hub layout; not to be written to."""
    folder: Path = tmp_path_factory.mktemp("hub") / "resnet50"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _backbones.write_resnet(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_backbones.PREPROCESSORS["resnet50"]))
    return folder
