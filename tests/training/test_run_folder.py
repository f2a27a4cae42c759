"""One run, one folder: what a second run, a removed folder or a damaged file does to it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import (
    ToyData,
    ToyTask,
    another_process,
    contents,
    events,
    losses,
    toy_config,
    train,
    train_slowly,
    wait_until,
)
from transformers import TrainerCallback

from argusvl.core.errors import ArgusError, CheckpointError, ConfigError, DataError
from argusvl.run.checkpoints import list_checkpoints
from argusvl.training.run import run_training

SLOW: dict[str, Any] = {"num_train_epochs": 100.0, "save_steps": 2, "eval_steps": 1000}


@pytest.fixture
def live_run(tmp_path: Path) -> Iterator[Path]:
    """The folder of a run that another process is training."""
    with another_process(train_slowly, tmp_path / "run", **SLOW) as child:
        wait_until(child, (tmp_path / "run" / "started").exists)
        yield tmp_path / "run"
        assert child.is_alive()


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_run_is_refused_and_leaves_the_live_one_alone(live_run: Path, resume: bool) -> None:
    while not list_checkpoints(live_run):
        time.sleep(0.02)
    being_written = live_run / ".checkpoint-9999.x.part"
    being_written.mkdir()
    with pytest.raises(ConfigError, match="another run is training in"):
        train(ToyTask(), live_run, resume=resume)
    assert being_written.is_dir()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weight_decay": 0.5}, "weight_decay was 0.01 and is 0.5"),
        ({"max_grad_norm": 9.0}, "max_grad_norm was 1.0 and is 9.0"),
        ({"ema_decay": 0.9}, "ema_decay was None and is 0.9"),
        ({"trainer_arguments": {"adam_beta1": 0.5}}, "adam_beta1 is 0.5 and was not there"),
    ],
)
def test_another_training_is_refused_unless_told(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    train(ToyTask(), tmp_path / "run", max_steps=5)
    before = contents(tmp_path / "run")
    with pytest.raises(ConfigError) as caught:
        train(ToyTask(), tmp_path / "run", resume=True, max_steps=7, **change)
    assert said in str(caught.value) and "--allow-changes" in str(caught.value)
    assert contents(tmp_path / "run") == before

    train(ToyTask(), tmp_path / "run", resume=True, max_steps=7, allow_changes=True, **change)
    (changed,) = events(tmp_path / "run", "changed")
    assert changed["changes"] == [said]


def test_an_optimizer_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    train(ToyTask(), tmp_path / "run", max_steps=5)
    path = tmp_path / "run" / "checkpoint-5" / "optimizer.pt"
    path.write_bytes(bytes(len(path.read_bytes())))  # of the size that the manifest states
    with pytest.raises(CheckpointError) as caught:
        train(ToyTask(), tmp_path / "run", resume=True, max_steps=7)
    assert caught.value.where == str(path) and "weights_only" not in str(caught.value)


class Removing(TrainerCallback):
    """Removes a folder while step 3 is at work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 2:
            shutil.rmtree(self.folder)


def test_a_run_whose_folder_is_removed_goes_on_and_saves(tmp_path: Path) -> None:
    whole = train(ToyTask(), tmp_path / "whole")
    config = toy_config(tmp_path / "run", report_to=["tensorboard"])
    result = run_training(ToyTask(), config, callbacks=[Removing(tmp_path / "run")])
    assert result.steps == 12 and result.last_checkpoint is not None and result.last_checkpoint.is_dir()
    state = json.loads((tmp_path / "run" / "trainer_state.json").read_text())
    assert losses([e for e in state["log_history"] if "loss" in e]) == losses(whole)


def test_a_run_of_which_nothing_is_left_does_not_end_well(tmp_path: Path) -> None:
    class RemovingAtTheEnd(TrainerCallback):
        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(CheckpointError, match="no checkpoint of this run is left"):
        run_training(ToyTask(), toy_config(tmp_path / "run"), callbacks=[RemovingAtTheEnd()])


@pytest.mark.parametrize("workers", [0, 1])
def test_data_that_vanish_in_mid_run_are_named(tmp_path: Path, workers: int) -> None:
    (tmp_path / "train.jsonl").write_text("{}")

    class Vanishing(ToyData):
        def __getitem__(self, index: int) -> Any:
            if self.epoch == 1:
                (tmp_path / "train.jsonl").unlink(missing_ok=True)
            (tmp_path / "train.jsonl").read_text()
            return super().__getitem__(index)

    class OnDisk(ToyTask):
        def train_dataset(self) -> ToyData:
            return Vanishing(self.length)

    with pytest.raises(ArgusError) as caught:
        train(OnDisk(), tmp_path / "run", save_steps=2, dataloader_num_workers=workers)
    assert isinstance(caught.value, DataError) and str(caught.value.where).endswith("train.jsonl")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("checkpoint.json", "{}"),
        ("checkpoint.json", '{"files": null}'),
        ("trainer_state.json", "{}"),
        ("training_state/engine.json", '{"position": 1, "evaluation_due": 1, "ema_updates": 1}'),
        ("training_state/config.json", "{}"),
        ("ranks.pt", "[]"),
        ("optimizer.pt", "[]"),
        ("scheduler.pt", "{}"),
    ],
)
def test_a_state_that_can_be_read_and_is_wrong_is_named(tmp_path: Path, name: str, content: str) -> None:
    train(ToyTask(), tmp_path / "run", max_steps=5)
    folder = tmp_path / "run" / "checkpoint-5"
    if name.endswith(".pt"):
        path = folder / "training_state" / name if name == "ranks.pt" else folder / name
        torch.save(json.loads(content), path)
        (folder / "checkpoint.json").write_text(
            json.dumps({"files": {"training_state/engine.json": 1}}), encoding="utf-8"
        )
    else:
        (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError):
        train(ToyTask(), tmp_path / "run", resume=True, max_steps=7)


def test_a_run_is_not_put_into_a_checkpoint_or_a_file(tmp_path: Path) -> None:
    train(ToyTask(), tmp_path / "run", max_steps=5)
    with pytest.raises(ConfigError, match="inside a checkpoint"):
        train(ToyTask(), tmp_path / "run" / "checkpoint-5")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        train(ToyTask(), tmp_path / "file")


def test_a_run_whose_folder_is_renamed_stops_and_is_not_written_twice(tmp_path: Path) -> None:
    class Renaming(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 5:
                (tmp_path / "run").rename(tmp_path / "moved")

    config = toy_config(tmp_path / "run", save_steps=4, eval_steps=100)
    with pytest.raises(CheckpointError, match="was renamed while it trained"):
        run_training(ToyTask(), config, callbacks=[Renaming()])
    assert not (tmp_path / "run").exists()
    assert len(train(ToyTask(), tmp_path / "moved", resume=True, save_steps=4, eval_steps=100)) == 12


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("log_history", "none"),
        ("epoch", "one"),
        ("stateful_callbacks", [1]),
        ("global_step", 1.5),
        ("new", 1),
    ],
)
def test_a_state_with_wrong_types_is_named(tmp_path: Path, key: str, value: object) -> None:
    train(ToyTask(), tmp_path / "run", max_steps=4, save_steps=4)
    file = tmp_path / "run" / "checkpoint-4" / "trainer_state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(CheckpointError, match="it is damaged") as caught:
        train(ToyTask(), tmp_path / "run", resume=True, max_steps=8, save_steps=4)
    assert caught.value.where == str(file)
