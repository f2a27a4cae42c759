"""``argus train`` with the engine's toy task in the table of tasks, and its checks with the real one."""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from argusvl.config.loading import to_yaml
from argusvl.tasks import TASKS, TaskEntry
from argusvl.training import arguments

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a toy run's configuration; its output folder is ``run`` beside it."""
    from toy_task import toy_config

    monkeypatch.setitem(TASKS, "toy", TaskEntry("argusvl.config.schema:RunConfig", "toy_task:from_config"))
    path = tmp_path / "toy.yaml"
    path.write_text(to_yaml(toy_config(tmp_path / "run")), encoding="utf-8")
    return str(path)


def test_a_run_its_result_and_its_report(argus: Any, config: str, tmp_path: Path) -> None:
    output = argus("train", config, "max_steps=6", "--json")
    result = output.json
    assert result["steps"] == 6 and result["epochs"] == 1.0 and result["interrupted"] is False
    assert result["last_checkpoint"] == str(tmp_path / "run" / "checkpoint-6")
    assert Path(result["best_checkpoint"]).is_dir()
    assert set(result["evaluation"]) == {"score", "error", "seconds"}
    assert result["train_seconds"] > 0 and result["samples_per_second"] > 0
    assert "newest checkpoint" in output.err and "best checkpoint" in output.err
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text("utf-8"))
    assert saved["training"]["max_steps"] == 6
    assert (tmp_path / "run" / "train.log").is_file()

    argus("report", tmp_path / "run")
    report = (tmp_path / "run" / "report.html").read_text("utf-8")
    sections = [f'<section id="{name}"' for name in ("overview", "training", "set-up")]
    told = ["6 training steps", "learning rate", "gradient norm", "max_steps: 6", metadata.version("torch")]
    assert [text for text in (*sections, *told) if text not in report] == []


def test_a_second_run_into_the_same_folder_is_refused(argus: Any, config: str, tmp_path: Path) -> None:
    argus("train", config, "max_steps=2")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    error = argus("train", config, code=2).err
    assert "already holds checkpoint-2" in error and "--resume" in error
    error = argus("train", config, "run_name=odd", "--validate-only", code=1).err
    assert "already holds checkpoint-2" in error and "malformed-record" in error and "3 findings" in error
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before

    argus("train", config, "--validate-only", "--resume")
    argus("train", config, "--resume", "max_steps=4")
    assert (tmp_path / "run" / "checkpoint-4").is_dir()


@pytest.mark.parametrize("name", ["config.yaml", "train.log", "events.jsonl"])
def test_a_folder_with_files_of_the_users_is_no_runs_folder(
    argus: Any, name: str, config: str, tmp_path: Path
) -> None:
    mine = tmp_path / "experiment" / name
    mine.parent.mkdir()
    mine.write_text("# why this learning rate\n" + Path(config).read_text("utf-8"), encoding="utf-8")
    before = mine.read_bytes()
    given = str(mine) if name == "config.yaml" else config
    said = argus("train", given, f"output_dir={mine.parent}", "max_steps=2", code=2).err
    assert f"{name} is of no run" in said
    assert [path.name for path in mine.parent.iterdir()] == [name] and mine.read_bytes() == before


def test_comments_in_a_runs_configuration_are_not_lost(argus: Any, config: str, tmp_path: Path) -> None:
    argus("train", config, "max_steps=2")
    own = tmp_path / "run" / "config.yaml"
    argus("train", own, "max_steps=3", "--resume")  # a run's own file goes on
    own.write_text("# mine\n" + own.read_text("utf-8"), encoding="utf-8")
    argus("train", own, "max_steps=4", "--resume", code=2)
    assert own.read_text("utf-8").startswith("# mine\n")


def test_ctrl_c_exits_with_130_and_says_how_to_go_on(
    argus: Any, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import toy_task

    inner = toy_task.ToyTask.evaluate

    def pressing(self: toy_task.ToyTask, *args: object) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        return inner(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(toy_task.ToyTask, "evaluate", pressing)
    assert f"argus train {config} seed=3 --resume" in argus("train", config, "seed=3", code=130).err
    assert (tmp_path / "run" / "checkpoint-5").is_dir()


def test_a_loss_that_is_not_finite_exits_with_2(argus: Any, config: str) -> None:
    error = argus("train", config, "run_name=broken", code=2).err
    assert "loss term 'fit' is not finite" in error and "toy-9" in error


def test_validate_only_says_what_is_wrong_and_loads_no_weights(
    argus: Any, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import toy_task

    monkeypatch.setattr(toy_task.ToyTask, "model", lambda self: pytest.fail("weights were loaded"))
    assert "can start" in argus("train", config, "--validate-only").err
    output = argus("train", config, "--validate-only", "--json", "run_name=odd", code=1)
    places = [(one["id"], one["kind"], one["where"]) for one in output.json["findings"]]
    assert places == [("N-102", "malformed-record", "toy.jsonl:1"), ("N-202", "no-labels", "toy.jsonl:2")]
    assert "error N-102 toy.jsonl:1: malformed-record: odd" in output.err and "2 findings" in output.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param(
            "device=cuda",
            "no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA"),
        ),
        ("metric_for_best_model=AP", "no figure 'AP'"),
        ("report_to=[wandb]", "wandb is not installed"),
        pytest.param(
            "output_dir=/proc/new/run",
            "/proc/new/run: cannot-start: cannot be written",
            marks=pytest.mark.skipif(
                sys.platform != "linux", reason="needs a folder that nobody can write to"
            ),
        ),
    ],
)
def test_validate_only_asks_what_training_would_refuse(
    argus: Any, config: str, override: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "get_available_reporting_integrations", list)
    error = argus("train", config, "--validate-only", "run_name=odd", override, code=1).err
    assert message in error and "malformed-record" in error and "3 findings" in error
    assert not (tmp_path / "run").exists()


def test_print_config_can_be_read_back(argus: Any, config: str, tmp_path: Path) -> None:
    printed = argus("train", config, "--print-config", "seed=8").out
    (tmp_path / "again.yaml").write_text(printed, encoding="utf-8")
    assert argus("train", tmp_path / "again.yaml", "--print-config", "--json").json["training"]["seed"] == 8
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [("sede=1", "seed"), ("seed=one", "seed"), ("trainer_arguments.push_to_hub=true", "push_to_hub")],
)
def test_a_wrong_key_exits_with_2(argus: Any, config: str, override: str, message: str) -> None:
    assert message in argus("train", config, override, code=2).err


def test_the_detection_task_is_checked_before_it_starts(
    argus: Any, complete_config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from argusvl.detection.task import DetectionTask

    monkeypatch.setattr(DetectionTask, "model", lambda self: pytest.fail("weights were loaded"))
    path, records = tmp_path / "run.yaml", tmp_path / "train.jsonl"
    path.write_text(complete_config, encoding="utf-8")
    options = [f"data.train={records}", "data.val=null", "--validate-only"]
    assert "train.jsonl" in argus("train", path, *options, code=1).err

    line = {"images": ["gone.jpg"], "objects": [{"bbox_2d": [1, 2, 30, 40], "desc": "a"}]}
    records.write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert "gone.jpg" in argus("train", path, *options, code=1).err
