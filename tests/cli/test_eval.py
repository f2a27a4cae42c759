from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from argusvl.detection.measure.calibration import Calibration
from argusvl.detection.predict.checkpoint import DetectionAssets

LINE = '{"images": ["a.png"], "objects": [{"bbox_2d": [9, 9, %d, 12], "desc": "a"}]}\n'
FIGURES = {"AP", "AP50", "AP75", "AR100", "AP50_agnostic", "caption_exact", "recall", "per_class"}


@pytest.fixture
def evaluate(argus: Any, tiny_checkpoint: Path, scenes: Path) -> Any:
    return partial(argus, "eval", tiny_checkpoint, scenes)


def test_figures_go_to_stdout_as_a_table_to_stderr_and_with_pictures_into_a_folder(
    evaluate: Any, scenes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "result"
    output = evaluate("--json", "--batch-size", "2", "--teachers", "2", "--out", out)
    result = output.json
    assert set(result) >= FIGURES
    assert result["with_teachers"]["teachers"] == 2 and set(result["with_teachers"]) >= FIGURES
    assert (result["images"], result["objects"]) == (6, 12)
    assert result["per_class"]["标签贴纸"]["count"] == 4
    assert all(0 <= result[name] <= 1 for name in FIGURES - {"per_class"})
    for text in ("标签贴纸", "AP50_agnostic", "caption_exact", "recall", "6 images, 12 objects"):
        assert text in output.err
    assert json.loads((out / "figures.json").read_text("utf-8")) == result
    lines = (out / "predictions.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["image"] for line in lines] == [f"{k}.png" for k in range(6)]
    gallery = json.loads((out / "gallery.json").read_text("utf-8"))["images"]
    assert [entry["image"] for entry in gallery] == [str(scenes.parent / f"{k}.png") for k in range(6)]
    assert set(gallery[0]["truth"][0]) == {"bbox_2d", "desc", "label"}


def test_without_json_stdout_stays_empty(evaluate: Any) -> None:
    output = evaluate("--no-captions", "--max-examples", "2")
    assert output.out == ""
    assert "2 images" in output.err and "caption_exact -" in output.err


def test_only_an_evaluation_is_replaced_by_an_evaluation(evaluate: Any, scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").write_text("mine\n")
    words = ["--max-examples", "1", "--out", tmp_path]
    assert "predictions.jsonl: is there already" in evaluate(*words, code=2).err
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.jsonl"]
    evaluate(*words, "--overwrite")
    evaluate(*words)  # what is there now is an evaluation's


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such records file"),
        ("", "holds no record"),
        ('{"images": ["x.png"], "objects": [}\n', "val.jsonl:1: malformed JSON"),
        ('{"images": ["x.png"], "objects": []}\n', "x.png): no such image file"),
        (LINE % 2, "is inverted"),
        (LINE % 200, "reaches outside its image"),
    ],
)
def test_bad_data_exits_with_2_and_names_the_place(
    argus: Any, content: str | None, message: str, tiny_checkpoint: Path, scenes: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes((scenes.parent / "3.png").read_bytes())
    if content is not None:
        (tmp_path / "val.jsonl").write_text(content)
    assert message in argus("eval", tiny_checkpoint, tmp_path / "val.jsonl", code=2).err


@pytest.mark.parametrize(
    ("path", "option"),
    [
        ("text", ["--mirror"]),
        ("text", ["--no-captions"]),
        ("text", ["--open-captions"]),
        ("text", ["--raw-scores"]),
        ("head", ["--max-new-tokens", "9"]),
    ],
)
def test_options_of_what_is_not_measured_are_refused(evaluate: Any, path: str, option: list[str]) -> None:
    error = evaluate("--path", path, *option, code=2).err
    assert option[0] in error and f"--path {path} does not measure" in error and "--path both" in error


def test_a_folder_and_other_pixel_limits_are_refused(
    argus: Any, evaluate: Any, tiny_checkpoint: Path, scenes: Path
) -> None:
    assert str(scenes) in argus("eval", tiny_checkpoint, scenes.parent, code=2).err
    assert "trained with 3136" in evaluate("--min-pixels", "784", code=2).err


def test_reliability_is_reported_and_an_uncalibrated_checkpoint_says_so(
    argus: Any, tiny_checkpoint: Path, scenes: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))

    def measured(*switches: str) -> tuple[dict[str, Any], dict[str, Any], str]:
        out = tmp_path / "out"
        output = argus("eval", folder, scenes, "--no-captions", "--json", "--out", out, *switches)
        written = json.loads((out / "calibration.json").read_text("utf-8"))
        return output.json, written, output.err

    figures, written, said = measured()
    assert "scores are not calibrated: the checkpoint was written without one" in said
    assert figures["ece_before"] is None and written["bins_before"] is None
    assert written["measured_on"] == str(scenes)
    assets = DetectionAssets.load(folder)
    calibration = Calibration(1.0, 2.0, 3.0, 0.5, 9, 99)
    config = {"data": {"val": str(scenes)}}
    replace(assets, calibration=calibration, calibration_note="by hand", config=config).save(folder)
    figures, written, said = measured()
    assert "before calibration" in said and "by hand: these, so that ece is smaller than on others" in said
    assert figures["ece"] == written["ece"] and figures["ece_before"] == written["ece_before"] is not None
    assert "which scores were fitted on" in written["measured_on"]
    figures, written, said = measured("--raw-scores")
    assert "scores are not calibrated: left as they are" in said and written["bins_before"] is None


def test_data_of_other_classes_are_said_to_be_so(
    argus: Any, evaluate: Any, tiny_checkpoint: Path, scenes: Path
) -> None:
    other = scenes.with_name("other.jsonl")
    lines = [json.loads(line) for line in scenes.read_text("utf-8").splitlines()]
    for line in lines:
        for one in line.get("student", line)["objects"]:
            one["desc"] = "turtle"
    other.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    said = argus("eval", tiny_checkpoint, other, "--no-captions").err
    assert "None of the data's classes (turtle) is a label" in said
    assert "None of the data's classes" not in evaluate("--no-captions").err


def test_written_answers_are_measured_beside_the_head(argus: Any, evaluate: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--json", "--max-new-tokens", "3", "--out", out]
    output = evaluate(*words, "--path", "both")
    both = output.json
    assert both["path"] == "both" and set(both) >= FIGURES and set(both["text"]) >= FIGURES
    # Random weights write no list.
    assert both["text"]["answers"] == {"count": 5, "incomplete": 5, "dropped": 0}
    assert both["text"]["AP50"] == both["text"]["boxes_per_second"] == 0
    assert (both["text"]["images"], both["text"]["objects"]) == (6, 12)
    assert "as written text" in output.err and "5 answers, 5 incomplete, 0 parts dropped" in output.err
    argus("report", out, "--out", tmp_path / "both.html")
    assert "as written text" in (tmp_path / "both.html").read_text("utf-8")
    answers = [json.loads(line) for line in (out / "answers.jsonl").read_text("utf-8").splitlines()]
    assert [answer["images"] for answer in answers][3:] == [["3.png", "4.png"], ["5.png"]]

    text = evaluate(*words, "--path", "text", "--teachers", "1").json
    assert text["path"] == "text" and text["AP50"] == 0 and "text" not in text and "ece" not in text
    assert text["with_teachers"]["answers"]["count"] == 5


def test_a_model_without_a_head_is_measured_by_what_it_writes(
    argus: Any, tiny_checkpoint: Path, scenes: Path, tmp_path: Path
) -> None:
    from argusvl.detection.model.configuration import ArgusDetectionConfig
    from argusvl.detection.model.modeling import ArgusForDetection, load_qwen

    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    qwen = load_qwen(folder / "qwen")
    config = ArgusDetectionConfig(qwen_config=qwen.config, detection_enabled=False)
    ArgusForDetection(config, qwen).save_pretrained(folder)
    assert "--path text" in argus("eval", folder, scenes, code=2).err
    argus("eval", folder, scenes, "--path", "text", "--max-new-tokens", "2")


def test_meteor_that_cannot_run_is_told_before_the_work(
    evaluate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    assert "argusvl[pycocoevalcap]" in evaluate("--meteor", code=2).err
