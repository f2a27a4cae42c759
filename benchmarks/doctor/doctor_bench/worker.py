"""The process in which runs are executed: a job a line on stdin, its result a line on stdout.

It imports torch once and forks for each run, so that no run sees what another left behind: hooks, patched modules,
random state. It runs under any interpreter that has torch and this package: so detectors of an environment of their own
are measured.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from doctor_bench.execution import Executed, execute


def main() -> None:
    """Reads jobs until the end of stdin."""
    _warm_up()
    # A script's own output is not a result: the real stdout is put aside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # with the run that is being executed
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        results.write(json.dumps(run_apart(json.loads(line))) + "\n")
        results.flush()


def _warm_up() -> None:
    """Imports what torch imports late, once for all runs."""
    import torch
    import torch.distributed
    import torch.utils.data

    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.AdamW([weight]).step()


def run_apart(job: dict[str, Any]) -> dict[str, Any]:
    """The result of a job that is executed in a fork, which is ended when its time is up."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.close(reading)
        os.setsid()  # so that processes that the script starts can be ended with it
        _run_in_child(job, writing)
    os.close(writing)
    try:
        answer = _read(reading, time.monotonic() + job["timeout"])
    finally:
        os.close(reading)
        _end(child)
    if answer is None:
        return Executed(error=f"no result within {job['timeout']} s").to_json()
    return answer


def _end(child: int) -> None:
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended, and all that it started
    except PermissionError:
        os.kill(child, signal.SIGKILL)  # it had not come to setsid
    os.waitpid(child, 0)


def _run_in_child(job: dict[str, Any], writing: int) -> None:
    try:
        with Path(job["script"]).with_suffix(".out").open("wb") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        script = Path(job["script"])
        result = execute(script, job["seed"], job["detector"], probe=job.get("probe", False)).to_json()
    except BaseException:  # noqa: BLE001 - the fork must answer, and must not return into the parent's code
        result = Executed(error=traceback.format_exc()).to_json()
    with os.fdopen(writing, "wb") as pipe:
        pickle.dump(result, pipe)
    os._exit(0)  # nothing of the parent's is flushed or torn down twice


def _read(reading: int, deadline: float) -> dict[str, Any] | None:
    parts = []
    while True:
        ready, _, _ = select.select([reading], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return None
        part = os.read(reading, 1 << 20)
        if not part:
            break
        parts.append(part)
    result: dict[str, Any] | None = pickle.loads(b"".join(parts)) if parts else None
    return result


if __name__ == "__main__":
    main()
