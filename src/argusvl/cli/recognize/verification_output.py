"""What `argus recognize verify` says to people, on stderr."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from argusvl.core.terminal import console, say
from argusvl.doctor.rendering import print_findings
from argusvl.recognition.verification.verdict import Verdict
from argusvl.recognition.verification.verify import Verification

_RESULTS = {True: ("pass", "green"), False: ("FAIL", "bold red"), None: ("none", "dim")}


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
        table.add_row(*_row(one))
    terminal = console()
    terminal.print(table)
    print_findings(found.findings, terminal)
    passed = sum(one.passed is True for one in found.verdicts)
    failed = sum(one.passed is False for one in found.verdicts)
    words = f"{failed} failed, {passed} passed" if failed else f"all {passed} checks passed"
    text = f"{found.backbone} on {found.device}, {found.pictures}: {words} in {found.seconds:.0f} s"
    say(text)


def _row(one: Verdict) -> tuple[Text, Text, Text]:
    word, style = _RESULTS[one.passed]
    return Text(word, style=style), Text(one.name), Text(one.figure)
