"""Scenes with hands: what a detector of hands is trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argusvl.core.errors import DataError
from argusvl.synthetic import draw_set


def records(folder: Path) -> list[dict]:
    lines = [(folder / f"{split}.jsonl").read_text(encoding="utf-8") for split in ("train", "val", "test")]
    return [json.loads(line) for line in "".join(lines).splitlines()]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several") / "set"
    draw_set("hand-scenes", folder, images=24, seed=5)
    return folder


def test_pictures_show_several_hands_small_and_large_or_none(drawn: Path) -> None:
    found = records(drawn)
    counts = {len(record["objects"]) for record in found}
    assert len(found) == 24 and {0, 1, 2} <= counts
    sides = []
    for record in found:
        with Image.open(drawn / record["images"][0]) as picture:
            assert picture.size == (384, 320)
        for entry in record["objects"]:
            left, top, right, bottom = entry["bbox_2d"]
            assert 0 <= left < right <= 384 and 0 <= top < bottom <= 320 and entry["desc"] == "hand"
            sides.append(max(right - left, bottom - top))
    assert min(sides) < 50 < 150 < max(sides)


def test_they_stand_on_the_users_photographs_and_in_chinese(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (500, 400), (10, 200, 30)).save(tmp_path / "photos" / "green.png")
    options = {"backgrounds": tmp_path / "photos", "language": "zh"}
    draw_set("hand-scenes", tmp_path / "set", images=8, seed=1, **options)
    assert {e["desc"] for record in records(tmp_path / "set") for e in record["objects"]} == {"手"}
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"]["options"]["backgrounds"] == 1
    corners = [np.asarray(Image.open(p))[2, 2] for p in sorted((tmp_path / "set/images").glob("0*.jpg"))]
    assert sum(int(c[1]) > int(c[0]) + 40 and int(c[1]) > int(c[2]) + 40 for c in corners) >= 3
    with pytest.raises(DataError, match="no such folder"):
        draw_set("hand-scenes", tmp_path / "none", images=1, seed=1, backgrounds=tmp_path / "set" / "nothing")
