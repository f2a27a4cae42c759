"""Scenes with hands: what a detector of hands is trained on."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from argusvl.synthetic import draw_set


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
