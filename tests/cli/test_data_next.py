"""`argus data next` and `prelabel`: which photographs to label, and what a model has found in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photographs, one of them twice, and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in "abcd":
        Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8)).resize((112, 84)).save(
            folder / f"{name}.png"
        )
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    return folder


def test_each_line_says_why_and_what_cannot_be_read_is_named(argus: Any, photos: Path) -> None:
    listed = photos.parent / "next.txt"
    shown = argus("data", "next", "argus-tiny", photos, "--count", "3", "--out", listed, code=1)
    rows = [line.split("\t") for line in shown.out.splitlines()]
    assert len(rows) == 3 and len({path for path, _ in rows}) == 3
    assert all("corrections expected" in why for _, why in rows)
    assert "distance" in rows[1][1] and "distance" not in rows[0][1]
    assert listed.read_text("utf-8").splitlines() == [path for path, _ in rows]
    assert "broken.jpg" in shown.err


def test_what_is_labelled_is_left_out_also_as_a_smaller_copy(argus: Any, photos: Path) -> None:
    (photos / "broken.jpg").unlink()
    labelled = photos.parent / "labelled"
    labelled.mkdir()
    with Image.open(photos / "a.png") as picture:
        picture.resize((56, 42)).save(labelled / "small.jpg", quality=95)
    (labelled / "train.jsonl").write_text('{"images": ["small.jpg"], "objects": []}\n', "utf-8")
    words = ["data", "next", "argus-tiny", photos, "--count", "9", "--json"]
    chosen = argus(*words, "--labelled", labelled / "train.jsonl").json
    assert sorted(Path(one["image"]).name for one in chosen) == ["b.png", "c.png", "d.png"]
    assert all(one["distance"] > 0 and one["expected_corrections"] >= 0 for one in chosen)


def test_a_folder_without_photographs_is_the_users_mistake(argus: Any, tmp_path: Path) -> None:
    assert "holds no photographs" in argus("data", "next", "argus-tiny", tmp_path, "--count", "3", code=2).err


def test_predictions_become_tasks_with_pre_labels(argus: Any, photos: Path) -> None:
    found = photos.parent / "found.jsonl"
    box = {"bbox_2d": [16, 12, 48, 24], "label": "RBC", "score": 0.75, "label_score": 0.9, "desc": "RBC"}
    line = {"image": str(photos / "a.png"), "width": 112, "height": 84, "objects": [box]}
    found.write_text(json.dumps(line) + "\n", "utf-8")
    words = ["data", "prelabel", found, photos.parent / "out", "--labels", "RBC, WBC", "--model-version", "m"]
    shown = argus(*words)
    assert shown.out == "" and "1 task with 1 pre-labelled boxes of 2 labels" in shown.err
    assert (photos.parent / "out/images/a.png").is_file()
    (task,) = json.loads((photos.parent / "out/label-studio.json").read_text("utf-8"))
    assert [one["model_version"] for one in task["predictions"]] == ["m"]
    assert "out" in argus(*words, code=2).err
