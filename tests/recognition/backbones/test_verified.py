"""Every backbone of the table passes seed 004's checklist (its memory group over fewer pictures than the command)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.backbones.table import load_backbone
from argusvl.recognition.verification.pictures import drawn_pictures
from argusvl.recognition.verification.verify import verify

NAMES = ("clip-vit-b32", "resnet50", "dinov2-base", "siglip2-base")


def load(spec: str, device: torch.device) -> Backbone:
    return load_backbone(spec, device=device)


@pytest.mark.parametrize("name", NAMES)
def test_backbones_from_a_folder_pass(hub_folders: dict[str, Path], name: str) -> None:
    found = verify(
        partial(load, f"{name}:{hub_folders[name]}"),
        pictures=drawn_pictures(number=12),
        count=240,
        batch_size=8,
        progress=False,
    )
    # Beside other work, 240 pictures may be too few to tell whether memory grows.
    wrong = [
        f"{c.name}: {c.figure}"
        for c in found.verdicts
        if c.passed is not True and c.values.get("verdict") != "undecided"
    ]
    assert not wrong
