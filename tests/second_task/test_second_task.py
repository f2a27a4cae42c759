"""A second task goes through every verb by an entry in the table alone: nothing of Argus is edited for it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from argusvl.config.loading import to_yaml
from argusvl.tasks import TASKS, TaskEntry

ENTRY = TaskEntry(
    config="pose_task:PoseRunConfig",
    task="pose_task:PoseTask",
    figures="pose_task:FIGURES",
    predictor="pose_task:load_predictor",
    evaluation="pose_task:evaluate_checkpoint",
    report="pose_task:task_report",
    commands={"data synth": "pose_task:synth"},
)


@pytest.fixture(autouse=True)
def _in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "pose", ENTRY)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def config(argus: Any, tmp_path: Path) -> Callable[[str], str]:
    """Writes the configuration of a run by its name, with data that the task's own verb has drawn."""
    from pose_task import PoseRunConfig, PoseSection
    from toy_task import toy_config

    from argusvl.config.schema import DataSection

    for split, images in (("train", 48), ("val", 12)):
        words = ["data", "synth", tmp_path / split, "--images", images, "--task", "pose"]
        argus(*words, "--seed", images)

    def write(name: str) -> str:
        options: dict[str, Any] = {
            "num_train_epochs": 3.0,
            "eval_steps": 6,
            "save_steps": 6,
            "save_total_limit": 9,
        }
        common = toy_config(tmp_path / name, metric_for_best_model="mpjpe", **options)
        whole = PoseRunConfig(
            task="pose",
            data=DataSection(train=tmp_path / "train", val=tmp_path / "val", max_examples=None),
            training=common.training,
            infrastructure=common.infrastructure,
            pose=PoseSection(pose_lr=0.02),
        )
        file = tmp_path / f"{name}.yaml"
        file.write_text(to_yaml(whole), encoding="utf-8")
        return str(file)

    return write


def log_of(run_folder: Path) -> list[dict[str, Any]]:
    newest = max(run_folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    history = json.loads((newest / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    taking_time = ("seconds", "throughput", "memory")
    return [{k: v for k, v in e.items() if not any(word in k for word in taking_time)} for e in history]


def test_a_task_is_trained_measured_used_and_reported(
    argus: Any, config: Callable[[str], str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    trained = argus("train", config("run"), "--json").json

    # The best checkpoint is the one with the lowest error, neither the first nor what another direction would choose.
    measured = {e["step"]: e["eval_mpjpe"] for e in log_of(folder) if "eval_mpjpe" in e}
    best = min(measured, key=lambda step: measured[step])
    assert len(measured) == 6 and best != max(measured, key=lambda step: measured[step])
    assert Path(trained["best_checkpoint"]).name == f"checkpoint-{best}"
    assert trained["best_metric"] == measured[best]
    assert (folder / "best").resolve().name == f"checkpoint-{best}"

    # Eval finds the run's best checkpoint, and by its task the options and the figures.
    output = argus("eval", folder, tmp_path / "val", "--json", "--out", folder / "test")
    result = output.json
    assert result["checkpoint"] == str(folder / f"checkpoint-{best}")
    assert result["mpjpe"] == pytest.approx(measured[best], rel=1e-5) and result["images"] == 12
    assert "mean distance of a point from its truth, px; lower is better" in output.err
    assert json.loads((folder / "test" / "figures.json").read_text(encoding="utf-8")) == result

    # Predict: pictures in, points out, with an option of its own; a checkpoint that was moved still names its task.
    moved = shutil.copytree(folder / f"checkpoint-{best}", tmp_path / "moved")
    truth = []
    (tmp_path / "pictures").mkdir()
    for number, file in enumerate(sorted((tmp_path / "val").glob("*.npz"))[:3]):
        with np.load(file) as sample:
            Image.fromarray(sample["picture"]).save(tmp_path / "pictures" / f"{number}.png")
            truth.append(sample["point"].tolist())
    lines = argus("predict", moved, tmp_path / "pictures").lines
    assert [Path(line["image"]).name for line in lines] == ["0.png", "1.png", "2.png"]
    errors = [np.hypot(*np.subtract(line["point"], point)) for line, point in zip(lines, truth, strict=True)]
    assert max(errors) < 8
    mirrored = argus("predict", moved, tmp_path / "pictures", "--mirrored").lines
    assert mirrored[0]["point"][0] == pytest.approx(16 - lines[0]["point"][0])

    # The report has the task's section and its chart, and nothing of boxes.
    argus("report", folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert '<section id="points">' in page and '<a href="#points">Points</a>' in page
    assert "The worst picture is" in page and "mpjpe, lower is better (px)" in page
    assert "mean distance of a point from its truth, px; lower is better" in page
    # So has an evaluation that lies elsewhere.
    elsewhere = shutil.copytree(folder / "test", tmp_path / "elsewhere")
    argus("report", elsewhere)
    assert '<section id="points">' in (elsewhere / "report.html").read_text(encoding="utf-8")
    sections = {f'id="{name}"' for name in ("pictures", "scores", "classes", "gallery")}
    assert [text for text in (*sections, "AP50", "truth ↓ said") if text in page] == []


def test_what_a_task_lacks_is_said_with_those_that_have_it(
    argus: Any, config: Callable[[str], str], tmp_path: Path
) -> None:
    argus("train", config("run"), "max_steps=1")
    folder, picture = tmp_path / "run", tmp_path / "a.png"
    Image.new("L", (16, 16)).save(picture)
    for words, what in (
        (["data", "check", "anything", "--task", "pose", "--html", "x"], "no `argus data check`"),
        (["init", "anything", "--task=pose"], "no `argus init`"),
        (["inspect", "params", str(folder / "best")], "no `argus inspect params`"),
        (["inspect", "tokens", "x", "--config", tmp_path / "run.yaml"], "no `argus inspect tokens`"),
        (["predict", folder, picture, "--draw", tmp_path / "drawn"], "no pictures"),
    ):
        told = f"error: the task pose has {what}\n  What to do: tasks that have it: detection"
        assert told in argus(*words, code=2).err


def test_the_help_of_a_verb_is_that_of_the_checkpoint_s_task(
    argus: Any, config: Callable[[str], str], tmp_path: Path
) -> None:
    argus("train", config("run"), "max_steps=1")
    for words in (["predict", tmp_path / "run", "--help"], ["predict", "--task", "pose", "--help"]):
        shown = argus(*words).out
        assert "--mirrored" in shown and "--teachers" not in shown and "Find the spot in pictures" in shown
    shown = argus("data", "--task", "pose", "--help").out
    assert "synth" in shown and "convert" not in shown.partition("Commands:")[2]
