"""Hands are looked at in turned pictures, too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch

from argusvl.assets import MODELS
from argusvl.manipulation.data.dataset import pixel_values
from argusvl.manipulation.measure.predictions import AS_IT_IS, TURNED, predict_crops
from argusvl.manipulation.predict import HandPredictor
from argusvl.manipulation.predict.checkpoint import HandAssets
from argusvl.synthetic.hands.camera import PictureMap

K = np.array([[150.0, 0.3, 60.0], [0, 155.0, 70.0], [0, 0, 1]])


def crops(predictor: HandPredictor) -> torch.Tensor:
    size, generator = predictor.assets.image_size, np.random.default_rng(3)
    return pixel_values([generator.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(3)])


def test_seen_in_all_four_turns_a_turned_picture_shows_the_same_hand_turned() -> None:
    predictor = HandPredictor.from_pretrained("argus-hand")
    predictor.model.float()
    pixels = crops(predictor)
    change = PictureMap.rotation((pixels.shape[3], pixels.shape[2]), 90.0)
    camera, turn = change.camera(K)
    upright = predict_crops(predictor.model, pixels, [K] * 3, range(4))
    turned = predict_crops(predictor.model, torch.rot90(pixels, -1, (2, 3)), [camera] * 3, range(4))
    for one, other in zip(upright, turned, strict=True):
        np.testing.assert_allclose(other.joints_m, one.joints_m @ turn.T, atol=1e-4)
        np.testing.assert_allclose(other.coarse_m, one.coarse_m @ turn.T, atol=1e-4)
        np.testing.assert_allclose(other.confidence, one.confidence, atol=1e-4)


def test_a_checkpoint_that_did_not_learn_from_turned_hands_looks_once(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    shutil.copytree(MODELS["argus-hand"], folder)
    told = json.loads((folder / "argus.json").read_text(encoding="utf-8"))
    assert HandAssets.load(folder).turns == TURNED
    del told["quarter_turns"]  # as every checkpoint was written before
    (folder / "argus.json").write_text(json.dumps(told), encoding="utf-8")
    assert HandAssets.load(folder).turns == AS_IT_IS
    once, thrice = HandPredictor.from_pretrained(folder), HandPredictor.from_pretrained("argus-hand")
    pixels = crops(once)
    (single,) = predict_crops(once.model, pixels[:1], [K], once.assets.turns)
    (mean,) = predict_crops(thrice.model, pixels[:1], [K], thrice.assets.turns)
    assert not np.allclose(single.joints_m, mean.joints_m)
