"""Pictures of hands: something is drawn where it should be, and what is not known is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from made_hands import make_hand
from PIL import Image
from torch import Tensor, nn

from argusvl.manipulation.data.dataset import CropSettings, HandDataset
from argusvl.manipulation.data.joints import NUM_JOINTS
from argusvl.manipulation.data.reading import open_hands
from argusvl.manipulation.measure.evaluation import attention_of, measure
from argusvl.manipulation.measure.predictions import HandPrediction
from argusvl.manipulation.model.modeling import HandOutput
from argusvl.manipulation.report.drawing import (
    draw_attention,
    draw_errors,
    draw_in_space,
    draw_sampling,
    draw_skeleton,
    errors_of,
    finger_colour,
)
from argusvl.manipulation.report.sections import write_gallery


def predicted(joints: np.ndarray) -> HandPrediction:
    steps = np.random.default_rng(0).uniform(10, 80, (2, NUM_JOINTS, 2))
    ones = np.ones(NUM_JOINTS)
    return HandPrediction(joints, joints, ones, steps, ones, -1, np.eye(3, 4))


def crops(hand_folder: Path) -> HandDataset:
    return HandDataset(list(open_hands(hand_folder / "val", "folder", {})), CropSettings(64, 1.25))


def test_joints_are_drawn_in_their_fingers_colour() -> None:
    joints = np.stack(np.meshgrid(np.arange(7) * 30.0 + 20, np.arange(3) * 60.0 + 20), -1).reshape(-1, 2)
    picture = np.asarray(draw_skeleton(Image.new("RGB", (220, 160)), joints, width=3))
    for joint in range(1, NUM_JOINTS):
        x, y = joints[joint].astype(int)
        assert np.abs(picture[y, x].astype(int) - finger_colour(joint)).max() < 40


def test_what_is_not_known_is_not_drawn() -> None:
    joints = np.full((NUM_JOINTS, 2), np.nan)
    blank = Image.new("RGB", (50, 40), (9, 9, 9))
    assert np.array_equal(np.asarray(draw_skeleton(blank, joints)), np.asarray(blank))
    joints[3] = 20, 20
    assert not np.array_equal(np.asarray(draw_skeleton(blank, joints)), np.asarray(blank))


def test_a_hand_in_space_lies_within_its_picture() -> None:
    for seed in range(5):
        for axes in ((0, 1), (2, 1)):
            picture = np.asarray(draw_in_space(make_hand(seed=seed), 120, axes=axes)).min(-1) < 200
            assert picture.any() and not (picture[0].any() or picture[:, 0].any())
            assert not (picture[-1].any() or picture[:, -1].any())


def test_bars_and_paths_are_there() -> None:
    bars = np.asarray(draw_errors([np.nan, *np.linspace(1, 20, 20)]))
    assert (bars[:, 150] != bars[0, 0]).any()
    crop = Image.new("RGB", (96, 96))
    assert np.asarray(draw_sampling(crop, predicted(np.zeros((21, 3))).sampling_px)).any()


class Attending(nn.Module):
    """Each joint attends to one place of 22, those of a fine map and then of a coarse one."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.attended = np.linspace(0, places - 1, 22).round().astype(int)
        self.weights = nn.Parameter(torch.eye(places)[self.attended].expand(1, 2, -1, -1).clone())

    def forward(self, pixel_values: Tensor, cameras: Tensor, output_attentions: bool) -> HandOutput:
        return HandOutput(attentions=(self.weights,))


@pytest.mark.parametrize("fine", [4, 5, 14])
@pytest.mark.parametrize("coarse_rounded", [np.floor, np.ceil])
def test_attention_is_where_it_was_paid(
    fine: int, coarse_rounded: Callable[..., float], hand_folder: Path
) -> None:
    crop = crops(hand_folder)[0]
    coarse = int(coarse_rounded(fine / 2))
    model = Attending(fine**2 + coarse**2)
    found = attention_of(model, crop)
    assert found.shape == (NUM_JOINTS, fine, fine) and np.abs(found.sum((1, 2)) - 1).max() < 0.2
    blank = Image.new("RGB", (fine * 8, fine * 8), (200, 200, 200))
    for place, attention in zip(model.attended, found, strict=False):
        y, x = np.divmod(place, fine) if place < fine**2 else np.divmod(place - fine**2, coarse)
        side = fine if place < fine**2 else coarse
        red = np.asarray(draw_attention(blank, attention, (255, 0, 0)))[..., 0]
        brightest = np.argwhere(red == red.max()).mean(0) / len(red)
        assert np.abs(brightest - [(y + 0.5) / side, (x + 0.5) / side]).max() <= 0.5 / side


def test_the_gallery_holds_the_best_and_the_worst(hand_folder: Path, tmp_path: Path) -> None:
    dataset = crops(hand_folder)
    found, views = [], [crop.view for crop in dataset]
    for index, view in enumerate(views):
        joints = view.joints_m.copy()
        joints[1:] += [index * 0.001, 0, 0]
        found.append(predicted(joints))
        np.testing.assert_allclose(errors_of(found[-1], view)[1:], index, atol=1e-6)
    write_gallery(tmp_path, dataset, measure(found, views, views[0].joints_m), Attending(20), most=4)
    entries = json.loads((tmp_path / "hands" / "hands.json").read_text())
    assert [round(one["error_mm"] * 21 / 20) for one in entries] == [0, 7, 8, 9]
    assert [one["worst"] for one in entries] == [False, False, True, True]
    sizes = {Image.open(tmp_path / "hands" / one["picture"]).size for one in entries}
    assert len(sizes) == 1 and sizes.pop()[0] > 1000
