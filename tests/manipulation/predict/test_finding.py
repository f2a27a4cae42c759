"""Hands are found in pictures, or looked at where a file says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from argusvl.cli.main import run
from argusvl.core.boxes import iou_xyxy
from argusvl.core.errors import DataError
from argusvl.manipulation.predict import HandPredictor, HandQuery
from argusvl.manipulation.predict.finding import BoxFile, side_of
from argusvl.synthetic import draw_set
from argusvl.synthetic.hands import draw

pytestmark = pytest.mark.usefixtures("quiet_logging")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "set"
    draw_set("hand-scenes", folder, images=16, seed=91)
    return folder


def predicted(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run(["predict", "argus-hand", *map(str, words)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_hands_of_unseen_scenes_are_found(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = {}
    for split in ("train", "val", "test"):
        for text in (scenes / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(text)
            truth[Path(record["images"][0]).name] = [entry["bbox_2d"] for entry in record["objects"]]
    lines = predicted(capsys, *sorted((scenes / "images").glob("0*.jpg")))
    hit = false = 0
    for line in lines:
        own = np.array(truth[Path(line["image"]).name], float).reshape(-1, 4)
        found = np.array([hand["box_xyxy_px"] for hand in line["hands"]], float).reshape(-1, 4)
        overlap = iou_xyxy(torch.tensor(own)[:, None], torch.tensor(found)[None]).numpy()
        hit += int((overlap.max(1, initial=0) >= 0.5).sum())
        false += int((overlap.max(0, initial=0) < 0.5).sum())
        for hand in line["hands"]:
            assert len(hand["joints_px"]) == 21 and 0 <= hand["score"] <= 1
    total = sum(map(len, truth.values()))
    assert hit >= 0.8 * total and false <= 0.25 * total


def test_the_side_is_told_from_the_picture() -> None:
    predictor = HandPredictor.from_pretrained("argus-hand")
    drawn = [draw(77, index, (224, 224))[:2] for index in range(24)]
    queries = [HandQuery(scene.box, None, scene.camera) for _, scene in drawn]
    found = predictor.predict([image for image, _ in drawn], queries)
    right = [hand.side == scene.side for hand, (_, scene) in zip(found, drawn, strict=True)]
    assert np.mean(right) >= 0.75


def test_a_track_is_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    track = []
    for index in range(3):
        image, scene, _ = draw(5, index, (224, 224))
        image.save(tmp_path / f"{index}.png")
        entry = {"bbox_2d": scene.box.tolist(), "label": f"{scene.side} hand"}
        track.append({"image": f"{index}.png", "objects": [entry] if index else []})
    file = tmp_path / "track.jsonl"
    file.write_text("\n".join(map(json.dumps, track)), encoding="utf-8")
    lines = predicted(capsys, tmp_path, "--boxes", file)
    assert [len(line["hands"]) for line in lines] == [0, 1, 1]
    assert "no hand" in lines[0]["note"]
    for line, told in zip(lines[1:], track[1:], strict=True):
        (hand,), (entry,) = line["hands"], told["objects"]
        assert hand["side"] == entry["label"].split()[0] and "score" not in hand
        np.testing.assert_allclose(hand["box_xyxy_px"], entry["bbox_2d"], atol=0.01)
    Image.new("RGB", (200, 200)).save(tmp_path / "new.png")
    assert run(["predict", "argus-hand", str(tmp_path / "new.png"), "--boxes", str(file)]) == 2
    assert "no line names this picture" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"image": "a.png"}',
        '{"image": 5, "objects": []}',
        '{"image": "a.png", "objects": [{"bbox_2d": [1, 2, 3]}]}',
        '{"image": "a.png", "objects": [{"bbox_2d": [1, 2, 3, "x"]}]}',
        '{"image": "a.png", "objects": [{"bbox_2d": [1, 2, 3, NaN]}]}',
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "boxes.jsonl").write_text(f'{{"image": "b.png", "objects": []}}\n{line}\n', encoding="utf-8")
    with pytest.raises(DataError) as refused:
        BoxFile(tmp_path / "boxes.jsonl")
    assert "boxes.jsonl:2" in str(refused.value) and refused.value.remedy


@pytest.mark.parametrize("content", [None, b"\xff\xd8\xff\xe0 a picture"])
def test_a_file_that_is_none_of_boxes_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "boxes.jsonl").write_bytes(content)
    with pytest.raises(DataError, match="boxes.jsonl") as refused:
        BoxFile(tmp_path / "boxes.jsonl")
    assert refused.value.remedy


def test_box_and_boxes_are_not_given_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    words = ["predict", "argus-hand", str(tmp_path), "--box", "whole", "--boxes", "x.jsonl"]
    assert run(words) == 2
    assert "contradict" in capsys.readouterr().err


def test_labels_say_the_side() -> None:
    assert [side_of(text) for text in ("left hand", "RIGHT", "右手", "左手", "hand", "left or right", "")] == [
        "left", "right", "right", "left", None, None, None,
    ]  # fmt: skip
