"""Fits how often each sign of the doctor is right, on runs whose truth is known, and writes ``signs.toml``.

    PYTHONPATH=benchmarks/doctor python benchmarks/doctor/fit.py

Of all suites every suspicion that no other explains is one observation: right,
where it names the true cause; wrong, where it fires in health. What a fault brings about besides (and its twin has not)
is neither. A logistic regression on the sign gives its probability; its prior (a ridge on the signs'
weights) draws signs that were seen seldom towards the mean of all.
"""

from __future__ import annotations

import datetime
import json
import sys
from collections import Counter
from pathlib import Path

from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from argus_doctor.suspicion import signs
from doctor_bench.case import cases_of
from doctor_bench.execution import Executed
from doctor_bench.run import run_cases

SUITES = ("dev", "held-out", "reported", "other-loops", "healthy")
"""The second to the fourth were held out when they were first measured; what was mended since has made development
suites of them."""
_DETECTOR = "doctor_bench.detectors.ours:EverySuspicion"
_RIDGE = 5.0
_TABLE = Path(__file__).parents[2] / "packages/argus-doctor/src/argus_doctor/checks/signs.toml"
_RESULT = Path(__file__).parents[1] / "results" / f"{datetime.date.today()}-doctor-signs.json"
_HEAD = """# Sign → how often what it said was right. Fitted by `benchmarks/doctor/fit.py` on the development runs: a
# logistic regression on the sign, with a prior that draws signs that were seen seldom towards the mean of all. A sign
# that no run has shown keeps a guess, of at most 0.8.

[probability]
"""
_GUESS = 0.8
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
    known = sorted({*guesses, *(sign for sign, _ in seen)})
    encoder = OneHotEncoder(categories=[known], sparse_output=False)
    columns = encoder.fit_transform([[sign] for sign, _ in seen])
    model = LogisticRegression(C=_RIDGE).fit(columns, [right for _, right in seen])
    fitted = model.predict_proba(encoder.transform([[sign] for sign in known]))[:, 1]
    counts, rights = Counter(sign for sign, _ in seen), Counter(sign for sign, right in seen if right)
    probable = {
        sign: float(value) if counts[sign] else min(guesses[sign], _GUESS)
        for sign, value in zip(known, fitted, strict=True)
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
