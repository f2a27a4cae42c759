"""What `argus recognize` says to people, on stderr, and the lines that it writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from argus_doctor.rendering import print_findings
from argusvl.core.errors import DataError
from argusvl.core.files import atomic_text_file
from argusvl.core.terminal import console, say
from argusvl.core.wording import counted, printable

if TYPE_CHECKING:
    from argusvl.recognition.extraction.extractor import ExtractionReport
    from argusvl.recognition.extraction.sources import Problem
    from argusvl.recognition.few_shot.enrolment import EnrolmentReport
    from argusvl.recognition.few_shot.measurement import Measured
    from argusvl.recognition.pipeline.stages import PipelineReport
    from argusvl.recognition.verification.verify import Verification

NAMED = 20
"""Pictures that are named here; the JSON and the files name all."""

_RESULTS = {True: ("pass", "green"), False: ("FAIL", "bold red"), None: ("none", "dim")}


def print_named(title: str, items: Iterable[tuple[str, str | None]], *, style: str = "red") -> None:
    """The first pictures, each with what is wrong with it or odd, and how many more there are."""
    terminal, named = console(), list(items)
    for path, reason in named[:NAMED]:
        terminal.print(Text.assemble((title, style), f" {printable(path)}: {reason}"), soft_wrap=True)
    if len(named) > NAMED:
        say(f"{title}: {len(named) - NAMED} more")


def print_unusable(quarantined: Mapping[str, str], problems: Sequence[Problem] = ()) -> None:
    """Places where pictures may be that were not found, and pictures that cannot be used."""
    print_named("not searched", ((problem.path, problem.reason) for problem in problems))
    print_named("quarantined", quarantined.items())


def print_note(text: str) -> None:
    """What is odd and no error."""
    console().print(Text.assemble(("note", "yellow"), f" {text}"), soft_wrap=True)


def write_lines(
    lines: Iterable[dict[str, Any]], out: Path | None, failed: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Writes JSON lines to a file or to stdout; gives those without an error, and notes the others in ``failed``."""
    with atomic_text_file(out) if out is not None else nullcontext(sys.stdout) as stream:
        for line in lines:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            if "error" in line:
                failed[line["image"]] = line["error"]
            else:
                yield line


def print_extraction(report: ExtractionReport) -> None:
    """The sum, what has no vector and why, and what was passed by."""
    print_named("note", ((entry.path, entry.note) for entry in report.noted), style="yellow")
    print_unusable({entry.path: entry.reason or "" for entry in report.quarantined_entries}, report.problems)
    if report.other_files:
        kinds = (f"{number} {suffix or 'without suffix'}" for suffix, number in report.other_files.items())
        say(f"passed by, no images by their names: {', '.join(kinds)}")
    if report.repeated:
        say(f"named more than once: {report.repeated}")
    speed = f", {report.images_per_second:.1f} images/s" if report.embedded else ""
    say(
        f"{counted(report.inputs, 'image')} = {report.embedded} embedded + {report.quarantined} quarantined + "
        f"{report.skipped} skipped (done before){speed}"
    )
    say(f"{report.store}: {counted(report.vectors, 'vector')}")


def print_how_far(store: Path) -> None:
    """After an interruption: what is kept, and how to go on."""
    from argusvl.recognition.extraction.store import how_far

    try:
        done, total = how_far(store)
    except DataError:
        return  # interrupted before there was a store
    say(f"{done} of {total} images are kept in {store}; the same command goes on")


def print_pipeline(report: PipelineReport) -> None:
    """The sums of each stage, and what could not be used and why."""
    print_unusable({q.path: f"{q.reason} (stage {q.stage})" for q in report.quarantined}, report.problems)
    for stage in report.stages:
        text = f"{stage.name}: {counted(stage.inputs, 'image')} = {stage.done} done + {stage.quarantined} quarantined"
        if stage.resumed:
            text += f", {stage.resumed} of them before"
        if (used := stage.lease) is not None:
            size = f"{used.model_bytes / 2**20:.0f} MiB"
            text += f"; the model took {size} of {used.device} for {used.seconds:.0f} s"
        say(text)
    total = f"{counted(report.inputs, 'image')} = {report.finished} finished + {len(report.quarantined)} quarantined"
    say(f"{total}: {report.out}")


def print_measured(measured: Measured) -> None:
    """What is odd about the data, and what of it was left out."""
    protocol = measured.protocol
    for category in measured.categories:
        examples, most = set(category["classes"].values()), max(protocol.shots)
        text = (
            f"{printable(category['name'])}: classes {len(category['classes'])}, pictures to sort "
            f"{category['queries']}, draws {protocol.seeds}, classifier {protocol.classifier}"
        )
        if examples == {most}:
            text += f"; {counted(most, 'shot')} are all examples, so that the draws do not differ"
        say(text)
    for note in measured.notes:
        print_note(note)
    print_unusable(measured.quarantined)


def print_enrolment(report: EnrolmentReport, store: Path) -> None:
    """The sum, what cannot be used, and the classes that there are now."""
    print_unusable(report.quarantined)
    say(
        f"{counted(report.inputs, 'image')} = {report.enrolled} enrolled + {report.known} enrolled before or given "
        f"twice + {len(report.quarantined)} quarantined"
    )
    say(f"{store}: {_numbers(report.classes) or 'nothing enrolled'}")


def print_classified(
    counts: Mapping[str, int], failed: Mapping[str, str], problems: Sequence[Problem]
) -> None:
    """How many pictures each class has, and what cannot be used."""
    print_unusable(failed, problems)
    total = f"{counted(sum(counts.values()), 'image')} classified"
    total += f", {len(failed)} quarantined" if failed else ""
    say(f"{total}: {_numbers(dict(sorted(counts.items())))}" if counts else total)


def print_verification(found: Verification) -> None:
    """A table of the checks by group, what to do about those that failed, and how many have passed."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for column in ("result", "check", "figure"):
        table.add_column(column, overflow="fold")
    group = None
    for one in found.verdicts:
        if one.group != group:
            group = one.group
            table.add_row("", Text(group, style="bold"), "")
        table.add_row(Text(*_RESULTS[one.passed]), Text(one.name), Text(one.figure))
    console().print(table)
    print_findings(found.findings, console())
    passed = sum(one.passed is True for one in found.verdicts)
    failed = sum(one.passed is False for one in found.verdicts)
    words = f"{failed} failed, {passed} passed" if failed else f"all {passed} checks passed"
    say(f"{found.backbone} on {found.device}, {found.pictures}: {words} in {found.seconds:.0f} s")


def _numbers(classes: Mapping[str, int]) -> str:
    return ", ".join(f"{printable(label)} {number}" for label, number in classes.items())
