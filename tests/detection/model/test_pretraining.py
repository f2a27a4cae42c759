"""Pre-training of the base (``scripts/pretraining.py``): the teacher sees the picture, the tower learns from it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from argusvl.detection.data.pixels import pixel_values
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.networks.efficientnet_lite import MEAN, STD


@pytest.fixture(scope="module")
def pretraining() -> Any:
    file = Path(__file__).parents[3] / "scripts" / "pretraining.py"
    spec = importlib.util.spec_from_file_location("pretraining", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def distilled(pretraining: Any, kit: Any) -> Any:
    plain = kit.model()
    model = pretraining.DistilledArgus(plain.config, plain.qwen)
    model.detection_head.load_state_dict(plain.detection_head.state_dict(), strict=False)
    model.loss_settings = plain.loss_settings
    return model.train()


def test_the_teacher_sees_the_picture_that_the_tower_is_given(pretraining: Any) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (84, 112, 3), dtype=np.uint8)
    values, grids = pixel_values([picture])
    teacher = pretraining.Teacher()
    features = teacher(torch.from_numpy(values), grids[0].tolist())

    pixels = (torch.from_numpy(picture).permute(2, 0, 1).float() / 255 - MEAN[0]) / STD[0]
    x = teacher.network._conv_stem.clamped(pixels[None].contiguous(memory_format=torch.channels_last))
    for number, block in enumerate(teacher.network._blocks):
        x = block(x)
        if number == 10:
            first = F.interpolate(x.clone(), (6, 8), mode="bilinear")[0].permute(1, 2, 0)
    last = F.interpolate(x, (6, 8), mode="bilinear")[0].permute(1, 2, 0)
    assert features.shape == (6, 8, pretraining.CHANNELS)
    torch.testing.assert_close(features, torch.cat([first, last], dim=-1), rtol=1e-3, atol=1e-3)


def test_distillation_teaches_the_tower_alone(pretraining: Any, kit: Any) -> None:
    model = distilled(pretraining, kit)
    batch = kit.collate(kit.sample(kit.scene(5, (112, 84))), kit.sample(kit.scene(6, (56, 56))))
    model(**batch).loss_terms["distillation"].backward()
    taught = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert any(name.startswith("qwen.model.visual.patch_embed") for name in taught)
    assert all(".visual." in name or ".distillation." in name for name in taught)
    model.eval()
    assert "distillation" not in model(**batch).loss_terms


def test_what_is_exported_is_the_plain_model(pretraining: Any, kit: Any, tmp_path: Path) -> None:
    model = distilled(pretraining, kit)
    model.save_pretrained(tmp_path / "checkpoint")
    pretraining.without_teacher(tmp_path / "checkpoint", torch.float32).save_pretrained(tmp_path / "base")
    plain = ArgusForDetection.from_pretrained(tmp_path / "base")
    plain.loss_settings = model.loss_settings
    batch = kit.collate(kit.sample(kit.scene(5, (112, 84))))
    with torch.no_grad():
        expected, found = model.eval()(**batch), plain(**batch)
    assert type(plain) is ArgusForDetection
    torch.testing.assert_close(found.boxes_raw, expected.boxes_raw)
    torch.testing.assert_close(found.type_logits, expected.type_logits)
