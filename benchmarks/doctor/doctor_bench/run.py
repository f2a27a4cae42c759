"""Runs cases under a detector, in worker processes, and brings their outcomes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import argusvl
from argusvl.core.errors import ArgusError
from doctor_bench.case import Case
from doctor_bench.detectors import NONE, check_detector
from doctor_bench.detectors.protocol import Found
from doctor_bench.execution import Executed

WORKERS = 2
TIMEOUT_S = 60.0

Repair = Callable[[str, Found], "str | None"]
"""Source and finding → the mended source, or ``None`` where it cannot be mended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case's runs.

    Attributes:
        case: The case.
        watched: The case under the detector.
        twin: Its twin under the detector; ``None`` of a healthy case.
        alone: A run of the healthy source without a detector: the case's own, or the twin's. What it costs and how good
            it gets; ``None`` where it was not asked for.
        repaired: The run of the source that a repair gave, without a detector; ``None`` if there is none.
        sources: The text that was executed, and the twin's.
        repair_tried: Whether a repair was asked for.
    """

    case: Case
    watched: Executed
    twin: Executed | None
    alone: Executed | None
    repaired: Executed | None
    sources: tuple[str, str]
    repair_tried: bool = False


def run_cases(
    cases: Sequence[Case],
    detector: str,
    *,
    python: Path | None = None,
    repair: Repair | None = None,
    alone: bool = True,
    probe: bool = False,
    workers: int = WORKERS,
    timeout_s: float = TIMEOUT_S,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """The outcomes of all cases, in their order.

    Args:
        cases: What to run.
        detector: Name or place of the detector.
        python: The interpreter that has the detector; this one by default.
        repair: What mends a source by a finding, if that is to be measured.
        alone: Whether each healthy source is also run without a detector, for the cost.
        probe: Measure also what moved and what is alive.
        workers: How many runs at once.
        timeout_s: What a run may take.
        on_outcome: Told of each outcome as it comes.

    Raises:
        ArgusError: The detector is unknown, an edit does not fit its script, or a worker died.
    """
    check_detector(detector)
    sources = [(case.source(), case.twin_source()) for case in cases]  # an edit that does not fit stops all
    workers = max(1, min(workers, len(cases)))  # each takes seconds to start
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(workers) as threads,
        _pool(
            workers, python
        ) as pool,  # ended first where all is interrupted, so that no thread waits for it
    ):

        def one(case: Case, texts: tuple[str, str]) -> Outcome:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                outcome = _run_case(case, texts, detector, Path(place), pool, repair, alone, probe, timeout_s)
            on_outcome(outcome)
            return outcome

        return list(threads.map(one, cases, sources))


def _run_case(
    case: Case,
    texts: tuple[str, str],
    detector: str,
    place: Path,
    pool: _Pool,
    repair: Repair | None,
    alone: bool,
    probe: bool,
    timeout_s: float,
) -> Outcome:
    def run(text: str, under: str, folder: str) -> Executed:
        # The same file name for all: a path says nothing of the fault.
        script = place / folder / f"{case.script}.py"
        script.parent.mkdir()
        script.write_text(text, encoding="utf-8")
        measured = probe or (repair is not None and under == NONE)
        job = {"script": str(script), "seed": case.seed, "detector": under, "probe": measured}
        return pool.execute(job | {"timeout": timeout_s})

    source, twin_source = texts
    watched = run(source, detector, "a")
    twin = run(twin_source, detector, "b") if case.truth else None
    bare = run(twin_source, NONE, "c") if alone else None
    repaired = None
    tried = repair is not None and case.truth is not None and case.truth.repairable
    if repair and tried and watched.alarms:
        mended = repair(source, watched.alarms[0])
        repaired = run(mended, NONE, "d") if mended is not None else None
    return Outcome(case, watched, twin, bare, repaired, texts, tried)


class _Pool:
    def __init__(self, workers: Sequence[subprocess.Popen[str]]) -> None:
        self._idle: Queue[subprocess.Popen[str]] = Queue()
        for worker in workers:
            self._idle.put(worker)

    def execute(self, job: dict[str, Any]) -> Executed:
        worker, line = self._idle.get(), ""
        try:
            assert worker.stdin and worker.stdout
            worker.stdin.write(json.dumps(job) + "\n")
            worker.stdin.flush()
            line = worker.stdout.readline()
        except BrokenPipeError:  # it ended before it was asked
            pass
        finally:
            self._idle.put(worker)
        if not line:
            raise ArgusError(
                "a worker of the benchmark ended",
                where=worker.args[0] if isinstance(worker.args, list) else None,
                remedy="the interpreter must have torch and this package; see what it said above",
            )
        return Executed.from_json(json.loads(line))


@contextmanager
def _pool(count: int, python: Path | None) -> Iterator[_Pool]:
    roots = {Path(argusvl.__file__).parents[1], Path(__file__).parents[1]}
    paths = [*map(str, roots), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [str(python or sys.executable), "-m", "doctor_bench.worker"]
    workers = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            bufsize=1,
            start_new_session=True,  # Ctrl-C comes to this process alone, which ends them
        )
        for _ in range(count)
    ]
    try:
        yield _Pool(workers)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.communicate()
