"""What `argus recognize table`, `enroll` and `classify` say to people, on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from argusvl.cli.recognize.named import NAMED, print_named
from argusvl.core.terminal import console, say
from argusvl.core.wording import counted, printable
from argusvl.recognition.extraction.sources import Problem
from argusvl.recognition.few_shot.enrolment import EnrolmentReport
from argusvl.recognition.few_shot.measurement import Measured


def print_measured(measured: Measured) -> None:
    """What is odd about the data, and what of it was left out."""
    terminal = console()
    protocol = measured.protocol
    for category in measured.categories:
        fewest, most = min(category["classes"].values()), max(protocol.shots)
        text = (
            f"{printable(category['name'])}: classes {len(category['classes'])}, pictures to sort "
            f"{category['queries']}, draws {protocol.seeds}, classifier {protocol.classifier}"
        )
        if most == fewest == max(category["classes"].values()):
            text += f"; {counted(most, 'shot')} are all examples, so that the draws do not differ"
        say(text)
    for note in measured.notes:
        terminal.print(Text.assemble(("note", "yellow"), f" {note}"), soft_wrap=True)
    print_quarantined(measured.quarantined)


def print_enrolment(report: EnrolmentReport, store: Path) -> None:
    """The sum, what cannot be used, and the classes that there are now."""
    print_quarantined(report.quarantined)
    say(
        f"{counted(report.inputs, 'image')} = {report.enrolled} enrolled + {report.known} enrolled before or given "
        f"twice + {len(report.quarantined)} quarantined"
    )
    listed = ", ".join(f"{printable(label)} {number}" for label, number in report.classes.items())
    say(f"{store}: {listed or 'nothing enrolled'}")


def print_classified(
    counts: Mapping[str, int], failed: Mapping[str, str], problems: Sequence[Problem]
) -> None:
    """How many pictures each class has, and what cannot be used."""
    print_not_searched(problems)
    print_quarantined(failed)
    listed = ", ".join(f"{printable(label)} {number}" for label, number in sorted(counts.items()))
    refused = f", {len(failed)} quarantined" if failed else ""
    total = counted(sum(counts.values()), "image")
    say(f"{total} classified{refused}{f': {listed}' if listed else ''}")


def print_not_searched(problems: Sequence[Problem]) -> None:
    """Places where pictures may be that were not found."""
    print_named("not searched", ((problem.path, problem.reason) for problem in problems))


def print_single_examples(classes: Sequence[str]) -> None:
    """That little can be said of what is unknown."""
    if classes:
        listed = ", ".join(printable(label) for label in classes[:NAMED])
        text = f" one example only of {listed}: how probably a picture is known is a guess; --threshold 0 rejects none"
        console().print(Text.assemble(("note", "yellow"), text), soft_wrap=True)


def print_quarantined(quarantined: Mapping[str, str]) -> None:
    """Pictures that cannot be used, each with its reason."""
    print_named("quarantined", quarantined.items())
