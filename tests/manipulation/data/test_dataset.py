"""Crops: picture, K and labels of one map, every hand a right one, the same again from the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from argusvl.core.errors import ConfigError, DataError
from argusvl.manipulation.data.augmentation import NO_CHANGE, HandAugmentation
from argusvl.manipulation.data.checking import told_side
from argusvl.manipulation.data.dataset import MEAN, STD, CropSettings, HandDataset, collate, cut_out, usable
from argusvl.manipulation.data.reading import open_hands
from argusvl.manipulation.data.records import HandRecord

SETTINGS = CropSettings(size=96, margin=1.25)
STRONG = HandAugmentation(
    **{"rotation": 180, "scale": 0.4, "shift": 0.1, "colour": 0.4, "blur": 0.5, "noise": 0.05},
    **{"erase": 0.5, "greyscale": 0.3, "texture": 0.5},
)


@pytest.fixture(scope="module")
def records(hand_folder: Path) -> list[HandRecord]:
    return list(open_hands(hand_folder / "train", "folder", {}))


def test_every_crop_shows_a_right_hand(records: list[HandRecord]) -> None:
    assert {one.side for one in records} == {"left", "right"}
    for record in records:
        view = cut_out(record, SETTINGS).view
        assert view.side == "right"
        assert told_side(view.joints_m, view.joint_valid) in ("right", None)


def test_the_crop_is_square_about_the_box_and_holds_all_of_the_hand(records: list[HandRecord]) -> None:
    crop = cut_out(records[0], SETTINGS)
    assert crop.pixels.shape == (96, 96, 3)
    assert (crop.view.joints_px >= 0).all() and (crop.view.joints_px <= 96).all()
    extent = np.ptp(crop.view.joints_px, axis=0).max()
    assert extent == pytest.approx(96 / 1.25, rel=0.02)


def test_a_picture_that_was_resized_before_is_refused(records: list[HandRecord], tmp_path: Path) -> None:
    Image.new("RGB", (120, 115)).save(tmp_path / "half.png")
    with pytest.raises(DataError, match="a picture of 120×115 for a record of 240×230"):
        cut_out(replace(records[0], image=tmp_path / "half.png"), SETTINGS)


def test_the_same_seed_epoch_and_index_give_the_same_crop(records: list[HandRecord]) -> None:
    first, again = (HandDataset(records, SETTINGS, STRONG, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first[3].pixels, again[3].pixels)
    again.set_epoch(1)
    assert not np.array_equal(first[3].pixels, again[3].pixels)
    assert first.fingerprint() == again.fingerprint()
    box = np.array([0.0, 0, 200, 200])
    for change in ({"contact": np.ones(21, bool)}, {"box_xyxy_px": box}, {"held": None}):
        others = [replace(records[0], **change), *records[1:]]
        assert first.fingerprint() != HandDataset(others, SETTINGS).fingerprint()


def test_a_batch_has_what_losses_are_divided_by(records: list[HandRecord]) -> None:
    crops = [cut_out(record, SETTINGS) for record in records[:6]]
    crops[1].view.joint_valid[4:] = False
    crops[1].view.joints_m[4:] = np.nan
    batch = collate(crops, ["sphere", "box"])
    assert batch.counts["hands"] == 6 and batch.counts["joints"] == 6 * 21 - 17
    assert batch.counts["objects"] == 2 and batch.inputs["object_kind"].tolist() == [1, -1, -1, 1, -1, -1]
    assert all(torch.isfinite(v).all() for v in batch.inputs.values() if isinstance(v, torch.Tensor))
    pixels = batch.inputs["pixel_values"] * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    np.testing.assert_allclose(pixels[0].permute(1, 2, 0) * 255, crops[0].pixels, atol=1e-3)


def test_data_without_a_hand_are_refused(records: list[HandRecord]) -> None:
    with pytest.raises(DataError, match="no picture shows a hand"):
        usable([])
    assert len(usable(records)) == len(records)


def test_options_of_a_reader_are_checked(hand_folder: Path) -> None:
    with pytest.raises(ConfigError, match="no option 'splitt'; did you mean 'split'"):
        open_hands(hand_folder, "dexycb", {"setup": "s0", "splitt": "train"})
    with pytest.raises(ConfigError, match="needs setup, split"):
        open_hands(hand_folder, "dexycb", {})
    with pytest.raises(ConfigError, match="its options are: none|no option"):
        open_hands(hand_folder / "train", "folder", {"unit": "mm"})
    with pytest.raises(DataError, match="not the data set's folder") as wrong_level:
        open_hands(hand_folder, "folder", {})
    assert "train" in str(wrong_level.value.remedy)


def test_noise_on_the_input_falls_to_nothing(records: list[HandRecord]) -> None:
    dataset = HandDataset(records, SETTINGS, NO_CHANGE, seed=1, noise=(0.2, 2.0))
    plain = cut_out(records[0], SETTINGS).pixels.astype(float)
    off = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        off.append(np.abs(dataset[0].pixels - plain).mean())
    assert off[0] > 1.5 * off[1] > 0 and off[2] == 0


def test_another_texture_keeps_what_is_even_and_where_it_ends() -> None:
    changes, rng = NO_CHANGE.model_copy(update={"texture": 1}), np.random.default_rng(2)
    pixels = np.full((64, 64, 3), (90, 120, 60), np.uint8)
    pixels[20:44, 20:44] = (160, 90, 140)
    apart, hues = [], []
    for _ in range(40):
        changed = changes.recolour(Image.fromarray(pixels), rng).astype(float)
        inside, outside = changed[24:40, 24:40].reshape(-1, 3), changed[4:16, 4:60].reshape(-1, 3)
        assert inside.std(0).max() < 1 and outside.std(0).max() < 1
        apart.append(np.abs(inside[0] - outside[0]).max())
        hues.append(int(inside[0].argmax()))
    assert np.median(apart) > 30 and len(set(hues)) == 3


def test_without_colour_all_channels_are_alike() -> None:
    changes, rng = NO_CHANGE.model_copy(update={"greyscale": 0.5}), np.random.default_rng(3)
    noise = Image.fromarray(np.random.default_rng(4).integers(0, 255, (16, 16, 3), dtype=np.uint8))
    pictures = [changes.recolour(noise, rng).astype(int) for _ in range(200)]
    grey = [np.ptp(picture, axis=2).max() <= 1 for picture in pictures]
    assert 70 < sum(grey) < 130 and all(
        np.array_equal(picture, np.asarray(noise))
        for picture, is_grey in zip(pictures, grey, strict=True)
        if not is_grey
    )
