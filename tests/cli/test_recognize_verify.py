"""`argus recognize verify`: a table for people, JSON for programs, and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from argusvl.recognition.backbones import table
from argusvl.recognition.backbones.protocol import Backbone, BackboneFingerprint


class Mean:
    """The mean colour of nine fields, in BGR where that is asked for."""

    name = "mean"
    dimension = 27
    decode_side_px = 24

    def __init__(self, device: torch.device, bgr: bool) -> None:
        self.device = device
        self.fingerprint = BackboneFingerprint("mean", "0" * 64, {"side_px": 24}, "none", "float32", {})
        self.matrix = torch.eye(27)
        self._bgr = bgr

    def preprocess(self, image: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(image.resize((24, 24)), dtype=np.float32)).permute(2, 0, 1)
        return ((pixels.flip(0) if self._bgr else pixels) / 127.5 - 1).contiguous()

    def embed(self, batch: Tensor) -> Tensor:
        fields = torch.nn.functional.avg_pool2d(batch, 8).flatten(1)
        return fields @ self.matrix


@pytest.fixture(autouse=True)
def small_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(spec: str, *, device: torch.device) -> Backbone:
        return Mean(device, bgr=spec == "mean-bgr")

    monkeypatch.setattr(table, "load_backbone", load)


def test_a_healthy_backbone_passes(argus: Any) -> None:
    # Fewer pictures do not always tell, beside other work, that memory does not grow.
    words = "recognize verify mean --count 1000 --batch-size 8 --device cpu --json"
    captured = argus(*words.split())
    found = captured.json
    assert (found["passed"], found["backbone"], found["pictures"][:8]) == (True, "mean", "48 drawn")
    groups = {"memory", "preprocessing", "dtypes and devices", "reproducibility"}
    assert {check["group"] for check in found["checks"]} == groups
    assert "resident memory does not grow" in captured.err and "bytes a picture" in captured.err
    assert "FAIL" not in captured.err and "mean on cpu, 48 drawn pictures, seed 0: all " in captured.err
    assert "there is none to compare with" in captured.err


def test_a_faulty_one_fails_with_exit_code_1(argus: Any, tmp_path: Path) -> None:
    for number in range(3):
        colours = np.random.default_rng(number).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(colours).save(tmp_path / f"{number}.png")
    options = ["--images", tmp_path, "--count", "200", "--batch-size", "8", "--device", "cpu"]
    captured = argus("recognize", "verify", "mean-bgr", *options, code=1)
    assert captured.out == ""
    assert "error N-309 " in captured.err and "wrong-channel-order: channels are RGB: red→2" in captured.err
    assert "FAIL" in captured.err
    assert f"3 pictures of {tmp_path}" in captured.err and "2 failed" in captured.err


def test_a_missing_folder_is_the_users_mistake(argus: Any) -> None:
    assert "nowhere" in argus("recognize", "verify", "mean", "--images", "nowhere", code=2).err
