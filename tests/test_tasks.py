"""The table of tasks: by name to a task's parts, with errors that name the known tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from argusvl.config.schema import RunConfig
from argusvl.core.errors import ArgusError, CheckpointError, ConfigError
from argusvl.core.figures import FigureSpec
from argusvl.tasks import (
    TASKS,
    TaskEntry,
    find_checkpoint,
    load_run_config,
    task_at,
    task_command,
    task_entry,
    task_part,
)


@pytest.mark.parametrize("name", TASKS)
def test_an_entry_leads_to_its_parts(name: str) -> None:
    entry = task_entry(name)
    assert issubclass(entry.config_class(), RunConfig)
    assert entry.config_class().model_fields["task"].annotation.__args__ == (name,)
    methods = "model train_dataset collate loss_terms parameter_groups evaluate figures save_assets"
    for method in methods.split():
        assert callable(getattr(entry.task_class(), method))
    for part in ("predictor", "pictures", "evaluation", "report"):
        assert callable(task_part(name, part))  # type: ignore[arg-type]
    for command in entry.commands:
        assert callable(task_command(name, command))
    assert all(isinstance(spec, FigureSpec) for spec in entry.figure_specs().values())


def test_the_task_key_chooses_the_schema(tmp_path: Path, complete_config: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(complete_config, encoding="utf-8")
    assert type(load_run_config(path)) is TASKS["detection"].config_class()
    path.write_text(complete_config.replace("task: detection\n", ""), encoding="utf-8")
    assert load_run_config(path, ["task=detection"]).task == "detection"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: detecton\n", "run.yaml:1: task: unknown task 'detecton'; did you mean 'detection'?"),
        ("task: 3\n", "run.yaml:1: task: should be text, found 3"),
        ("seed: 3\n", "run.yaml: task: missing"),
    ],
)
def test_a_task_that_is_not_known_names_those_that_are(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_run_config(tmp_path / "run.yaml")
    assert message in str(raised.value)
    assert "write one of: detection" in str(raised.value)


def test_a_part_that_is_not_there_names_the_tasks_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "other", TaskEntry("a:b", "a:c"))
    for asked, name, what, those in (
        (task_part, "predictor", "no predictor", "detection, manipulation"),
        (task_command, "data check", "no `argus data check`", "detection"),
    ):
        with pytest.raises(ArgusError, match=f"the task other has {what}") as raised:
            asked("other", name)  # type: ignore[operator]
        assert raised.value.remedy == f"tasks that have it: {those}"
    assert TASKS["other"].figure_specs() == {}


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_a_checkpoint_names_its_task(tmp_path: Path) -> None:
    assert task_at("argus-tiny") == "detection"
    for name, assets, named in (
        ("own", {"task": "pose"}, "pose"),
        ("config", {"config": {"task": "pose"}}, "pose"),
        ("old", {"labels": [], "config": {}}, None),
        ("list", [1], None),
    ):
        write(tmp_path / name / "argus.json", json.dumps(assets))
        assert task_at(tmp_path / name) == named
    assert task_at(write(tmp_path / "damaged" / "argus.json", "{").parent) is None


def test_a_checkpoint_without_assets_has_the_task_of_its_run(tmp_path: Path) -> None:
    run, hub = tmp_path / "run", tmp_path / "run" / "hub"
    config = write(run / "config.yaml", "task: pose\nseed: 1\n")
    write(run / "checkpoint-5" / "model.safetensors", "")
    write(hub / "config.json", "{}")
    (run / "best").symlink_to("checkpoint-5")
    for place in (run, run / "checkpoint-5", run / "best", config):
        assert task_at(place) == "pose"
    # A folder in hub layout says nothing, wherever it lies; nor does what is not there.
    for place in (hub, tmp_path, tmp_path / "nowhere", Path("x" * 5000), hub / "config.json"):
        assert task_at(place) is None
    write(config, "task: [1]\n")
    assert task_at(run) is None


def test_a_checkpoint_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint folder"):
        find_checkpoint(tmp_path / "none")
