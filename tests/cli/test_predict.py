from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image
from safetensors.torch import load_file, save_file

from argusvl.cli.main import run
from argusvl.detection.measure.calibration import Calibration
from argusvl.detection.predict import Predictor
from argusvl.detection.predict.checkpoint import DetectionAssets

pytestmark = pytest.mark.usefixtures("quiet_logging")

EVERYTHING = ("--score-threshold", "0")


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


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_results_are_lines_of_json_on_stdout(
    tiny_checkpoint: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_checkpoint), str(photos / "0.png"), *EVERYTHING]) == 0
    (line,) = lines(capsys.readouterr().out)
    assert (line["image"], line["width"], line["height"]) == (str(photos / "0.png"), 160, 120)
    (found,) = Predictor.from_pretrained(tiny_checkpoint).predict_detection(
        photos / "0.png", score_threshold=0
    )
    assert line["objects"] == found.to_jsonl("x")["objects"]
    assert set(line["objects"][0]) == {"bbox_2d", "label", "score", "label_score", "desc"}


def test_a_folder_is_searched_and_pictures_are_drawn(
    tiny_checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, drawn = tmp_path / "found.jsonl", tmp_path / "drawn"
    words = ["predict", str(tiny_checkpoint), str(photos), "--out", str(out), "--draw", str(drawn)]
    assert run([*words, "--batch-size", "3", *EVERYTHING]) == 0
    assert capsys.readouterr().out == ""
    names = ["0.png", "1.png", "2.png", "deeper/0.png"]
    assert [line["image"] for line in lines(out.read_text("utf-8"))] == [str(photos / n) for n in names]
    assert sorted(p.name for p in drawn.iterdir()) == ["0.jpg", "0_2.jpg", "1.jpg", "2.jpg"]
    assert Image.open(drawn / "0.jpg").size != (160, 120)  # enlarged, so that labels can be read
    assert not list(tmp_path.glob("*.part"))


def test_a_link_to_what_is_not_there_is_refused_by_name(
    tiny_checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    shutil.copy(photos / "0.png", folder / "a.png")
    (folder / "b.png").symlink_to(tmp_path / "nowhere.png")
    assert run(["predict", str(tiny_checkpoint), str(folder), *EVERYTHING]) == 1
    out, err = capsys.readouterr()
    assert len(lines(out)) == 1 and f"{folder / 'b.png'}: no such image" in err


def test_other_labels_and_no_captions(
    tiny_checkpoint: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--labels", "螺丝, fan", "--no-captions", "--teachers", "1"]
    assert run(["predict", str(tiny_checkpoint), str(photos / "0.png"), *arguments, *EVERYTHING]) == 0
    (line,) = lines(capsys.readouterr().out)
    assert {o["label"] for o in line["objects"]} <= {"螺丝", "fan"}
    assert all("desc" not in o for o in line["objects"])


def test_nothing_above_the_threshold_is_said_with_a_hint(
    tiny_checkpoint: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_checkpoint), str(photos / "0.png")]) == 0
    output = capsys.readouterr()
    assert lines(output.out)[0]["objects"] == []
    assert "--score-threshold" in output.err


def test_an_exif_turned_photograph_is_turned_and_that_is_said(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (120, 90), "teal").save(tmp_path / "phone.jpg", exif=exif)
    assert run(["predict", str(tiny_checkpoint), str(tmp_path / "phone.jpg"), *EVERYTHING]) == 0
    output = capsys.readouterr()
    (line,) = lines(output.out)
    assert (line["width"], line["height"], line["note"]) == (90, 120, "turned upright (EXIF 6)")
    assert "turned upright (EXIF 6)" in output.err


def test_only_bad_images_exit_with_2(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    assert run(["predict", str(tiny_checkpoint), str(tmp_path / "page.jpg"), str(tmp_path / "none.png")]) == 2
    assert "not an image" in capsys.readouterr().err


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
    arguments: list[str],
    message: str,
    tiny_checkpoint: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    stands_for = {"CHECKPOINT": tiny_checkpoint, "PHOTO": photos / "0.png", "EMPTY": tmp_path / "empty"}
    stands_for |= {"LOOP": tmp_path / "loop", "BELOW A FILE": photos / "notes.txt" / "found.jsonl"}
    assert run(["predict", *(str(stands_for.get(a, a)) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error and "What to do" in error


def test_an_interrupted_run_keeps_what_was_there_and_resumes(
    tiny_checkpoint: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "found.jsonl"
    out.write_text("what was there before\n")
    checkpoint = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    one_by_one = ["--batch-size", "1", *EVERYTHING]
    arguments = ["predict", str(checkpoint), str(photos), "--out", str(out), "--overwrite", *one_by_one]
    stream = Predictor.stream
    asked: list[int] = []

    def interrupted(self: Predictor, images: list[Path], *args: Any, **kwargs: Any) -> Any:
        asked.append(len(images))
        for k, result in enumerate(stream(self, images, *args, **kwargs)):
            if len(asked) == 1 and k == 2:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(Predictor, "stream", interrupted)
    assert run(arguments) == 130
    assert "2 images are kept" in capsys.readouterr().err
    assert out.read_text() == "what was there before\n"

    assert run(arguments) == 2  # neither thrown away nor mixed up
    assert "--resume" in capsys.readouterr().err
    assert run([*arguments, "--resume", "--no-captions"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    for told in ("nothing to resume", "begun with other options", ".part and leave --resume out"):
        assert told in said

    weights = checkpoint / "model.safetensors"  # the same path may lead to another model by now
    before = weights.read_bytes()
    save_file({name: weight + 0.01 for name, weight in load_file(weights).items()}, weights)
    assert run([*arguments, "--resume"]) == 2
    assert "nothing to resume" in capsys.readouterr().err
    weights.write_bytes(before)

    (part,) = tmp_path.glob("*.part")
    with part.open("a") as stream_of_part:
        stream_of_part.write('{"image": "cut in the mid')
    assert run([*arguments, "--resume"]) == 0
    assert asked == [4, 2]
    names = ["0.png", "1.png", "2.png", "deeper/0.png"]
    assert [line["image"] for line in lines(out.read_text("utf-8"))] == [str(photos / n) for n in names]
    assert not list(tmp_path.glob("*.part"))


def test_a_long_name_and_a_wide_picture_are_drawn(
    tiny_checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long, wide = tmp_path / f"{'a' * 250}.png", tmp_path / "wide.png"
    shutil.copyfile(photos / "0.png", long)
    Image.new("RGB", (65_500, 8), "teal").save(wide)
    drawn, out = tmp_path / "drawn", tmp_path / "found.jsonl"
    words = ["predict", str(tiny_checkpoint), str(long), "--draw", str(drawn), "--out", str(out), *EVERYTHING]
    assert run(words) == 0
    assert [path.name for path in drawn.iterdir()] == [f"{'a' * 240}.jpg"]
    assert run(["predict", "argus-hand", str(wide), "--box", "whole", "--draw", str(tmp_path / "hands")]) == 0
    with Image.open(tmp_path / "hands" / "wide.jpg") as picture:
        assert max(picture.size) <= 65_535


def test_a_full_disk_leaves_the_old_results(
    tiny_checkpoint: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "found.jsonl"
    out.write_text("what was there before\n")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("argusvl.cli.predictions_file.os.fsync", full)
    words = ["predict", str(tiny_checkpoint), str(photos), "--out", str(out), "--overwrite", *EVERYTHING]
    assert run(words) == 2
    error = capsys.readouterr().err
    assert "No space left on device" in error and "free space" in error
    assert out.read_text() == "what was there before\n"


def test_captions_of_the_training_descriptions_unless_open(
    tiny_checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "closed"))
    assets = DetectionAssets.load(folder)
    replace(assets, descriptions=assets.labels).save(folder)
    assert run(["predict", str(folder), str(photos / "0.png"), *EVERYTHING]) == 0
    (line,) = lines(capsys.readouterr().out)
    assert {o["desc"] for o in line["objects"]} <= set(assets.labels)
    assert run(["predict", str(folder), str(photos / "0.png"), *EVERYTHING, "--open-captions"]) == 0
    (line,) = lines(capsys.readouterr().out)
    assert not {o["desc"] for o in line["objects"]} <= set(assets.labels)


def test_scores_are_calibrated_unless_raw(
    tiny_checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "calibrated"))
    replace(DetectionAssets.load(folder), calibration=Calibration(1.0, 2.0, 3.0, 0.5, 9, 99)).save(folder)
    shown = []
    words = ["predict", str(folder), str(photos / "0.png"), *EVERYTHING, "--no-captions"]
    for switch in ([], ["--raw-scores"]):
        assert run([*words, *switch]) == 0
        (line,) = lines(capsys.readouterr().out)
        shown.append([(o["bbox_2d"], o["label"], o["score"], o["label_score"]) for o in line["objects"]])
    calibrated, raw = shown
    assert [row[:2] for row in calibrated] == [row[:2] for row in raw]
    assert all(a[2] > b[2] and a[3] > b[3] for a, b in zip(calibrated, raw, strict=True))


def test_nothing_is_replaced_unasked_and_no_photograph_ever(
    tiny_checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.open(photos / "0.png").save(photos / "a.jpg")
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    one = ["predict", str(tiny_checkpoint), str(photos / "a.jpg"), *EVERYTHING]
    for switch in ([], ["--overwrite"]):
        assert run([*one, "--draw", str(photos), *switch]) == 2
        assert "is what the command reads" in capsys.readouterr().err
        assert run([*one, "--out", str(photos / "a.jpg"), *switch]) == 2
        assert "is what the command reads" in capsys.readouterr().err
    assert run(["predict", str(tiny_checkpoint), str(photos / "0.png"), "--draw", str(photos / "a.jpg")]) == 2
    assert "is a file" in capsys.readouterr().err

    out, drawn = tmp_path / "found.jsonl", tmp_path / "drawn"
    assert run([*one, "--out", str(out), "--draw", str(drawn)]) == 0
    for words in (["--out", str(out)], ["--draw", str(drawn)]):
        assert run([*one, *words]) == 2
        assert "is there already" in capsys.readouterr().err
        assert run([*one, *words, "--overwrite"]) == 0
    assert run([*one, "--out", str(out), "--resume"]) == 2
    assert "--overwrite makes it anew" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()} == before


def test_images_that_cannot_be_opened_are_named_and_the_others_done(
    tiny_checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "cut.png").write_bytes((photos / "0.png").read_bytes()[:300])
    odd = photos / os.fsdecode(b"caf\xe9.png")
    shutil.copyfile(photos / "1.png", odd)
    bad = [tmp_path / f"{name}.png" for name in ("pipe", "loop", "cut", "absent")]
    images = [str(path) for path in (*bad, odd, photos / "0.png")]
    out, drawn = tmp_path / "found.jsonl", tmp_path / "drawn"
    words = ["predict", str(tiny_checkpoint), *images, "--out", str(out), "--draw", str(drawn)]
    assert run([*words, *EVERYTHING]) == 1
    said = capsys.readouterr().err
    assert "pipe.png: cannot be read: a pipe, not a file" in said
    assert "loop.png: cannot be read: Too many levels of symbolic links" in said
    assert "cut.png: damaged or truncated" in said and "absent.png: no such image" in said
    assert "Traceback" not in said
    assert [line["image"] for line in lines(out.read_text())] == [str(odd), str(photos / "0.png")]
    assert sorted(os.fsencode(p.name) for p in drawn.iterdir()) == [b"0.jpg", b"caf\xe9.jpg"]
