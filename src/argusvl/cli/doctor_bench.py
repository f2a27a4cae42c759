"""`argus doctor bench`: what the doctor finds where it is known what is wrong, and where nothing is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from argusvl.command_options import AsJson
from argusvl.core.errors import ArgusError
from argusvl.core.terminal import console, print_json


def command(
    suite: Annotated[str, typer.Option(help="Which half: dev or held-out.")] = "dev",
    beside: Annotated[
        str, typer.Option("--with", metavar="NAMES", help="Other detectors too, with commas between them.")
    ] = "",
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="NAME", help="Only this case; can be repeated.")
    ] = None,
    peer_python: Annotated[
        Path | None, typer.Option(help="The interpreter in whose environment other detectors are installed.")
    ] = None,
    only_others: Annotated[bool, typer.Option("--only-others", help="Leave our own doctor out.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Runs at the same time.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Measure the doctor: train small scripts with a known fault, their twins without it, and healthy ones.

    Examples:

        argus doctor bench

        argus doctor bench --case missing-zero-grad-mlp

        argus doctor bench --suite held-out --with sagemaker-rules --json
    """
    from argusvl.doctor.bench.case import SUITES, cases_of
    from argusvl.doctor.bench.detectors import OURS, check_detector
    from argusvl.doctor.bench.detectors.ours import repair
    from argusvl.doctor.bench.run import run_cases
    from argusvl.doctor.bench.scoring import Score, score

    if suite not in SUITES:
        raise ArgusError(f"there is no suite {suite!r}", remedy=f"take one of: {', '.join(SUITES)}")
    detectors = [
        *([] if only_others else [OURS]),
        *filter(None, (name.strip() for name in beside.split(","))),
    ]
    if not detectors:
        raise ArgusError("no detector is left to measure", remedy="name one by --with")
    for name in detectors:
        check_detector(name)
    cases = cases_of(suite, case or ())
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
    if as_json:
        print_json({"suite": suite, "detectors": {name: one.to_json() for name, one in scores.items()}})


_WORDS = {
    "detected": "faults detected",
    "detected_in_time": "within the first steps",
    "class_right": "cause named first",
    "class_named": "cause named at all",
    "place_right": "place right, where it is named",
    "repaired": "repaired",
    "healthy_runs_with_alarm": "healthy runs with an alarm",
    "twins_with_alarm": "twins with an alarm",
}


def _counted(slugs: Sequence[str]) -> str:
    """Each once, in order, with how often it is there."""
    counts = Counter(slug or "something else" for slug in slugs)
    return ", ".join(slug if n == 1 else f"{slug} × {n}" for slug, n in counts.items())


def _print_score(name: str, result: Any) -> None:
    from rich.table import Table

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
    missed = [one for one in result.faults if not one.first_right]
    for one in missed:
        table.add_row(f"  {one.case}", f"found {_counted(one.found) or 'nothing'}", "")
    for one in [*result.healthy, *result.twins]:
        if one.alarms:
            table.add_row(f"  {one.case} (healthy)", f"alarms {_counted(one.alarms)}", "")
    console().print(table)
