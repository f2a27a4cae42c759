"""Runs a command as several processes that train together, one a GPU or a core: PyTorch's own launcher."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from argusvl.core.errors import INTERRUPTED, ConfigError, TrainingError
from argusvl.core.threads import divide_cores, usable_cores
from argusvl.core.wording import counted

_MOST_A_CORE = 4
"""Processes; to try something out, several may share one."""

_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT")
"""By which a launcher tells its processes who they are."""

_SAVE_SECONDS = 600
"""Between a request to stop and the end by force: a step is finished and a checkpoint written in it."""


def read_launcher_variables() -> None:
    """Refuses what no launcher sets; an empty variable, as a shell leaves it behind, is as none.

    Raises:
        ConfigError: One of them is no whole number, or those that a launcher sets together are not complete.
    """
    for name in _VARIABLES:
        text = os.environ.get(name)
        if text == "":
            del os.environ[name]
        elif text is not None and not (text.isascii() and text.isdigit()):
            raise ConfigError(
                f"is {text!r}, and no whole number",
                where=name,
                remedy=f"unset {name}: a launcher sets it for the processes that it starts",
            )


def inside_a_launcher() -> bool:
    """Whether this process is one of several, of ours or of ``torchrun``.

    Raises:
        ConfigError: It has a rank, and other variables that a launcher sets beside it are missing.
    """
    if "RANK" not in os.environ:
        return False
    missing = [n for n in ("WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(n)]
    if missing:
        raise ConfigError(
            f"is set and {missing[0]} is not",
            where="RANK",
            remedy="unset RANK, or start the processes with `torchrun` or --processes",
        )
    return True


def processes_of_launcher() -> int:
    """How many processes a launcher has started on all machines together; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this process speaks for all of them: the only one, or rank 0."""
    return os.environ.get("RANK", "0") == "0"


def check_processes(processes: int, device: str) -> int:
    """The GPUs of this machine that a run on this ``device`` uses, where it can run so many processes.

    Raises:
        ConfigError: It cannot.
    """
    import torch

    gpus, cores = 0 if device == "cpu" else torch.cuda.device_count(), usable_cores()
    if 0 < gpus < processes:
        raise ConfigError(
            f"{processes} processes were asked for and this machine has {counted(gpus, 'GPU')}",
            where="--processes",
            remedy="ask for one process a GPU at most, or set device=cpu",
        )
    if not gpus and processes > _MOST_A_CORE * cores:
        raise ConfigError(
            f"{processes} processes were asked for and this command may use {counted(cores, 'core')}",
            where="--processes",
            remedy="ask for one process a core at most: more wait for each other",
        )
    return gpus


def launch(arguments: Sequence[str], processes: int, device: str) -> int:
    """Runs ``argus`` with these arguments in each of several processes on this machine and waits for them.

    Each takes its share of the cores, or one GPU. A first Ctrl-C (or SIGTERM) is handed on; the processes finish
    their step, save a checkpoint and end.

    Returns:
        The exit code: of the first process that failed, or 130 when interrupted.

    Raises:
        ConfigError: There are fewer GPUs, or far fewer cores, than processes.
        TrainingError: A process was killed.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if not check_processes(processes, device):
        divide_cores(processes)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # hints at speed, from each of them
    # Each process says what it has to say.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    # torch 2.11 has no such option and gives them 30 s.
    known = {field.name for field in dataclasses.fields(LaunchConfig)}
    patience: dict[str, Any] = {"shutdown_timeout": _SAVE_SECONDS} if "shutdown_timeout" in known else {}
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="argus",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # any free port
        local_addr="127.0.0.1",  # in a container the machine's own name may lead nowhere
        max_restarts=0,
        **patience,
    )
    command = ["-m", "argusvl", *arguments]
    try:
        elastic_launch(config, sys.executable)(*command)
    except SignalException:
        return INTERRUPTED
    except ChildFailedError as failed:
        # Others may have ended by then as well, for want of the one that was killed; those that are left get SIGTERM.
        ended = failed.failures.items()
        killed = [(rank, one) for rank, one in ended if one.exitcode < 0 and one.exitcode != -signal.SIGTERM]
        if not killed:
            return failed.get_first_failure()[1].exitcode
        rank, failure = killed[0]
        name = signal.Signals(-failure.exitcode).name
        raise TrainingError(
            f"process {rank} of {processes} was ended by {name}",
            remedy="where nobody sent it, the system had no memory left: lower per_device_train_batch_size or the "
            "number of processes; go on from the newest checkpoint with --resume",
        ) from failed
    return 0
