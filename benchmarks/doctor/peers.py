"""Other detectors on the doctor's benchmark, several on each run.

``PEER_PYTHON=/path/to/bin/python python benchmarks/doctor/peers.py dev`` writes what each found to
``benchmarks/results/``. What they cost is not measured here: ``argus doctor bench --with`` does.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from doctor_bench.case import cases_of
from doctor_bench.detectors import DETECTORS, NONE, OURS
from doctor_bench.detectors.together import run_of
from doctor_bench.run import Outcome, run_cases
from doctor_bench.scoring import score

RESULTS = Path(__file__).parents[1] / "results"


def seen_by(outcome: Outcome, name: str) -> Outcome:
    """An outcome as one of the detectors saw it."""
    twin = outcome.twin and run_of(outcome.twin, name)
    return replace(outcome, watched=run_of(outcome.watched, name), twin=twin)


def main(suite: str) -> None:
    """Runs a suite and adds it to the results of the day."""
    names = [name for name in DETECTORS if name not in (OURS, NONE)]
    python = Path(os.environ.get("PEER_PYTHON", sys.executable))
    cases = cases_of(suite)  # type: ignore[arg-type]
    outcomes = run_cases(
        cases,
        "+".join(names),
        python=python,
        alone=False,
        timeout_s=240,
        on_outcome=lambda outcome: print(outcome.case.title, file=sys.stderr, flush=True),
    )
    results = {}
    for name in names:
        result = score([seen_by(outcome, name) for outcome in outcomes])
        by_case = {
            one.case: {
                k: v for k, v in asdict(one).items() if k in ("detected", "first_right", "first", "step")
            }
            for one in result.faults
        }
        alarms = {one.case: sorted(set(one.alarms)) for one in result.healthy if one.alarms}
        results[name] = {"summary": result.summary(), "faults": by_case, "healthy_alarms": alarms}
        print(name, json.dumps(result.summary()))
    file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-doctor-bench-peers.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(known | {suite: results}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
