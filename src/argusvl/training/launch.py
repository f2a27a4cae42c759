"""Runs a command as several processes that train together, one a GPU or a core: PyTorch's own launcher."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from argusvl.core.errors import INTERRUPTED, ConfigError
from argusvl.core.threads import divide_cores

_SAVE_SECONDS = 600
"""Between a request to stop and the end by force: a step is finished and a checkpoint written in it."""


def inside_a_launcher() -> bool:
    """Whether this process is one of several, of ours or of ``torchrun``."""
    return "RANK" in os.environ


def is_first_process() -> bool:
    """Whether this process speaks for all of them: the only one, or rank 0."""
    return os.environ.get("RANK", "0") == "0"


def launch(arguments: Sequence[str], processes: int) -> int:
    """Runs ``argus`` with these arguments in each of several processes on this machine and waits for them.

    Each takes its share of the cores, or one GPU. A first Ctrl-C (or SIGTERM) is handed on; the processes finish
    their step, save a checkpoint and end.

    Args:
        arguments: What follows ``argus``.
        processes: How many.

    Returns:
        The exit code: of the first process that failed, or 130 when interrupted.

    Raises:
        ConfigError: There are fewer GPUs than processes.
    """
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise ConfigError(
            f"{processes} processes were asked for and this machine has {gpus} GPU{'s' if gpus > 1 else ''}",
            where="--processes",
            remedy="ask for one process a GPU at most",
        )
    if not gpus:
        divide_cores(processes)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # hints at speed, from each of them
    logging.getLogger("torch.distributed.elastic").setLevel(
        logging.CRITICAL
    )  # each process says what it has to say
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="argus",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # any free port
        max_restarts=0,
        shutdown_timeout=_SAVE_SECONDS,
    )
    command = ["-m", "argusvl", *arguments]
    try:
        elastic_launch(config, sys.executable)(*command)
    except SignalException:
        return INTERRUPTED
    except ChildFailedError as failed:
        return failed.get_first_failure()[1].exitcode
    return 0
