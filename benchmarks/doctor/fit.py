"""Fits how often each sign of the doctor is right, on runs whose truth is known, and writes ``signs.toml``.

    PYTHONPATH=benchmarks/doctor python benchmarks/doctor/fit.py

Of all suites every suspicion that no other explains is one observation: right, where it names the true cause; wrong,
where it fires in health. What a fault brings about besides (and its twin has not) is neither. A sign's probability is
the mean of a beta distribution: what was seen, and a prior of two observations that are right as often as hints were on
suites that no check was made on. So a sign that was right twice is not said to be certain.
"""

from __future__ import annotations

import datetime
import json
import sys
from collections import Counter
from pathlib import Path

from argus_doctor.suspicion import signs
from doctor_bench.case import cases_of
from doctor_bench.execution import Executed
from doctor_bench.run import run_cases

SUITES = ("dev", "held-out", "reported", "other-loops", "healthy")
"""The second to the fourth were held out when they were first measured; what was mended since has made development
suites of them."""
_DETECTOR = "doctor_bench.detectors.ours:EverySuspicion"
_PRIOR = 15 / 22
"""Hints that named the cause first, of all that stood first or in a twin, when ``reported`` (13 of 17) and
``other-loops`` (2 of 5) were first run."""
_PRIOR_COUNT = 2
_TABLE = Path(__file__).parents[2] / "packages/argus-doctor/src/argus_doctor/checks/signs.toml"
_RESULT = Path(__file__).parents[1] / "results" / f"{datetime.date.today()}-doctor-signs.json"
_HEAD = """# Sign → how often what it said is right, by `benchmarks/doctor/fit.py`: what was seen on runs whose truth
# is known, drawn towards how often hints were right on runs that no check was made on. A sign that no run has shown
# keeps a guess, of at most that.

[probability]
"""
_WEIGHTS = "\n# Which of two signs"
"""What follows in the table is a judgement, which no fit changes."""


def observations() -> list[tuple[str, bool]]:
    """Sign and whether it was right, of all runs."""
    found = []
    for suite in SUITES:
        for outcome in run_cases(cases_of(suite), _DETECTOR, alone=False):  # type: ignore[arg-type]
            truth = outcome.case.truth
            in_health = outcome.watched if truth is None else outcome.twin
            signs_in_health = [] if in_health is None else _signs(in_health)
            found += [(sign, False) for sign, _ in signs_in_health]
            if truth is not None:
                found += [(sign, True) for sign, slug in _signs(outcome.watched) if truth.accepts(slug)]
    return found


def _signs(run: Executed) -> list[tuple[str, str]]:
    """Sign and slug of what was found."""
    return [(str(one.numbers["sign"]), one.slug) for one in run.findings if "sign" in one.numbers]


def main() -> None:
    """Fits and writes."""
    seen = observations()
    guesses = signs()["probability"]
    counts, rights = Counter(sign for sign, _ in seen), Counter(sign for sign, right in seen if right)
    probable = {
        sign: (rights[sign] + _PRIOR * _PRIOR_COUNT) / (counts[sign] + _PRIOR_COUNT)
        if counts[sign]
        else min(guesses[sign], _PRIOR)
        for sign in sorted({*guesses, *counts})
    }
    lines = [
        f'"{sign}" = {value:.3f}{"" if counts[sign] else "  # never seen"}'
        for sign, value in probable.items()
    ]
    before, marker, weights = _TABLE.read_text(encoding="utf-8").partition(_WEIGHTS)
    if "[weight]" in before:
        sys.exit(f"{_TABLE}: {_WEIGHTS.strip()!r} does not stand before [weight]")
    text = _HEAD + "\n".join(lines) + "\n" + marker + weights
    _TABLE.write_text(text, encoding="utf-8")
    table = {
        sign: {"probability": round(value, 3), "seen": counts[sign], "right": rights[sign]}
        for sign, value in probable.items()
    }
    _RESULT.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(seen)} observations of {len(counts)} signs; {_TABLE}\n")


if __name__ == "__main__":
    main()
