"""A killed run resumes to the same losses, bit by bit, and without drawing a sample twice."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from toy_task import (
    GROUPS,
    PlannedData,
    ToyConfig,
    ToyData,
    ToyModel,
    ToyTask,
    another_process,
    contents,
    events,
    history,
    logged,
    losses,
    toy_config,
    train,
    train_slowly,
    wait_until,
)

from argusvl.config.schema import PhaseSection
from argusvl.core.batch import Batch
from argusvl.core.errors import CheckpointError, ConfigError
from argusvl.run.checkpoints import checkpoint_at, list_checkpoints
from argusvl.training.run import run_training
from argusvl.training.sampling import EpochSampler, SeededSamples

Copied = Callable[..., Path]


class Killed(Exception):  # noqa: N818 - it is what happens, not an error of the code
    """What a test raises in the middle of a run."""


@dataclass
class DyingTask(ToyTask):
    """Fails without any goodbye when so many batches are made."""

    batches_left: int = 0

    def collate(self, samples: Any) -> Batch:
        self.batches_left -= 1
        if self.batches_left < 0:
            raise Killed
        return super().collate(samples)


FROZEN = (replace(GROUPS[0], frozen_epochs=1.5), GROUPS[1])
PHASES = [PhaseSection(until=0.5, train=["body"]), PhaseSection(until=1.0, rates={"head": 2.0})]

# (options of the task, of the run, batches until death): in the middle of an epoch, right at its end, under
# accumulation (whose last step is short), with a logging window that the checkpoint cuts, with an average of weights,
# with all that has a state, and with batches that the data plan: two epochs of six, whatever
# per_device_train_batch_size is.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "middle": ({}, {"save_steps": 4}, 10),
    "end of epoch": ({}, {"save_steps": 6}, 9),
    "accumulated": (
        {},
        {"save_steps": 3, "gradient_accumulation_steps": 4, "per_device_train_batch_size": 2},
        15,
    ),
    "window": ({}, {"save_steps": 4, "logging_steps": 3, "ema_decay": 0.9}, 10),
    "shorter than an epoch": ({}, {"save_steps": 2, "num_train_epochs": 0.9}, 5),
    "frozen at first": ({"groups": FROZEN}, {"save_steps": 3}, 8),
    "in phases": ({}, {"save_steps": 3, "phases": PHASES}, 8),
    "balanced": ({}, {"save_steps": 3, "balance_decay": 0.9}, 8),
    "planned, early": ({"data": PlannedData}, {"save_steps": 2}, 4),
    "planned, late": ({"data": PlannedData}, {"save_steps": 2}, 8),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_died_resumes_to_the_losses_of_one_that_did_not(tmp_path: Path, case: str) -> None:
    task, options, batches = CASES[case]
    whole = train(ToyTask(**task), tmp_path / "whole", **options)
    if "data" in task:
        assert len(whole) == 12
    with pytest.raises(Killed):
        train(DyingTask(**task, batches_left=batches), tmp_path / "parts", **options)
    assert 0 < list_checkpoints(tmp_path / "parts")[-1][0] < int(whole[-1]["step"])

    parts = train(ToyTask(**task), tmp_path / "parts", resume=True, **options)

    assert losses(parts) == losses(whole)
    last = [list_checkpoints(tmp_path / run)[-1][1] / "model.safetensors" for run in ("whole", "parts")]
    assert last[0].read_bytes() == last[1].read_bytes()


def test_a_killed_process_with_data_workers_resumes_to_the_same_losses(tmp_path: Path) -> None:
    options: dict[str, Any] = {"save_steps": 4, "dataloader_num_workers": 2, "num_train_epochs": 4.0}
    with another_process(train_slowly, tmp_path / "parts", **options) as child:
        wait_until(child, (tmp_path / "parts" / "checkpoint-8").is_dir)
    assert list_checkpoints(tmp_path / "parts")[-1][0] < 24, "it was killed too late to show anything"

    # Neither the number of workers nor the process is part of what a run computes.
    parts = train(ToyTask(), tmp_path / "parts", resume=True, **options | {"dataloader_num_workers": 0})
    whole = train(ToyTask(), tmp_path / "whole", **options | {"dataloader_num_workers": 0})
    assert losses(parts) == losses(whole)


def test_data_workers_outlive_an_epoch_and_end_with_the_run(tmp_path: Path) -> None:
    class Signed(ToyData):
        def __getitem__(self, index: int) -> Any:
            with (tmp_path / "pids").open("a") as file:
                file.write(f"{os.getpid()}\n")
            return super().__getitem__(index)

    task = ToyTask(data=Signed)
    options: dict[str, Any] = {"save_steps": 4, "save_total_limit": 9, "dataloader_num_workers": 1}
    train(task, tmp_path / "run", num_train_epochs=3.0, **options)
    assert len(set((tmp_path / "pids").read_text().split()) - {str(os.getpid())}) == 1
    # From the middle of an epoch on: its rest has a worker of its own, which does not outlive it.
    (tmp_path / "pids").unlink()
    for step, checkpoint in list_checkpoints(tmp_path / "run"):
        if step != 4:
            shutil.rmtree(checkpoint)
    train(task, tmp_path / "run", num_train_epochs=3.0, resume=True, **options)
    assert len(set((tmp_path / "pids").read_text().split()) - {str(os.getpid())}) == 2
    assert not multiprocessing.active_children()


def test_resuming_draws_no_sample_a_second_time(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    class Watched(ToyData):
        def __getitem__(self, index: int) -> Any:
            asked.append((self.epoch, index))
            return super().__getitem__(index)

    options: dict[str, Any] = {"save_steps": 4, "eval_steps": 100}
    with pytest.raises(Killed):
        train(DyingTask(data=Watched, batches_left=10), tmp_path / "run", **options)
    shutil.rmtree(tmp_path / "run" / "checkpoint-8")
    asked.clear()
    train(ToyTask(data=Watched), tmp_path / "run", resume=True, **options)

    # Steps 5 to 12 of 4 samples each; an epoch is 22 samples in 6 steps.
    assert len(asked) == 22 - 16 + 22
    assert len(set(asked)) == len(asked)
    order = [index for _, index in EpochSampler(22, seed=3)]
    assert [index for epoch, index in asked if epoch == 0] == order[16:]
    assert {epoch for epoch, _ in asked} == {0, 1}


def test_one_seed_reproduces_the_losses_and_another_does_not(tmp_path: Path, trained: Copied) -> None:
    first = losses(logged(trained()))
    assert losses(train(ToyTask(), tmp_path / "again")) == first
    assert losses(train(ToyTask(), tmp_path / "other", seed=4)) != first


def test_each_epoch_has_its_own_order_and_noise() -> None:
    sampler = EpochSampler(50, seed=1)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(i for _, i in second) == list(range(50))
    assert [i for _, i in first] != [i for _, i in second]

    data = SeededSamples(ToyData(3), seed=1)
    (alone,), (again,), (both,), (later,) = (
        data.__getitems__(keys) for keys in ([(0, 2)], [(0, 2)], [(0, 1), (0, 2)], [(1, 2)])
    )
    assert (
        float(alone.samples[0]["y"][0]) == float(again.samples[0]["y"][0]) == float(both.samples[1]["y"][0])
    )
    assert float(alone.samples[0]["y"][0]) != float(later.samples[0]["y"][0])


def test_a_finished_run_is_resumed_without_another_step(copied: Copied) -> None:
    run = copied(max_steps=8)  # in the middle of the second epoch
    whole = logged(run)
    result = run_training(ToyTask(), toy_config(run, max_steps=8), resume=True)
    assert result.steps == 8 and not result.interrupted
    assert losses(logged(run)) == losses(whole)


def test_a_run_is_not_started_over_existing_checkpoints(copied: Copied) -> None:
    run = copied()
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    with pytest.raises(ConfigError, match="already holds checkpoint-12") as caught:
        train(ToyTask(), run)
    assert "--resume" in str(caught.value.remedy)
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before


def test_resuming_what_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint to resume"):
        train(ToyTask(), tmp_path / "run", resume=True)


def wider(config: ToyConfig) -> ToyModel:
    return ToyModel(ToyConfig(width=16))


HEAD_AT_0 = {"groups": (replace(GROUPS[0], learning_rate=0.0), GROUPS[1])}


@pytest.mark.parametrize(
    ("task", "begun", "change", "message"),
    [
        ({}, {}, {"seed": 4}, "trained with seed 3, now it is 4"),
        ({}, {}, {"per_device_train_batch_size": 2}, "per_device_train_batch_size 4, now it is 2"),
        ({}, {}, {"gradient_accumulation_steps": 2}, "gradient_accumulation_steps 1, now it is 2"),
        ({"length": 30}, {}, {}, "training samples 22, now it is 30"),
        ({"network": wider}, {}, {}, "do not fit the configured model"),
        (HEAD_AT_0, {}, {}, "does not fit this run's parameter groups"),
        (HEAD_AT_0, {"ema_decay": 0.9}, {}, r"2 parameters trained then and not now.*head\.bias"),
    ],
)
def test_what_a_run_cannot_go_on_with_is_refused(
    copied: Copied, task: dict[str, Any], begun: dict[str, Any], change: dict[str, int], message: str
) -> None:
    run = copied(max_steps=5, **begun)
    before = contents(run / "checkpoint-5")
    with pytest.raises(CheckpointError, match=message):
        train(ToyTask(**task), run, resume=True, max_steps=6, **begun | change)
    assert contents(run / "checkpoint-5") == before


def test_the_newest_complete_checkpoint_goes_on(copied: Copied, caplog: pytest.LogCaptureFixture) -> None:
    run = copied()
    whole, damaged = logged(run), run / "checkpoint-12" / "optimizer.pt"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    parts = train(ToyTask(), run, resume=True)
    assert caplog.text.count("passed over: ") == 1
    assert "optimizer.pt" in caplog.text and "truncated" in caplog.text and "checkpoint-10" in caplog.text
    assert losses(parts) == losses(whole)


def test_new_intervals_hold_when_resuming(copied: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copied(max_steps=4)
    theirs, told = logging.getLogger("transformers.trainer_utils"), list[str]()
    monkeypatch.setattr(theirs, "handle", lambda record: told.append(record.getMessage()))
    train(ToyTask(), run, resume=True, max_steps=12, save_steps=3, eval_steps=6, save_total_limit=9)
    assert not told, "they would be said to differ"
    assert [step for step, _ in list_checkpoints(run)] == [4, 6, 9, 12]
    assert [int(e["step"]) for e in history(run) if "eval_score" in e] == [4, 6, 12]


def test_other_records_and_another_length_are_said_when_resuming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    digest = ["first"]
    monkeypatch.setattr(ToyData, "fingerprint", lambda self: digest[0], raising=False)

    def warnings_of(**options: int) -> list[str]:
        caplog.clear()
        train(ToyTask(), tmp_path / "run", resume=True, **options)
        return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]

    train(ToyTask(), tmp_path / "run", max_steps=4)
    (said,) = warnings_of(max_steps=6)
    assert said.startswith("the run was planned for 4 steps and is now for 6")
    assert warnings_of(max_steps=6) == []
    digest[0] = "second"
    with pytest.raises(ConfigError, match="the training records have changed"):
        warnings_of(max_steps=6)
    with pytest.raises(
        ConfigError, match="weight_decay was .* and is 0.5; the training records have changed"
    ):
        train(ToyTask(), tmp_path / "run", resume=True, max_steps=6, weight_decay=0.5)
    (said,) = warnings_of(max_steps=6, allow_changes=True)
    assert said == "going on with a change: the training records have changed"
    digest[0] = "first, records of the pool a"  # of which the checkpoint says nothing
    assert len(warnings_of(max_steps=8)) == 1
    digest[0] = "first, records of the pool b"
    with pytest.raises(ConfigError, match="the records of the pool have changed"):
        warnings_of(max_steps=8)


def test_a_path_means_a_runs_best_checkpoint_or_its_newest_or_itself(tmp_path: Path) -> None:
    assert checkpoint_at(tmp_path / "anything") == tmp_path / "anything"
    options: dict[str, Any] = {"max_steps": 2, "save_steps": 1, "eval_steps": 1}
    train(ToyTask(scores=[2.0, 1.0]), tmp_path / "best", **options)
    assert [step for step, _ in list_checkpoints(tmp_path / "best")] == [1, 2]
    assert checkpoint_at(tmp_path / "best") == tmp_path / "best" / "checkpoint-1"
    (tmp_path / "best" / "config.json").write_text("{}")  # a model, beside which its trainer left checkpoints
    assert checkpoint_at(tmp_path / "best") == tmp_path / "best"
    train(ToyTask(eval_length=None), tmp_path / "newest", **options)
    assert checkpoint_at(tmp_path / "newest") == tmp_path / "newest" / "checkpoint-2"


def test_another_folder_of_pictures_is_said(copied: Copied, caplog: pytest.LogCaptureFixture) -> None:
    run = copied(max_steps=4)
    config = toy_config(run, max_steps=5)
    config = config.model_copy(update={"data": config.data.model_copy(update={"root": run})})
    run_training(ToyTask(), config, resume=True)
    assert f"root was None and is '{run}': the pictures there must be the same" in caplog.text
    (event,) = events(run, "changed")
    assert "root" in event["changes"][0]
