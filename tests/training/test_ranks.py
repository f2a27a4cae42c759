"""Two processes over gloo: one step of both is one step of one process with the same samples."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import ToyTask, logged, losses, toy_config, train

from argusvl.core import precision
from argusvl.training.run import run_training

OPTIONS: dict[str, Any] = {"eval_steps": 6, "save_steps": 6, "max_grad_norm": 1e9, "max_steps": 9}
QUIET = {"dropout": 0.0, "noise": 0.0, "length": 16}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def rank(number: int, port: int, folder: Path, resume: bool) -> None:
    from accelerate.state import AcceleratorState

    # The ranks measure different speeds of bfloat16; rank 0's counts.
    precision.cpu_speed = lambda: 0.1 if number == 0 else 5.0

    os.environ |= {
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    AcceleratorState._reset_state(reset_partial_state=True)  # inherited by the fork
    config = toy_config(
        folder,
        per_device_train_batch_size=2,
        trainer_arguments={"ddp_backend": "gloo"},
        bf16="auto",
        **OPTIONS,
    )
    result = run_training(ToyTask(**QUIET), config, resume=resume)
    (folder / f"rank{number}.json").write_text(json.dumps(result.as_dict()))
    torch.distributed.destroy_process_group()


def both_ranks(folder: Path, resume: bool = False) -> None:
    processes = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")
    port = free_port()
    ranks = [processes.Process(target=rank, args=(n, port, folder, resume)) for n in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120)
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
    assert codes == [0, 0]


def test_two_ranks_compute_what_one_process_does(tmp_path: Path) -> None:
    both_ranks(tmp_path / "two")
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
