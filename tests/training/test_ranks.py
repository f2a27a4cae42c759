"""Two processes over gloo: one step of both is one step of one process with the same samples."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import (
    GROUPS,
    PlannedData,
    SizedData,
    ToyData,
    ToyModel,
    ToyTask,
    logged,
    losses,
    toy_config,
    train,
)

from argusvl.core import precision
from argusvl.core.errors import ArgusError, DataError
from argusvl.training.parallel import Parallel
from argusvl.training.policies import Action, Continue, Policy, RollBack, Scale
from argusvl.training.run import run_training
from argusvl.training.step import StepRecord

OPTIONS: dict[str, Any] = {"eval_steps": 6, "save_steps": 6, "max_grad_norm": 1e9, "max_steps": 9}
QUIET = {"dropout": 0.0, "noise": 0.0, "length": 16}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def rank(number: int, port: int, folder: Path, resume: bool, task: ToyTask, options: dict[str, Any]) -> None:
    from accelerate.state import AcceleratorState

    # The ranks measure different speeds of bfloat16; rank 0's counts.
    precision.cpu_speed = lambda: 0.1 if number == 0 else 5.0

    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    AcceleratorState._reset_state(reset_partial_state=True)  # inherited by the fork
    passed = options.pop("trainer_arguments", {})
    config = toy_config(
        folder,
        trainer_arguments={"ddp_backend": "gloo"} | passed,
        **{"per_device_train_batch_size": 2, "bf16": "auto"} | OPTIONS | options,
    )
    try:
        result = run_training(task, config, resume=resume, policies=getattr(task, "policies", list)())
    except ArgusError as error:
        (folder / f"rank{number}.txt").write_text(f"{type(error).__name__}: {error}")
        return  # and its sockets close with it
    (folder / f"rank{number}.json").write_text(json.dumps(result.as_dict()))
    torch.distributed.destroy_process_group()


def both_ranks(
    folder: Path,
    resume: bool = False,
    task: ToyTask | None = None,
    by_rank: Sequence[dict[str, Any]] = ({}, {}),
    **options: Any,
) -> None:
    processes = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")
    port = free_port()
    task = ToyTask(**QUIET) if task is None else task
    ranks = [
        processes.Process(target=rank, args=(n, port, folder, resume, task, options | by_rank[n]))
        for n in range(2)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120)
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
    assert codes == [0, 0]


def said(folder: Path) -> list[str]:
    """What each rank ended with."""
    return [(folder / f"rank{number}.txt").read_text() for number in range(2)]


class FullModel(ToyModel):
    """The second rank has no memory for it."""

    def forward(self, *args: Any, **batch: Any) -> Any:
        if os.environ["RANK"] == "1":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().forward(*args, **batch)


def test_the_largest_batch_is_tried_on_every_rank_and_changes_nothing(
    tmp_path: Path, two_ranks: Path
) -> None:
    both_ranks(tmp_path / "sized", task=ToyTask(**QUIET, data=SizedData))
    assert losses(logged(tmp_path / "sized")) == losses(logged(two_ranks))
    both_ranks(tmp_path / "full", task=ToyTask(**QUIET, data=SizedData, network=FullModel))
    first, second = said(tmp_path / "full")
    assert "process 1 of 2 stopped: " in first and "toy-3, toy-7" in first
    assert second.startswith("ConfigError") and "the largest batch does not fit" in second


def test_two_ranks_compute_what_one_process_does(tmp_path: Path, two_ranks: Path) -> None:
    shutil.copytree(two_ranks, tmp_path / "two", symlinks=True)
    one = train(ToyTask(**QUIET), tmp_path / "one", per_device_train_batch_size=4, **OPTIONS)
    two = logged(tmp_path / "two")

    # Rank r takes every second batch of 2 out of the same order, so a step of both has the samples of a batch of 4.
    for alone, together in zip(one, two, strict=True):
        for name in ("loss", "grad_norm", "fit_loss", "all_loss", "gn/head", "lr/body", "wn/body"):
            if name in alone:
                assert together[name] == pytest.approx(alone[name], rel=1e-4), name
    assert {p.name for p in (tmp_path / "two").glob("checkpoint-*")} == {"checkpoint-6", "checkpoint-9"}
    steps = [json.loads((tmp_path / "two" / f"rank{n}.json").read_text())["steps"] for n in range(2)]
    assert steps == [9, 9]

    whole = losses(two)
    # An epoch has 4 steps: the second one is resumed in its middle.
    (tmp_path / "two" / "checkpoint-9").rename(tmp_path / "two" / "gone")
    both_ranks(tmp_path / "two", resume=True)
    assert losses(logged(tmp_path / "two")) == whole


def test_ranks_share_planned_batches(tmp_path: Path) -> None:
    options = {**OPTIONS, "max_steps": 5, "save_steps": 3}
    task = ToyTask(**QUIET, data=PlannedData)
    both_ranks(tmp_path / "two", task=task, **options)
    one = train(task, tmp_path / "one", gradient_accumulation_steps=2, **options)
    two = logged(tmp_path / "two")
    assert [e["loss"] for e in two] == pytest.approx([e["loss"] for e in one], rel=1e-4)
    (tmp_path / "two" / "checkpoint-5").rename(tmp_path / "two" / "gone")
    both_ranks(tmp_path / "two", resume=True, task=task, **options)
    assert losses(logged(tmp_path / "two")) == losses(two)


class Unreadable(ToyData):
    """One sample cannot be read."""

    def __getitem__(self, index: int) -> Any:
        if index == 11:
            raise DataError("no picture", where="toy-11.jpg")
        return super().__getitem__(index)


def test_an_error_of_one_rank_reaches_the_other_within_a_step(tmp_path: Path) -> None:
    both_ranks(tmp_path, task=ToyTask(**QUIET, data=Unreadable))
    first, second = sorted(said(tmp_path))
    assert first == "DataError: toy-11.jpg: no picture"
    assert second.startswith("TrainingError: process ") and "of 2 stopped: toy-11.jpg: no picture" in second


class OtherData(ToyData):
    """Each rank reads other records."""

    def fingerprint(self) -> str:
        return os.environ["RANK"]


def test_ranks_that_were_not_started_alike_are_refused(tmp_path: Path) -> None:
    both_ranks(tmp_path / "data", task=ToyTask(**QUIET, data=OtherData))
    for text in said(tmp_path / "data"):
        assert "the content of the training records is '0' in process 0 and '1' in process 1" in text
    by_rank = [{"max_steps": 9}, {"max_steps": 8}]
    both_ranks(tmp_path / "config", by_rank=by_rank)
    for text in said(tmp_path / "config"):
        assert "training.max_steps is 9 in process 0 and 8 in process 1" in text


class UnevenTask(ToyTask):
    """Each rank would choose another checkpoint by its own figures; the second also fails where it is asked to."""

    def evaluate(self, model: Any, dataset: Any, parallel: Any) -> dict[str, float]:
        parts = parallel.gather_results(lambda: list(parallel.share(len(dataset))))
        assert sorted(index for part in parts for index in part) == list(range(len(dataset)))
        return {"score": (self.scores or [])[parallel.rank], "error": 0.0}


def test_evaluation_is_shared_and_decided_once(tmp_path: Path) -> None:
    """The first rank finds the evaluation of step 3 better than nothing, and no later one better."""
    both_ranks(tmp_path, task=UnevenTask(**QUIET, scores=[0.5, float("nan")]), eval_steps=3, save_steps=100)
    results = [json.loads((tmp_path / f"rank{number}.json").read_text()) for number in range(2)]
    assert results[0]["best_checkpoint"] == results[1]["best_checkpoint"] == str(tmp_path / "checkpoint-3")
    assert {p.name for p in tmp_path.glob("checkpoint-*")} == {"checkpoint-3", "checkpoint-9"}


class FailingEvaluation(ToyTask):
    def evaluate(self, model: Any, dataset: Any, parallel: Any) -> dict[str, float]:
        def work() -> None:
            if parallel.rank == 1:
                raise DataError("a picture is gone", where="val.jsonl")

        parallel.gather_results(work)
        return {"score": 1.0}


def test_an_evaluation_that_fails_on_one_rank_ends_on_both(tmp_path: Path) -> None:
    both_ranks(tmp_path, task=FailingEvaluation(**QUIET))
    first, second = said(tmp_path)
    assert second == "DataError: val.jsonl: a picture is gone"
    assert "process 1 of 2 stopped: val.jsonl: a picture is gone" in first


class CheckpointingModel(ToyModel):
    """Says that it computes activations again, as far as Trainer asks."""

    supports_gradient_checkpointing = True

    def activation_checkpointing_enable(self, *args: Any, **kwargs: Any) -> None:
        pass


def test_a_group_that_is_frozen_at_first_with_gradient_checkpointing(tmp_path: Path) -> None:
    groups = (replace(GROUPS[0], frozen_epochs=1.0), GROUPS[1])
    task = ToyTask(**QUIET, groups=groups, network=CheckpointingModel)
    both_ranks(tmp_path / "two", task=task, gradient_checkpointing=True)
    one = train(task, tmp_path / "one", per_device_train_batch_size=4, **OPTIONS)
    two = logged(tmp_path / "two")
    assert ["gn/head" in e for e in two] == [False] * 4 + [True] * 5
    assert [e["loss"] for e in two] == pytest.approx([e["loss"] for e in one], rel=1e-4)


class OwnRates(Policy):
    """Each rank wants other rates, and another change after a roll-back."""

    snapshot_every = 2
    done = False

    def after_backward(self, record: StepRecord) -> Action:
        own = 0.5 if os.environ["RANK"] == "0" else 0.1
        if record.step == 3 and not self.done:
            self.done = True
            return RollBack("back", change=Scale("lower", own, steps=2))
        return Scale("mine", own, steps=1) if record.step == 6 else Continue()


class OwnRatesTask(ToyTask):
    def policies(self) -> list[Policy]:
        return [OwnRates()]

    def evaluate(self, model: Any, dataset: Any, parallel: Parallel) -> dict[str, float]:
        weights = parallel.gather(model.head.weight.detach().clone())
        assert torch.equal(weights[0], weights[1])
        return super().evaluate(model, dataset, parallel)


def test_ranks_train_with_one_factor_whatever_each_wants(tmp_path: Path) -> None:
    both_ranks(
        tmp_path, task=OwnRatesTask(**QUIET), lr_scheduler_type="constant", warmup_ratio=0.0, eval_steps=1
    )
    rates = [entry["lr/head"] for entry in logged(tmp_path)]
    assert rates == pytest.approx([0.02] * 2 + [0.01] * 2 + [0.02, 0.01] + [0.02] * 3)
