"""`argus recognize describe`: texts, regions and vectors of a folder, model after model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from samples import picture, write

from argusvl.cli.main import run
from argusvl.recognition.backbones.table import load_backbone
from argusvl.recognition.extraction.store import EmbeddingStore

pytestmark = pytest.mark.usefixtures("quiet_logging")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name, size in (("a.png", (60, 40)), ("b.png", (30, 90)), ("c.png", (50, 50))):
        write(folder / name, picture(name, 1, size))
    write(folder / "broken.jpg", b"\xff\xd8\xff\xe0 no more")
    return folder


def command(photos: Path, florence: Path, out: Path, *options: str) -> list[str]:
    base = ["recognize", "describe", str(photos), "--model", str(florence), "--out", str(out)]
    return [*base, "--max-new-tokens", "5", "--num-beams", "1", "--device", "cpu", *options]


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_folder_is_described_and_embedded(
    photos: Path, florence_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "described"
    options = ("--tasks", "caption,detect,dense-regions", "--find", "a car")
    arguments = command(photos, florence_folder, out, *options, "--backbone", "efficientnet-lite0", "--json")
    assert run(arguments) == 1  # one picture is broken
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert (report["inputs"], report["finished"]) == (4, 3)
    assert [(q["path"], q["stage"]) for q in report["quarantined"]] == [("broken.jpg", "describe")]
    assert [s["name"] for s in report["stages"]] == ["describe"]
    assert (report["vectors"]["embedded"], report["vectors"]["quarantined"]) == (3, 1)
    assert "quarantined broken.jpg: " in captured.err
    assert "describe: 4 images = 3 done + 1 quarantined" in captured.err
    assert "4 images = 3 finished + 1 quarantined" in captured.err

    described = lines(out / "1-describe.jsonl")
    assert [line["path"] for line in described] == ["a.png", "b.png", "broken.jpg", "c.png"]
    assert list(described[0]["result"]) == ["caption", "detect", "dense-regions", "find"]
    assert set(described[0]["result"]["detect"]) == {"labels", "boxes_xyxy_px", "malformed", "truncated"}
    backbone = load_backbone("efficientnet-lite0")
    image = Image.open(photos / "b.png").convert("RGB")
    names, vectors = EmbeddingStore.open(out / "vectors").vectors()
    assert names == ["a.png", "b.png", "c.png"]
    expected = backbone.embed(backbone.preprocess(image)[None])[0].numpy()
    assert np.allclose(vectors[1], expected, atol=1e-5)

    assert run(arguments) == 1
    again = json.loads(capsys.readouterr().out)
    assert [(s["resumed"], s["lease"]) for s in again["stages"]] == [(4, None)]
    assert again["vectors"]["skipped"] == 4


def test_other_questions_into_the_same_folder_are_refused(
    photos: Path, florence_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.jpg").unlink()
    out = tmp_path / "described"
    assert run(command(photos, florence_folder, out, "--tasks", "caption")) == 0
    assert run(command(photos, florence_folder, out, "--tasks", "detect")) == 2
    assert (
        "stage 1.settings.tasks: the store has ['caption'], now it is ['detect']" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tasks", "paint"), "unknown task 'paint'"),
        (("--tasks", ""), "nothing is asked for"),
        (("--backbone", "efficientnet-lite9"), "unknown backbone"),
    ],
)
def test_mistakes_are_named(
    photos: Path,
    florence_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    words: str,
) -> None:
    assert run(command(photos, florence_folder, tmp_path / "out", *options)) == 2
    assert words in capsys.readouterr().err


def test_a_missing_model_is_named(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command(photos, tmp_path / "nowhere", tmp_path / "out")) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err
