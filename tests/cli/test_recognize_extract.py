from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from argusvl.recognition.extraction.store import EmbeddingStore, how_far


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures in the folder and one below it, whose name has a line break."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "c.png", "more/螺丝\n1.jpg"):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def extract(argus: Any, photos: Path, tmp_path: Path) -> Any:
    """Calls `extract` for the pictures, into the folder `store`."""
    return partial(argus, "recognize", "extract", photos, "--out", tmp_path / "store")


def test_a_folder_becomes_a_store(extract: Any, photos: Path, tmp_path: Path) -> None:
    (photos / "notes.txt").write_text("no image")
    captured = extract("--json")
    found = captured.json
    assert (found["inputs"], found["embedded"], found["quarantined"], found["skipped"]) == (4, 4, 0, 0)
    assert found["other_files"] == {".txt": 1}
    assert "4 images = 4 embedded + 0 quarantined + 0 skipped" in captured.err
    assert "images/s" in captured.err and "1 .txt" in captured.err
    paths, vectors = EmbeddingStore.open(tmp_path / "store").vectors()
    assert paths == ["a.png", "b.jpg", "c.png", "more/螺丝\n1.jpg"] and vectors.shape == (4, 1280)
    captured = extract()
    assert "4 images = 0 embedded + 0 quarantined + 4 skipped" in captured.err and captured.out == ""


def test_what_is_wrong_is_named_and_the_exit_code_is_1(extract: Any, photos: Path) -> None:
    (photos / "zero\n.jpg").touch()
    (photos / "back").symlink_to(".")
    (photos / "c.png").rename(photos / "c.webp")
    for _ in range(2):  # also when there is nothing left to do
        said = extract(code=1).err
        assert r"quarantined zero\n.jpg: the file is empty (0 bytes)" in said
        assert "not searched back: a link that leads back" in said
        assert "note c.webp: a PNG named .webp" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backbone", "efficientnet-lite9"], "did you mean 'efficientnet-lite0'"),
        (["--device", "cuda:99"], "cannot be used"),
        (["--reuse", "nowhere"], "not a store"),
        (["--batch-size", "0"], "--batch-size"),
        (["--lane", "quick"], "--lane"),
    ],
)
def test_mistakes_of_the_user(extract: Any, arguments: list[str], message: str) -> None:
    assert message in extract(*arguments, code=2).err


def test_an_empty_folder_and_another_lane_are_mistakes(argus: Any, extract: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = argus("recognize", "extract", tmp_path / "empty", "--out", tmp_path / "store", code=2).err
    assert "no image is there" in said
    extract()
    assert "lane: the store has 'exact', now it is 'scaled'" in extract("--lane", "scaled", code=2).err


def test_ctrl_c_says_what_is_kept(photos: Path, tmp_path: Path) -> None:
    for number in range(400):
        (photos / f"{number:03d}.png").hardlink_to(photos / "a.png")
    store = tmp_path / "store"
    words = ["recognize", "extract", str(photos), "--out", str(store), "--batch-size", "2"]
    command = [sys.executable, "-c", "from argusvl.cli.main import main; main()", *words]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 120
    while not ((store / "ledger.jsonl").is_file() and (store / "ledger.jsonl").stat().st_size):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    done, total = how_far(store)
    assert process.returncode == 130
    assert f"{done} of {total} images are kept" in said and "the same command goes on" in said
    assert 0 < done < total == 404
