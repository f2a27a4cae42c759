"""What ``argus doctor bench`` does: suites run under detectors, scored and shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from argusvl.core.errors import ArgusError
from argusvl.core.terminal import console
from doctor_bench.case import SUITES, cases_of
from doctor_bench.detectors import OURS, check_detector
from doctor_bench.detectors.ours import repair
from doctor_bench.run import run_cases
from doctor_bench.scoring import Score, score

_WORDS = {
    "detected": "faults detected",
    "detected_by_proof": "by proofs alone",
    "detected_in_time": "within the first steps",
    "class_right": "cause named first",
    "class_named": "cause named at all",
    "place_right": "place right, where it is named",
    "repaired": "repaired",
    "healthy_runs_with_error": "healthy runs with an error",
    "healthy_runs_with_alarm": "healthy runs with an alarm",
    "twins_with_error": "twins with an error",
    "twins_with_alarm": "twins with an alarm",
}


def measure(
    suite: str, detectors: Sequence[str], names: Sequence[str], *, peer_python: Path | None, workers: int
) -> dict[str, Score]:
    """Runs a suite's cases under each detector, shows each score as it comes, and returns all by name.

    Args:
        suite: Which half.
        detectors: Names or places of detectors.
        names: Only these cases; all if there are none.
        peer_python: The interpreter for detectors that are not ours.
        workers: Runs at the same time.

    Raises:
        ArgusError: There is no such suite, case or detector.
    """
    if suite not in SUITES:
        raise ArgusError(f"there is no suite {suite!r}", remedy=f"take one of: {', '.join(SUITES)}")
    for name in detectors:
        check_detector(name)
    cases = cases_of(suite, names)
    scores: dict[str, Score] = {}
    for name in detectors:
        with console().status(f"{name}: {len(cases)} cases"):
            outcomes = run_cases(
                cases,
                name,
                python=None if name == OURS else peer_python,
                repair=repair if name == OURS else None,
                workers=workers,
            )
        scores[name] = score(outcomes)
        _print_score(name, scores[name])
    return scores


def _counted(slugs: Sequence[str]) -> str:
    """Each once, in order, with how often it is there."""
    counts = Counter(slug or "something else" for slug in slugs)
    return ", ".join(slug if n == 1 else f"{slug} × {n}" for slug, n in counts.items())


def _print_score(name: str, result: Score) -> None:
    summary = result.summary()
    table = Table(title=name, title_justify="left", box=None, pad_edge=False, show_header=False)
    for key, words in _WORDS.items():
        count, of, low, high = summary[key]
        if of:
            table.add_row(words, f"{count} of {of}", f"({low:.0%} to {high:.0%})")
    if summary["overhead"] is not None:
        table.add_row("processor time", f"× {summary['overhead']:.2f}", "")
    if summary["problems"]:
        table.add_row("runs in which the detector failed", str(summary["problems"]), "")
    for fault in result.faults:
        if not fault.first_right:
            table.add_row(f"  {fault.case}", f"found {_counted(fault.found) or 'nothing'}", "")
    for one in [*result.healthy, *result.twins]:
        if one.alarms:
            table.add_row(f"  {one.case} (healthy)", f"alarms {_counted(one.alarms)}", "")
    console().print(table)
