"""What `argus recognize extract` says to people, on stderr."""

from __future__ import annotations

from pathlib import Path

from argusvl.cli.recognize.named import print_named
from argusvl.core.errors import DataError
from argusvl.core.terminal import say
from argusvl.core.wording import counted
from argusvl.recognition.extraction.extractor import ExtractionReport
from argusvl.recognition.extraction.store import how_far


def print_extraction(report: ExtractionReport) -> None:
    """The sum, what has no vector and why, and what was passed by."""
    print_named("note", ((entry.path, entry.note or "") for entry in report.noted), style="yellow")
    print_named("quarantined", ((entry.path, entry.reason or "") for entry in report.quarantined_entries))
    print_named("not searched", ((problem.path, problem.reason) for problem in report.problems))
    if report.other_files:
        kinds = ", ".join(
            f"{number} {suffix or 'without suffix'}" for suffix, number in report.other_files.items()
        )
        say(f"passed by, no images by their names: {kinds}")
    if report.repeated:
        say(f"named more than once: {report.repeated}")
    total = (
        f"{counted(report.inputs, 'image')} = {report.embedded} embedded + {report.quarantined} quarantined + "
        f"{report.skipped} skipped (done before)"
    )
    speed = f", {report.images_per_second:.1f} images/s" if report.embedded else ""
    say(f"{total}{speed}")
    say(f"{report.store}: {counted(report.vectors, 'vector')}")


def print_how_far(store: Path) -> None:
    """After an interruption: what is kept, and how to go on."""
    try:
        done, total = how_far(store)
    except DataError:
        return  # interrupted before there was a store
    text = f"{done} of {total} images are kept in {store}; the same command goes on"
    say(text)
