"""How findings are shown: on a terminal and as text. What they are as JSON, they know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from argus_doctor.findings import Entry, Finding, by_kind, catalogue, program

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STYLES = {"error": "red", "warning": "yellow", "hint": "cyan"}
SHOWN = 20
SHOWN_OF_A_KIND = 3
_UNBROKEN = 250


def answer_console(to_stderr: bool = False) -> Console:
    """A console, on stdout by default, whose lines are not broken where a program reads them."""
    from rich.console import Console

    console = Console(stderr=to_stderr)
    if not console.is_terminal:
        console.width = _UNBROKEN
    return console


def print_findings(findings: Sequence[Finding], terminal: Console) -> None:
    """What is found for certain, then hints under a heading of their own: some of each kind, so that hundreds of one
    kind do not hide the others.
    """
    from rich.text import Text

    _print_kinds([one for one in findings if one.severity != "hint"], terminal)
    if hints := [one for one in findings if one.severity == "hint"]:
        terminal.print(Text("Hints: likelihoods, which something healthy may look like, too", style="bold"))
        _print_kinds(sorted(hints, key=lambda one: -(one.probability or 0.0)), terminal)
    if findings:
        words = f"`{program()} explain ID` says what is behind a finding"
        terminal.print(Text(words, style="dim"), soft_wrap=True)


def _print_kinds(findings: Sequence[Finding], terminal: Console) -> None:
    from rich.text import Text

    kinds = by_kind(findings)
    # As many of each as there is room for, where there are few kinds.
    most = max(SHOWN_OF_A_KIND, SHOWN // max(len(kinds), 1))
    for alike in kinds:
        for one, following in zip_longest(alike[:most], alike[1:most]):
            style = STYLES[one.severity]
            text, _, remedy = str(one).rpartition("\n")
            told_next = following is not None and following.remedy == one.remedy
            lines = text if told_next else f"{text}\n{remedy}"
            sure = "" if one.probability is None else f" ({one.probability:.0%})"
            terminal.print(
                Text.assemble((f"{one.severity} {one.id}{sure}", style), f" {lines}"), soft_wrap=True
            )
            entry = catalogue().get(one.slug)  # none of a finding that a later version wrote
            caveat = entry.caveat if entry is not None and one.severity == "hint" else ""
            if caveat and not told_next:
                terminal.print(Text(f"  Could also be: {caveat}"), soft_wrap=True)
        if len(alike) > most:
            terminal.print(Text(f"  … and {len(alike) - most} more of {len(alike)}: {alike[0].slug}"))


def show_findings(findings: Sequence[Finding], most: int = SHOWN) -> str:
    """The first findings as text, a few lines each; errors before warnings."""
    ordered = sorted(findings, key=lambda one: one.severity != "error")
    more = f"\n… and {len(findings) - most} more" if len(findings) > most else ""
    return "\n".join(str(one) for one in ordered[:most]) + more


def print_entries(entries: Sequence[Entry], terminal: Console) -> None:
    """A line for each."""
    from rich.text import Text

    table = _table(3)
    table.columns[0].no_wrap = True
    for entry in entries:
        table.add_row(Text(entry.id, style=STYLES[entry.severity]), entry.slug, Text(entry.title))
    terminal.print(table)


def print_entry(entry: Entry, terminal: Console, more: Mapping[str, Sequence[str]] | None = None) -> None:
    """All that is known of one, and what else the caller knows of it."""
    from rich.text import Text

    terminal.print(Text.assemble((f"{entry.id} {entry.slug}", "bold"), f": {entry.title}"))
    about: dict[str, Sequence[str]] = {
        "Severity": [entry.severity],
        "Seen": [entry.symptom],
        "Why": entry.causes,
        "Found by": [entry.detector],
        "Could also be": [entry.caveat] if entry.caveat else [],
        "What to do": entry.remedies,
        **(more or {}),
        "From": [entry.source] if entry.source else [],
    }
    table = _table(2)
    for name, texts in about.items():
        for number, text in enumerate(texts):
            table.add_row("" if number else name, Text(text))
    terminal.print(table)


def _table(columns: int) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(columns):
        table.add_column(overflow="fold")
    return table
