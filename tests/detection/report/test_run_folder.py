from __future__ import annotations

import json
import logging
import math
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from argusvl.core.errors import ArgusError, DataError
from argusvl.detection.measure.figures import FIGURES, PrecisionCurve
from argusvl.detection.measure.reliability import Bin
from argusvl.detection.report import sections
from argusvl.detection.report.evaluation_files import Misdescribed
from argusvl.run.reading import load_run as load_run_of
from argusvl.visual.report import ReportData
from argusvl.visual.sections import RunFolder, TaskReport


def load_run(folder: Path) -> ReportData:
    """A run of detection."""
    return load_run_of(folder, FIGURES, sections.task_report)


def boxes(folder: Path) -> sections.BoxData:
    """What the task's own sections show of it."""
    read: list[sections.BoxData] = []

    def keep(run: RunFolder) -> TaskReport:
        read.append(sections.load_box_data(run))
        return sections.task_report(run)

    load_run_of(folder, FIGURES, keep)
    return read[0]


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), encoding="utf-8"
    )


BINS = [{"confidence": 0.8, "accuracy": 0.75, "count": 4}]
NOTHING = {"bins": [], "ece": None, "bins_before": None, "ece_before": None}
CALIBRATION = {**NOTHING, "bins": BINS, "ece": 0.05, "types": NOTHING, "measured_on": "val.jsonl"}


