"""What `argus recognize verify` says to people, on stderr."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from argusvl.cli.output import console
from argusvl.recognition.verification.check import Check
from argusvl.recognition.verification.verify import Verification

_RESULTS = {True: ("pass", "green"), False: ("FAIL", "bold red"), None: ("none", "dim")}


def print_verification(found: Verification) -> None:
    """A table of the checks by group, and how many have passed."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for column in ("result", "check", "figure"):
        table.add_column(column, overflow="fold")
    group = None
    for check in found.checks:
        if check.group != group:
            group = check.group
            table.add_row("", Text(group, style="bold"), "")
        table.add_row(*_row(check))
    terminal = console()
    terminal.print(table)
    passed = sum(check.passed is True for check in found.checks)
    failed = sum(check.passed is False for check in found.checks)
    words = f"{failed} failed, {passed} passed" if failed else f"all {passed} checks passed"
    text = f"{found.backbone} on {found.device}, {found.pictures}: {words} in {found.seconds:.0f} s"
    terminal.print(Text(text), soft_wrap=True)


def _row(check: Check) -> tuple[Text, Text, Text]:
    word, style = _RESULTS[check.passed]
    return Text(word, style=style), Text(check.name), Text(check.figure)
