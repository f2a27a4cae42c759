"""What `argus doctor list` and `explain` show to people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from argusvl.core.terminal import answer_console
from argusvl.doctor.findings import Entry
from argusvl.doctor.remedies import changes_of
from argusvl.doctor.rendering import STYLES


def print_entries(entries: Sequence[Entry]) -> None:
    """A line for each."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("id", no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_column("title", overflow="fold")
    for entry in entries:
        table.add_row(Text(entry.id, style=STYLES[entry.severity]), entry.slug, Text(entry.title))
    answer_console().print(table)


def print_entry(entry: Entry) -> None:
    """All that is known of one."""
    terminal = answer_console()
    terminal.print(Text.assemble((f"{entry.id} {entry.slug}", "bold"), f": {entry.title}"))
    about: dict[str, Sequence[str]] = {
        "Severity": [entry.severity],
        "Seen": [entry.symptom],
        "Why": entry.causes,
        "Found by": [entry.detector],
        "What to do": entry.remedies,
        "In the configuration": changes_of(entry.slug),
        "From": [entry.source] if entry.source else [],
    }
    table = Table(box=None, pad_edge=False, show_header=False)
    for column in ("what", "text"):
        table.add_column(column, overflow="fold")
    for name, texts in about.items():
        for number, text in enumerate(texts):
            table.add_row("" if number else name, Text(text))
    terminal.print(table)