def gallery(*images: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A file's content; images of which only a part is said are whole."""
    rest = {"width": 40, "height": 30, "chosen": "errors", "truth": [], "predictions": []}
    counted = {"score_threshold": 0.3, "images_total": 1, "kinds": {}, "confusion": {}, "misdescribed": []}
    return {**counted, "images": [rest | one for one in images], **changes}


def curves(**of_class: Any) -> dict[str, Any]:
    """A file's content, with one class."""
    return {"iou": 0.5, "classes": {"a": of_class}}


def state(folder: Path, steps: int, **last: float) -> None:
    log = [{"step": 1, "loss": 2.0}, {"step": steps, "loss": 1.0, **last}]
    write(folder / f"checkpoint-{steps}" / "trainer_state.json", {"global_step": steps, "log_history": log})


def test_a_whole_run_is_read(tmp_path: Path) -> None:
    run = tmp_path / "demo"
    for steps in (9, 100, 20):
        state(run, steps)
    Image.new("RGB", (40, 30)).save(run / "a.jpg")
    figures = {"AP50": 0.9, "AP": 0.6, "images": 12, "caption_exact": None}
    write(
        run / "summary.json",
        {"ap50": 0.9, "train_seconds": 12.5, "before": {"AP50": 0.0}, "after": figures}
        | {"per_class": {"螺丝": {"AP50": 0.9, "AP": None}}},
    )
    found = {"bbox_2d": [1, 2, 9, 9], "label": "螺丝", "score": 0.5, "label_score": 0.7}
    truth = {"bbox_2d": [1, 2, 9, 8.5], "desc": "螺丝/a", "label": "螺丝"}
    picture = {"image": "a.jpg", "truth": [truth], "predictions": [found]}
    said = "1 of 12 pictures (the 1 with the most errors, and 0 spread evenly over the others)"
    write(
        run / "gallery.json",
        gallery(picture, images_total=12)
        | {"kinds": {"螺丝": {"right": 7, "false": 2}}, "confusion": {"螺丝": {"螺丝": 7}}}
        | {"misdescribed": [{"truth": "螺丝/a", "said": "螺丝/b", "count": 3}]},
    )
    curve = {"precision": [1, 0.5, 0], "scores": [0.9, 0.4, 0], "f1": [0.4, 0.5, 0]}
    write(run / "precision_recall.json", {"iou": 0.5, "classes": {"螺丝": curve}})
    write(run / "calibration.json", CALIBRATION)
    write(run / "config.yaml", "task: detection\n")
    environment = {"python": "3.11", "packages": {"torch": "2.13"}, "devices": ["cpu", "cuda:0"]}
    write(run / "environment.json", environment)
    data = load_run(run)
    assert (data.title, data.subtitle) == ("demo", "100 training steps")
    assert [entry["step"] for entry in data.log_history] == [1, 100]
    assert [(row.name, row.before, row.after) for row in data.figures] == [
        ("AP50", 0.0, 0.9),
        ("AP", None, 0.6),
        ("caption_exact", None, None),
    ]
    assert data.facts == {"train_seconds": 12.5, "images evaluated": 12}
    assert said in data.sections[1].html
    shown = boxes(run)
    assert shown.per_class == {"螺丝": {"AP50": 0.9, "AP": None}}
    (item,) = shown.items
    assert (item.image, item.size) == (run / "a.jpg", (40, 30))
    assert [(b.label, b.score) for b in (*item.truth, *item.predicted)] == [("螺丝/a", None), ("螺丝", 0.5)]
    assert [b.counted_as for b in (*item.truth, *item.predicted)] == ["螺丝", "螺丝"]
    assert (shown.gallery.score_threshold, shown.gallery.images_total) == (0.3, 12)
    assert shown.gallery.kinds == {"螺丝": {"right": 7, "false": 2}}
    assert shown.gallery.confusion == {"螺丝": {"螺丝": 7}}
    assert shown.gallery.misdescribed == [Misdescribed("螺丝/a", "螺丝/b", 3)]
    assert shown.precision_recall == {"螺丝": PrecisionCurve([1, 0.5, 0], [0.9, 0.4, 0], [0.4, 0.5, 0])}
    (score,) = shown.calibration.values()
    assert (score.bins, score.ece, score.bins_before) == ([Bin(0.8, 0.75, 4)], 0.05, None)
    assert data.configuration == "task: detection\n"
    assert data.environment == {"python": "3.11", "torch": "2.13", "devices": "cpu, cuda:0"}


def test_without_a_summary_the_last_evaluation_of_the_log_gives_the_figures(tmp_path: Path) -> None:
    state(tmp_path, 50, eval_AP50=0.4, eval_AP=0.2, eval_runtime=3.0)
    data = load_run(tmp_path)
    assert [(row.name, row.before, row.after) for row in data.figures] == [
        ("AP50", None, 0.4),
        ("AP", None, 0.2),
    ]


def test_without_an_evaluation_figures_are_the_best_checkpoints(tmp_path: Path) -> None:
    history = [
        {"step": step, "epoch": step / 10, "eval_AP50": ap50, "throughput/images_per_second": speed}
        for step, ap50, speed in ((10, 0.2, 1.0), (20, 0.6, 7.0), (30, 0.5, 8.0))
    ]
    state = {"global_step": 30, "best_global_step": 20, "log_history": history}
    write(tmp_path / "checkpoint-30" / "trainer_state.json", state)
    data = load_run(tmp_path)
    assert [row.after for row in data.figures] == [0.6]
    assert data.measured_on == "held-out records while training, at step 20"
    assert data.facts == {"epochs": 3.0, "images_per_second": 7.0}


def test_an_evaluation_in_a_folder_of_the_run_is_found_and_the_newest_is_shown(tmp_path: Path) -> None:
    state(tmp_path, 50, eval_AP50=0.1)
    write(tmp_path / "calibration.json", CALIBRATION | {"ece": 0.5})
    for age, name in ((100, "val"), (0, "test")):
        figures = {"AP50": 0.8 if name == "test" else 0.7, "data": f"{name}.jsonl", "checkpoint": "c"}
        write(tmp_path / name / "figures.json", figures)
        write(tmp_path / name / "gallery.json", gallery({"image": f"{name}.jpg"}))
        write(
            tmp_path / name / "precision_recall.json",
            {"iou": 0.5, "classes": {name: {"precision": [1], "scores": [1]}}},
        )
        stamp = (tmp_path / name / "figures.json").stat().st_mtime - age
        os.utime(tmp_path / name / "figures.json", (stamp, stamp))
    data = load_run(tmp_path)
    assert [(row.name, row.after) for row in data.figures] == [("AP50", 0.8)]
    assert data.measured_on == "test.jsonl"
    assert (data.facts["checkpoint evaluated"], data.facts["other evaluations"]) == ("c", "val")
    assert [item.image for item in boxes(tmp_path).items] == [tmp_path / "test" / "test.jpg"]
    assert set(boxes(tmp_path).precision_recall) == {"test"}
    assert boxes(tmp_path).calibration["score"].ece == 0.5  # of the training run: the evaluation wrote none
    assert len(data.log_history) == 2
    write(tmp_path / "test" / "calibration.json", CALIBRATION | {"ece": 0.25})
    assert boxes(tmp_path).calibration["score"].ece == 0.25
    assert load_run(tmp_path / "val").figures[0].after == 0.7
    write(tmp_path / "figures.json", {"AP50": 0.9})
    assert load_run(tmp_path).figures[0].after == 0.9
    assert load_run(tmp_path).facts["other evaluations"] == "test, val"


def test_the_latest_evaluation_stands_for_the_summary_s_figures(tmp_path: Path) -> None:
    write(tmp_path / "summary.json", {"before": {"AP50": 0.1}, "after": {"AP50": 0.5}, "images": 7})
    taught = {"AP50": 0.75, "teachers": 2}
    per_class = {"a": {"AP50": 0.75, "count": 4}}
    figures = {"AP50": 0.6, "images": 3, "with_teachers": taught, "per_class": per_class}
    write(tmp_path / "figures.json", figures)
    assert boxes(tmp_path).per_class == per_class
    data = load_run(tmp_path)
    assert [(row.before, row.after, row.beside) for row in data.figures] == [(0.1, 0.6, 0.75)]
    assert data.beside == "with 2 teachers"
    assert data.facts == {"images": 7, "images evaluated": 3}


def test_the_steps_and_the_best_of_them_are_said(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint-1200" / "trainer_state.json"
    state = {"global_step": 1200, "log_history": [{"step": 1, "loss": 2.0}]}
    for best, said in ((900, "best at step 900"), (1200, "the last one best")):
        write(file, state | {"best_global_step": best})
        assert load_run(tmp_path).subtitle == f"1\u202f200 training steps, {said}"


def test_label_scores_have_a_calibration_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "summary.json", {})
    some = {"bins": BINS, "ece": 0.05}
    for scores, types, names in ((some, some, {"score", "label score"}), (NOTHING, some, {"label score"})):
        write(tmp_path / "calibration.json", {**scores, "types": types, "measured_on": "val.jsonl"})
        data = boxes(tmp_path)
        assert set(data.calibration) == names
        assert data.calibration_note == "val.jsonl"


def test_a_log_with_nan_is_read(tmp_path: Path) -> None:
    state(tmp_path, 5, grad_norm=math.nan)
    assert math.isnan(load_run(tmp_path).log_history[-1]["grad_norm"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary.json", "{", "is damaged: malformed JSON"),
        ("summary.json", [1], "no JSON object"),
        ("summary.json", {"after": 3}, "field 'after'"),
        ("summary.json", {"per_class": {"a": 1}}, "field 'per_class'"),
        ("gallery.json", {"image": []}, "Field required"),
        ("gallery.json", [], "no JSON object"),
        ("gallery.json", gallery(images=3), "field 'images'"),
        ("gallery.json", gallery(images=[{"truth": []}]), r"images\[0\]\.image"),
        ("gallery.json", gallery({"image": "a.jpg", "truth": 1}), r"images\[0\]\.truth"),
        ("gallery.json", gallery({"image": "a.jpg", "width": "40"}), r"images\[0\]\.width"),
        (
            "gallery.json",
            gallery({"image": "a.jpg", "predictions": [{"bbox_2d": [1, 2], "label": "a"}]}),
            r"images\[0\]\.predictions\[0\]\.bbox_2d",
        ),
        (
            "gallery.json",
            gallery({"image": "a.jpg", "truth": [{"bbox_2d": [1, 2, 3, 4], "label": "a"}]}),
            r"truth\[0\]\.desc",
        ),
        ("gallery.json", gallery(kinds={"a": 3}), r"field 'kinds\.a'"),
        ("gallery.json", gallery(kinds={"a": {"lost": 3}}), r"kinds\.a\.lost"),
        ("gallery.json", gallery(kinds={"a": {"missed": -1}}), r"kinds\.a\.missed"),
        ("gallery.json", gallery(confusion={"a": {"b": "1"}}), r"confusion\.a\.b"),
        ("gallery.json", gallery(misdescribed={}), "field 'misdescribed'"),
        ("gallery.json", gallery(misdescribed=[{"truth": "a", "count": 1}]), r"misdescribed\[0\]"),
        ("figures.json", [1], "no JSON object"),
        ("figures.json", {"with_teachers": 3}, "field 'with_teachers'"),
        ("figures.json", {"per_class": {"a": 1}}, "field 'per_class'"),
        ("environment.json", [1], "no JSON object"),
        ("precision_recall.json", {"iou": 0.5, "classes": []}, "field 'classes'"),
        ("precision_recall.json", curves(precision=[2], scores=[0]), r"classes\.a\.precision\[0\]"),
        ("precision_recall.json", curves(precision=[1], scores=[]), "one length"),
        ("precision_recall.json", curves(precision=[1, 0], scores=[0]), "one length"),
        ("precision_recall.json", curves(precision=[1], scores=[1], f1=[1, 1]), "one length"),
        ("calibration.json", CALIBRATION | {"ece": 7}, "field 'ece'"),
        ("calibration.json", CALIBRATION | {"types": 3}, "field 'types'"),
        ("calibration.json", CALIBRATION | {"types": NOTHING | {"ece": 3}}, r"types\.ece"),
        ("calibration.json", CALIBRATION | {"bins": 3}, "field 'bins'"),
        (
            "calibration.json",
            CALIBRATION | {"bins": [{"confidence": 0.5, "count": 3}]},
            r"bins\[0\]\.accuracy",
        ),
        ("calibration.json", {"bins": BINS}, "field 'ece': Field required"),
        ("calibration.json", CALIBRATION | {"ece": 10**400}, "field 'ece'"),
        ("calibration.json", CALIBRATION | {"ece": True}, "field 'ece'"),
        ("calibration.json", CALIBRATION | {"bins_before": [7]}, r"bins_before\[0\]"),
        ("checkpoint-3/trainer_state.json", {"global_step": 3}, "log_history"),
    ],
)
def test_a_damaged_file_is_named_with_a_field(tmp_path: Path, name: str, content: Any, message: str) -> None:
    write(tmp_path / "summary.json", {})
    write(tmp_path / name, content)
    with pytest.raises(DataError, match=message) as error:
        load_run(tmp_path)
    assert Path(name).name in str(error.value)


def test_one_damaged_checkpoint_is_passed_over_and_damaged_events_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("argusvl"), "propagate", True)
    for steps in (9, 20, 100):
        state(tmp_path, steps)
    (tmp_path / "checkpoint-20" / "trainer_state.json").write_text('{"log_history": [')
    assert load_run(tmp_path).subtitle == "100 training steps"
    assert "passed over" in caplog.text and "checkpoint-20" in caplog.text
    (tmp_path / "events.jsonl").write_bytes(b"\xff\x00\n")
    with pytest.raises(DataError, match="events.jsonl"):
        load_run(tmp_path)


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    write(tmp_path / "summary.json", {})
    for name in ("config.yaml", "figures.json"):
        (tmp_path / name).write_bytes("标签".encode("gbk"))
        with pytest.raises(DataError, match=f"{name}: .*not UTF-8"):
            load_run(tmp_path)
        (tmp_path / name).unlink()


def test_a_folder_with_nothing_to_show_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgusError, match="no such folder"):
        load_run(tmp_path / "none")
    with pytest.raises(ArgusError, match="nothing to report"):
        load_run(tmp_path)
