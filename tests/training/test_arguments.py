from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import GROUPS, ToyTask, toy_config, train

from argusvl.core.errors import ConfigError
from argusvl.training import arguments
from argusvl.training.arguments import training_arguments
from argusvl.training.protocol import ParameterGroup
from argusvl.training.trainer import ArgusTrainer


def test_every_setting_reaches_transformers(tmp_path: Path) -> None:
    config = toy_config(
        tmp_path,
        gradient_checkpointing=True,
        warmup_ratio=0.25,
        trainer_arguments={"adam_beta1": 0.8, "optim": "adamw_torch"},
    )
    groups = [ParameterGroup("all", ".", 0.5), ParameterGroup("none", ".", 0.1)]
    arguments = training_arguments(config, groups, ToyTask().figures())
    assert arguments.get_warmup_steps(100) == 25
    assert (arguments.learning_rate, arguments.adam_beta1, arguments.adam_beta2) == (0.5, 0.8, 0.99)
    assert arguments.activation_checkpointing
    assert arguments.activation_checkpointing_kwargs == {"use_reentrant": False}
    assert (arguments.max_grad_norm, arguments.weight_decay, arguments.seed) == (1.0, 0.01, 3)
    assert arguments.metric_for_best_model == "score" and arguments.greater_is_better
    assert arguments.logging_nan_inf_filter is False, "the log would hide a loss"
    assert arguments.device == torch.device("cpu")


def test_where_data_are_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toy_config(tmp_path, dataloader_num_workers="auto")
    assert training_arguments(config, GROUPS, ToyTask().figures()).dataloader_num_workers == 0
    monkeypatch.setattr(arguments, "usable_cores", lambda: 12)
    for of_this_machine, most in ((1, 8), (4, 2), (12, 0), (24, 0)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(of_this_machine))
        assert arguments.data_workers("auto", on_cpu=False) == most
        assert arguments.data_workers(3, on_cpu=True) == 3


def test_the_task_says_whether_more_is_better(tmp_path: Path) -> None:
    for metric, greater in (("score", True), ("error", False), ("eval_error", False)):
        config = toy_config(tmp_path, metric_for_best_model=metric)
        found = training_arguments(config, GROUPS, ToyTask().figures())
        assert found.greater_is_better is greater


def test_a_tracker_that_is_not_installed_is_an_error_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "get_available_reporting_integrations", lambda: ["tensorboard"])
    task = ToyTask()
    monkeypatch.setattr(task, "model", lambda: pytest.fail("weights were loaded"))
    with pytest.raises(ConfigError, match="mlflow is not installed") as raised:
        ArgusTrainer(task, toy_config(tmp_path, report_to=["tensorboard", "mlflow"]))
    assert raised.value.where == "report_to" and "pip install mlflow" in str(raised.value.remedy)


def test_an_empty_data_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no training sample"):
        ArgusTrainer(ToyTask(length=0), toy_config(tmp_path))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("accelerator_config.dispatch_batches", True, "read all batches"),
        ("accelerator_config.split_batches", True, "all processes together"),
        ("accelerator_config.even_batches", False, "a batch less"),
        ("ddp_static_graph", True, "from batch to batch"),
        ("ddp_find_unused_parameters", False, "frozen for a while"),
        ("fsdp_config.activation_checkpointing", True, "use gradient_checkpointing instead"),
        ("fsdp_config.cpu_offload", True, "not for the engine"),
        ("fsdp_config.version", 1, "FSDP2 alone"),
        ("fsdp_config", "fsdp.json", "hide what is trained"),
    ],
)
def test_what_cannot_work_on_several_processes_is_refused_before_they_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: Any, said: str
) -> None:
    section, _, name = key.partition(".")
    passed = {"fsdp": section == "fsdp_config", section: {name: value} if name else value}
    config, figures = toy_config(tmp_path, trainer_arguments=passed), ToyTask().figures()
    groups = (replace(GROUPS[0], frozen_epochs=1.0), GROUPS[1])
    training_arguments(config, groups, figures)  # alone, each is fine
    monkeypatch.setattr(arguments, "processes_of_launcher", lambda: 2)
    with pytest.raises(ConfigError) as caught:
        training_arguments(config, groups, figures)
    assert caught.value.where == f"trainer_arguments.{key}" and said in str(caught.value)


IN_PARTS = {"gradient_shares_every": 1, "trainer_arguments": {"fsdp": True}}
FULL = {"fp16_full_eval": True, "bf16_full_eval": True}
ACCELERATOR = {"trainer_arguments": {"accelerator_config": "a.json"}}


@pytest.mark.parametrize(
    ("changes", "variable", "processes", "said"),
    [
        ({"metric_for_best_model": "beauty"}, "", 1, "metric_for_best_model: there is no figure 'beauty'"),
        ({"trainer_arguments": FULL}, "", 1, "full eval"),
        (ACCELERATOR, "", 1, "accelerator_config: .*'a.json' would hide what is trained with"),
        ({"trainer_arguments": {"deepspeed": "zero2.json"}}, "", 1, "deepspeed: .*--deepspeed FILE"),
        ({}, "ACCELERATE_USE_DEEPSPEED", 1, "before a step that is not finite could be passed over"),
        ({}, "ACCELERATE_USE_FSDP", 1, "asked for by the launcher, and not by the configuration"),
        (IN_PARTS, "", 2, "gradient_shares_every: .*would wait for other processes"),
    ],
)
def test_what_the_engine_cannot_train_with_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    variable: str,
    processes: int,
    said: str,
) -> None:
    if variable:
        monkeypatch.setenv(variable, "true")
    monkeypatch.setattr(arguments, "processes_of_launcher", lambda: processes)
    with pytest.raises(ConfigError, match=f"(?s){said}"):
        training_arguments(toy_config(tmp_path, **changes), GROUPS, ToyTask().figures())


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no CUDA device"):
        training_arguments(toy_config(tmp_path, device="cuda"), GROUPS, ToyTask().figures())


@pytest.mark.parametrize(
    "changes",
    [
        {"bf16": True},
        {"trainer_arguments": {"optim": "adafactor"}, "adam_beta2": 0.9},
        {"lr_scheduler_type": "constant_with_warmup"},
        {"trainer_arguments": {"eval_on_start": True, "dataloader_drop_last": True}},
    ],
)
def test_other_ways_to_train(tmp_path: Path, changes: dict[str, Any]) -> None:
    entries = train(ToyTask(), tmp_path / "run", num_train_epochs=4.0, **changes)
    assert sum(e["loss"] for e in entries[-5:]) < sum(e["loss"] for e in entries[:5])


def test_the_configuration_keeps_what_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"fsdp": True, "fsdp_config": {"reshard_after_forward": False}}
    config = toy_config(tmp_path, trainer_arguments={"accelerator_config": {"even_batches": True}, **given})
    before = config.model_dump()
    monkeypatch.setattr(arguments, "processes_of_launcher", lambda: 2)
    assert training_arguments(config, GROUPS, ToyTask().figures()).fsdp_plugin_args is not None
    assert config.model_dump() == before  # it is written into the run's folder, and read again
