"""One run, one folder: what a second run, a removed folder or a damaged file does to it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
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
    logged,
    losses,
    toy_config,
    train,
    train_slowly,
    wait_until,
)
from transformers import TrainerCallback

from argusvl.core.errors import CheckpointError, ConfigError, DataError
from argusvl.run.checkpoints import list_checkpoints
from argusvl.training.run import run_training

Copied = Callable[..., Path]

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
def test_another_training_is_refused_unless_told(copied: Copied, change: dict[str, Any], said: str) -> None:
    run = copied(max_steps=5)
    before = contents(run)
    with pytest.raises(ConfigError) as caught:
        train(ToyTask(), run, resume=True, max_steps=6, **change)
    assert said in str(caught.value) and "--allow-changes" in str(caught.value)
    assert contents(run) == before

    train(ToyTask(), run, resume=True, max_steps=6, allow_changes=True, **change)
    (changed,) = events(run, "changed")
    assert changed["changes"] == [said]


class At(TrainerCallback):
    """Does something to the run's folder once so many steps are made."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self.step, self.act = step, act

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            self.act()


def test_a_run_whose_folder_is_removed_goes_on_and_saves(tmp_path: Path, trained: Copied) -> None:
    run = tmp_path / "run"
    config = toy_config(run, report_to=["tensorboard"])
    result = run_training(ToyTask(), config, callbacks=[At(2, lambda: shutil.rmtree(run))])
    assert result.steps == 12 and result.last_checkpoint is not None and result.last_checkpoint.is_dir()
    assert losses(logged(run)) == losses(logged(trained()))


def test_a_run_of_which_nothing_is_left_does_not_end_well(tmp_path: Path) -> None:
    class RemovingAtTheEnd(TrainerCallback):
        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(CheckpointError, match="no checkpoint of this run is left"):
        run_training(ToyTask(), toy_config(tmp_path / "run", max_steps=1), callbacks=[RemovingAtTheEnd()])


@pytest.mark.parametrize("workers", [0, 1])
def test_data_that_vanish_in_mid_run_are_named(tmp_path: Path, workers: int) -> None:
    (tmp_path / "train.jsonl").write_text("{}")

    class Vanishing(ToyData):
        def __getitem__(self, index: int) -> Any:
            if self.epoch == 1:
                (tmp_path / "train.jsonl").unlink(missing_ok=True)
            (tmp_path / "train.jsonl").read_text()
            return super().__getitem__(index)

    with pytest.raises(DataError) as caught:
        train(ToyTask(data=Vanishing), tmp_path / "run", save_steps=2, dataloader_num_workers=workers)
    assert str(caught.value.where).endswith("train.jsonl")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("checkpoint.json", {}),
        ("checkpoint.json", {"files": None}),
        ("trainer_state.json", {}),
        ("training_state/engine.json", {"position": 1, "evaluation_due": 1, "ema_updates": 1}),
        ("training_state/config.json", {}),
        ("training_state/ranks.pt", []),
        ("optimizer.pt", []),
        ("scheduler.pt", {}),
    ],
)
def test_a_state_that_can_be_read_and_is_wrong_is_named(copied: Copied, name: str, content: Any) -> None:
    run = copied(max_steps=5)
    folder = run / "checkpoint-5"
    if name.endswith(".pt"):
        torch.save(content, folder / name)
        (folder / "checkpoint.json").write_text(json.dumps({"files": {"training_state/engine.json": 1}}))
    else:
        (folder / name).write_text(json.dumps(content))
    with pytest.raises(CheckpointError):
        train(ToyTask(), run, resume=True, max_steps=7)


def test_a_run_is_not_put_into_a_checkpoint_or_a_file(trained: Copied) -> None:
    checkpoint = trained(max_steps=5) / "checkpoint-5"
    for place, said in (
        (checkpoint, "inside a checkpoint"),
        (checkpoint.parent / "config.yaml", "is a file"),
    ):
        with pytest.raises(ConfigError, match=said):
            train(ToyTask(), place)


def test_a_run_whose_folder_is_renamed_stops_and_is_not_written_twice(tmp_path: Path) -> None:
    run, moved = tmp_path / "run", tmp_path / "moved"
    config = toy_config(run, save_steps=4, eval_steps=100)
    with pytest.raises(CheckpointError, match="was renamed while it trained"):
        run_training(ToyTask(), config, callbacks=[At(5, lambda: run.rename(moved))])
    assert not run.exists()
    assert len(train(ToyTask(), moved, resume=True, save_steps=4, eval_steps=100)) == 12


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
def test_a_state_with_wrong_types_is_named(copied: Copied, key: str, value: object) -> None:
    run = copied(max_steps=5)
    file = run / "checkpoint-5" / "trainer_state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(CheckpointError, match="it is damaged") as caught:
        train(ToyTask(), run, resume=True, max_steps=7)
    assert caught.value.where == str(file)


def test_an_optimizer_that_cannot_be_read_is_named(copied: Copied) -> None:
    run = copied(max_steps=5)
    path = run / "checkpoint-5" / "optimizer.pt"
    path.write_bytes(bytes(len(path.read_bytes())))  # of the size that the manifest states
    with pytest.raises(CheckpointError) as caught:
        train(ToyTask(), run, resume=True, max_steps=7)
    assert caught.value.where == str(path) and "weights_only" not in str(caught.value)
