"""Keeps a suite's result with the results of the day, in short.

    argus doctor bench --suite dev --json | python benchmarks/doctor/record.py dev ["a note"]

Adds the suite's figures, its faults (case, truth, first finding, found, by a proof, place right) and its alarms to
``benchmarks/results/<date>-doctor-bench.json``.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
_OF_A_FAULT = ("case", "slug", "first", "detected", "proven", "place_right")


def in_short(result: dict[str, Any]) -> dict[str, Any]:
    """Of ``argus doctor bench --json`` what is kept."""
    return {
        "summary": result["summary"],
        "faults": [[one[key] for key in _OF_A_FAULT] for one in result["faults"]],
        "alarms": [one for one in (*result["healthy"], *result["twins"]) if one["alarms"]],
    }


def main(name: str, note: str = "") -> None:
    """Keeps what comes on stdin under a name: the suite's, or which look at it this is."""
    said = json.load(sys.stdin)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    file = RESULTS / f"{today}-doctor-bench.json"
    known = json.loads(file.read_text("utf-8")) if file.exists() else {"date": today}
    known[name] = in_short(said["detectors"]["argus"]) | ({"note": note} if note else {})
    file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
