"""The table of tasks: by name to a task's parts, with errors that name the known tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.config.schema import RunConfig
from argusvl.core.errors import ConfigError
from argusvl.tasks import TASKS, load_run_config, task_entry


@pytest.mark.parametrize("name", TASKS)
def test_an_entry_leads_to_its_parts(name: str) -> None:
    entry = task_entry(name)
    assert issubclass(entry.config_class(), RunConfig)
    assert entry.config_class().model_fields["task"].annotation.__args__ == (name,)
    for method in (
        "model",
        "train_dataset",
        "collate",
        "loss_terms",
        "parameter_groups",
        "evaluate",
        "save_assets",
    ):
        assert callable(getattr(entry.task_class(), method))


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
