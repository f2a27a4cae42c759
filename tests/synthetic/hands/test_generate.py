"""Drawn sets of hands: what is written is read again and passes all checks; scenes hold several hands or none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argusvl.cli.main import run
from argusvl.core.errors import DataError
from argusvl.manipulation.data.formats.folder import HandFolder
from argusvl.synthetic import draw_set, hands
from argusvl.synthetic.hands.camera import project

IMAGES = 12


def test_the_set_is_read_again_and_passes_all_checks(tmp_path: Path) -> None:
    size = ["--images", str(IMAGES), "--seed", "2", "--width", "128", "--height", "112"]
    assert run(["data", "synth", "hands", str(tmp_path / "set"), *size]) == 0
    declared = json.loads((tmp_path / "set" / "manifest.json").read_text())["source"]
    assert declared["path"] == "hands" and declared["options"]["seed"] == 2
    records = HandFolder(tmp_path / "set")
    assert len(records) == IMAGES and records.read()[1] == []
    for index, record in enumerate(records):
        _, scene, _ = hands.draw(2, index, (128, 112))
        assert record.size == (128, 112) and record.side == scene.side and record.joint_valid.all()
        np.testing.assert_allclose(record.joints_m, scene.joints, atol=1e-6)
        seen = project(record.joints_m, record.camera)
        assert np.abs(seen - project(scene.joints, scene.camera)).max() <= 0.01
        assert record.contact is not None and (record.contact == scene.contact).all()
        if scene.solid is None or scene.pose is None:
            assert record.held is None
        else:
            assert record.held is not None and record.held.shape is not None
            assert record.held.name == record.held.shape.kind == scene.solid.kind
            np.testing.assert_allclose(record.held.shape.size, scene.solid.size)
            np.testing.assert_allclose(record.held.camera_from_object, scene.pose, atol=1e-7)


def test_what_hands_do_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no language"):
        draw_set("hands", tmp_path / "out", images=1, seed=1, language="en")
    assert not (tmp_path / "out").exists()


# --- several hands in a picture --------------------------------------------------------------------------------------


def records(folder: Path) -> list[dict]:
    lines = [(folder / f"{split}.jsonl").read_text(encoding="utf-8") for split in ("train", "val", "test")]
    return [json.loads(line) for line in "".join(lines).splitlines()]


def test_pictures_show_several_hands_small_and_large_or_none(tmp_path: Path) -> None:
    draw_set("hand-scenes", tmp_path / "set", images=24, seed=5)
    found = records(tmp_path / "set")
    counts = {len(record["objects"]) for record in found}
    assert len(found) == 24 and {0, 1, 2} <= counts
    sides = []
    for record in found:
        with Image.open(tmp_path / "set" / record["images"][0]) as picture:
            assert picture.size == (384, 320)
        for entry in record["objects"]:
            left, top, right, bottom = entry["bbox_2d"]
            assert 0 <= left < right <= 384 and 0 <= top < bottom <= 320 and entry["desc"] == "hand"
            sides.append(max(right - left, bottom - top))
    assert min(sides) < 50 < 150 < max(sides)


def test_they_are_named_in_chinese_too(tmp_path: Path) -> None:
    draw_set("hand-scenes", tmp_path / "set", images=4, seed=1, language="zh")
    assert {e["desc"] for record in records(tmp_path / "set") for e in record["objects"]} == {"手"}
