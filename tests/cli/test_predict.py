from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from PIL import ExifTags, Image
from safetensors.torch import load_file, save_file

from argusvl.detection.measure.calibration import Calibration
from argusvl.detection.predict import Predictor
from argusvl.detection.predict.checkpoint import DetectionAssets

EVERYTHING = ("--score-threshold", "0")
NAMES = ["0.png", "1.png", "2.png", "deeper/0.png"]


@pytest.fixture
def predict(argus: Any, tiny_checkpoint: Path) -> Any:
    """Calls for all that the tiny checkpoint finds, however sure it is of it."""
    return partial(argus, "predict", tiny_checkpoint, *EVERYTHING)


@pytest.fixture
def photos(scenes: Path, tmp_path: Path) -> Path:
    """A folder of four photographs, one of them in a sub-folder under a name that is there already."""
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for k in range(3):
        shutil.copyfile(scenes.parent / f"{k}.png", folder / f"{k}.png")
    shutil.copyfile(scenes.parent / "3.png", folder / "deeper" / "0.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def images_in(file: Path) -> list[str]:
    return [json.loads(line)["image"] for line in file.read_text("utf-8").splitlines()]


def test_results_are_lines_of_json_on_stdout(predict: Any, tiny_checkpoint: Path, photos: Path) -> None:
    photo = photos / "0.png"
    (line,) = predict(photo).lines
    assert (line["image"], line["width"], line["height"]) == (str(photo), 160, 120)
    (found,) = Predictor.from_pretrained(tiny_checkpoint).predict_detection(photo, score_threshold=0)
    assert line["objects"] == found.to_jsonl("x")["objects"]
    assert set(line["objects"][0]) == {"bbox_2d", "label", "score", "label_score", "desc"}


def test_a_folder_is_searched_and_pictures_are_drawn(predict: Any, photos: Path, tmp_path: Path) -> None:
    out, drawn = tmp_path / "found.jsonl", tmp_path / "drawn"
    assert predict(photos, "--out", out, "--draw", drawn, "--batch-size", "3").out == ""
    assert images_in(out) == [str(photos / name) for name in NAMES]
    assert sorted(p.name for p in drawn.iterdir()) == ["0.jpg", "0_2.jpg", "1.jpg", "2.jpg"]
    assert Image.open(drawn / "0.jpg").size != (160, 120)  # enlarged, so that labels can be read
    assert not list(tmp_path.glob("*.part"))


def test_a_link_to_what_is_not_there_is_refused_by_name(predict: Any, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    shutil.copy(photos / "0.png", folder / "a.png")
    (folder / "b.png").symlink_to(tmp_path / "nowhere.png")
    said = predict(folder, code=1)
    assert len(said.lines) == 1 and f"{folder / 'b.png'}: the link points nowhere" in said.err


def test_other_labels_and_no_captions(predict: Any, photos: Path) -> None:
    (line,) = predict(photos / "0.png", "--labels", "螺丝, fan", "--no-captions", "--teachers", "1").lines
    assert {o["label"] for o in line["objects"]} <= {"螺丝", "fan"}
    assert all("desc" not in o for o in line["objects"])


def test_nothing_above_the_threshold_is_said_with_a_hint(
    argus: Any, tiny_checkpoint: Path, photos: Path
) -> None:
    output = argus("predict", tiny_checkpoint, photos / "0.png")
    assert output.lines[0]["objects"] == [] and "--score-threshold" in output.err


def test_an_exif_turned_photograph_is_turned_and_that_is_said(predict: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (120, 90), "teal").save(tmp_path / "phone.jpg", exif=exif)
    output = predict(tmp_path / "phone.jpg")
    (line,) = output.lines
    assert (line["width"], line["height"], line["note"]) == (90, 120, "turned upright (EXIF 6)")
    assert "turned upright (EXIF 6)" in output.err


def test_only_bad_images_exit_with_2(predict: Any, tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    assert "not an image" in predict(tmp_path / "page.jpg", tmp_path / "none.png", code=2).err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["CHECKPOINT", "EMPTY"], "the folder holds no image"),
        (["PHOTO", "PHOTO"], "argus predict CHECKPOINT"),
        (["EMPTY", "PHOTO"], "holds no argus.json"),
        (["CHECKPOINT", "PHOTO", "--max-pixels", "50000"], "trained with 12544"),
        (["CHECKPOINT", "PHOTO", "--teachers", "9"], "pool holds 3"),
        (["CHECKPOINT", "PHOTO", "--labels", "a,,b"], "label '' is empty"),
        (["CHECKPOINT", "PHOTO", "--device", "abacus"], "abacus"),
        (["CHECKPOINT", "PHOTO", "--resume"], "--resume needs --out"),
        (["CHECKPOINT", "PHOTO", "--draw", "EMPTY", "--font-path", "no.ttf"], "no such font file"),
        (["CHECKPOINT", "PHOTO", "--out", "EMPTY"], "is a folder"),
        (["CHECKPOINT", "PHOTO", "--out", "BELOW A FILE"], "cannot be written"),
        (["CHECKPOINT", "PHOTO", "--draw", "LOOP"], "loop"),
        (["CHECKPOINT", "PHOTO", "--workers", "2"], "--workers needs --engine ray"),
    ],
)
def test_a_mistake_of_the_user_exits_with_2_and_says_what_to_do(
    argus: Any, arguments: list[str], message: str, tiny_checkpoint: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    stands_for = {"CHECKPOINT": tiny_checkpoint, "PHOTO": photos / "0.png", "EMPTY": tmp_path / "empty"}
    stands_for |= {"LOOP": tmp_path / "loop", "BELOW A FILE": photos / "notes.txt" / "found.jsonl"}
    error = argus("predict", *(stands_for.get(a, a) for a in arguments), code=2).err
    assert message in error and "What to do" in error


def test_an_interrupted_run_keeps_what_was_there_and_resumes(
    argus: Any, tiny_checkpoint: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "found.jsonl"
    out.write_text("what was there before\n")
    checkpoint = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    words = ["predict", checkpoint, photos, "--out", out, "--overwrite", "--batch-size", "1", *EVERYTHING]
    stream = Predictor.stream
    asked: list[int] = []

    def interrupted(self: Predictor, images: list[Path], *args: Any, **kwargs: Any) -> Any:
        asked.append(len(images))
        for k, result in enumerate(stream(self, images, *args, **kwargs)):
            if len(asked) == 1 and k == 2:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(Predictor, "stream", interrupted)
    assert "2 images are kept" in argus(*words, code=130).err
    assert out.read_text() == "what was there before\n"

    assert "--resume" in argus(*words, code=2).err  # neither thrown away nor mixed up
    said = argus(*words, "--resume", "--no-captions", code=2).err
    for told in ("nothing to resume", "begun with other options", ".part and leave --resume out"):
        assert told in said

    weights = checkpoint / "model.safetensors"  # the same path may lead to another model by now
    before = weights.read_bytes()
    save_file({name: weight + 0.01 for name, weight in load_file(weights).items()}, weights)
    assert "nothing to resume" in argus(*words, "--resume", code=2).err
    weights.write_bytes(before)

    (part,) = tmp_path.glob("*.part")
    with part.open("a") as stream_of_part:
        stream_of_part.write('{"image": "cut in the mid')
    argus(*words, "--resume")
    assert asked == [4, 2]
    assert images_in(out) == [str(photos / name) for name in NAMES]
    assert not list(tmp_path.glob("*.part"))


def test_a_long_name_and_a_wide_picture_are_drawn(
    argus: Any, predict: Any, photos: Path, tmp_path: Path
) -> None:
    long, wide = tmp_path / f"{'a' * 250}.png", tmp_path / "wide.png"
    shutil.copyfile(photos / "0.png", long)
    Image.new("RGB", (65_500, 8), "teal").save(wide)
    drawn = tmp_path / "drawn"
    predict(long, "--draw", drawn, "--out", tmp_path / "found.jsonl")
    assert [path.name for path in drawn.iterdir()] == [f"{'a' * 240}.jpg"]
    argus("predict", "argus-hand", wide, "--box", "whole", "--draw", tmp_path / "hands")
    with Image.open(tmp_path / "hands" / "wide.jpg") as picture:
        assert max(picture.size) <= 65_535


def test_a_full_disk_leaves_the_old_results(
    predict: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "found.jsonl"
    out.write_text("what was there before\n")
    full = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr("argusvl.cli.predictions_file.os.fsync", full)
    error = predict(photos, "--out", out, "--overwrite", code=2).err
    assert "No space left on device" in error and "free space" in error
    assert out.read_text() == "what was there before\n"


def test_captions_of_the_training_descriptions_unless_open(
    argus: Any, tiny_checkpoint: Path, photos: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "closed"))
    assets = DetectionAssets.load(folder)
    replace(assets, descriptions=assets.labels).save(folder)
    (line,) = argus("predict", folder, photos / "0.png", *EVERYTHING).lines
    assert {o["desc"] for o in line["objects"]} <= set(assets.labels)
    (line,) = argus("predict", folder, photos / "0.png", *EVERYTHING, "--open-captions").lines
    assert not {o["desc"] for o in line["objects"]} <= set(assets.labels)


def test_scores_are_calibrated_unless_raw(
    argus: Any, tiny_checkpoint: Path, photos: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "calibrated"))
    replace(DetectionAssets.load(folder), calibration=Calibration(1.0, 2.0, 3.0, 0.5, 9, 99)).save(folder)
    shown = []
    words = ["predict", folder, photos / "0.png", *EVERYTHING, "--no-captions"]
    for switch in ([], ["--raw-scores"]):
        (line,) = argus(*words, *switch).lines
        shown.append([(o["bbox_2d"], o["label"], o["score"], o["label_score"]) for o in line["objects"]])
    calibrated, raw = shown
    assert [row[:2] for row in calibrated] == [row[:2] for row in raw]
    assert all(a[2] > b[2] and a[3] > b[3] for a, b in zip(calibrated, raw, strict=True))


def test_nothing_is_replaced_unasked_and_no_photograph_ever(
    predict: Any, photos: Path, tmp_path: Path
) -> None:
    Image.open(photos / "0.png").save(photos / "a.jpg")
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    one = partial(predict, photos / "a.jpg")
    for switch in ([], ["--overwrite"]):
        assert "is what the command reads" in one("--draw", photos, *switch, code=2).err
        assert "is what the command reads" in one("--out", photos / "a.jpg", *switch, code=2).err
    assert "is a file" in predict(photos / "0.png", "--draw", photos / "a.jpg", code=2).err

    out, drawn = tmp_path / "found.jsonl", tmp_path / "drawn"
    one("--out", out, "--draw", drawn)
    for words in (["--out", out], ["--draw", drawn]):
        assert "is there already" in one(*words, code=2).err
        one(*words, "--overwrite")
    assert "--overwrite makes it anew" in one("--out", out, "--resume", code=2).err
    assert {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()} == before


def test_images_that_cannot_be_opened_are_named_and_the_others_done(
    predict: Any, photos: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "cut.png").write_bytes((photos / "0.png").read_bytes()[:300])
    odd = photos / os.fsdecode(b"caf\xe9.png")
    shutil.copyfile(photos / "1.png", odd)
    bad = [tmp_path / f"{name}.png" for name in ("pipe", "loop", "cut", "absent")]
    out, drawn = tmp_path / "found.jsonl", tmp_path / "drawn"
    said = predict(*bad, odd, photos / "0.png", "--out", out, "--draw", drawn, code=1).err
    assert "pipe.png: cannot be read: a pipe, not a file" in said
    assert "loop.png: cannot be read: Too many levels of symbolic links" in said
    assert "cut.png: damaged or truncated" in said and "absent.png: no such image" in said
    assert images_in(out) == [str(odd), str(photos / "0.png")]
    assert sorted(os.fsencode(p.name) for p in drawn.iterdir()) == [b"0.jpg", b"caf\xe9.jpg"]
