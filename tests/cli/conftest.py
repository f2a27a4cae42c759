"""The tiny checkpoint and its pictures, shared with the detection tests; the tiny backbone, with those of few-shot."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


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
