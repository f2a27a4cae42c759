"""How findings of every verb are shown: on a terminal, as text, and in a page. What they are as JSON, they know."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from argusvl.doctor.findings import Finding, by_kind

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"error": "red", "warning": "yellow"}
SHOWN = 20
SHOWN_OF_A_KIND = 3
SHOWN_IN_A_PAGE = 100
"""Of a kind; a reader wants examples, and programs have JSON."""


def print_findings(findings: Sequence[Finding], terminal: Console) -> None:
    """Some findings of each kind, errors before warnings: hundreds of one kind must not hide the others."""
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
            terminal.print(Text.assemble((f"{one.severity} {one.id}", style), f" {lines}"), soft_wrap=True)
        if len(alike) > most:
            terminal.print(Text(f"  … and {len(alike) - most} more of {len(alike)}: {alike[0].slug}"))
    if findings:
        words = "`argus doctor explain ID` says what is behind a finding"
        terminal.print(Text(words, style="dim"), soft_wrap=True)


def show_findings(findings: Sequence[Finding], most: int = SHOWN) -> str:
    """The first findings as text, a few lines each; errors before warnings."""
    ordered = sorted(findings, key=lambda one: one.severity != "error")
    more = f"\n… and {len(findings) - most} more" if len(findings) > most else ""
    return "\n".join(str(one) for one in ordered[:most]) + more


def findings_html(findings: Sequence[Finding], pictured: Collection[str] = ()) -> str:
    """The findings by kind as a part of a page, whose style sheet has their classes.

    Args:
        findings: In any order.
        pictured: Slugs of those whose pictures the page shows: they get a button for it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("argusvl.doctor", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("findings.html.jinja")
    return template.render(
        kinds=by_kind(findings, frequent_first=True), pictured=pictured, most=SHOWN_IN_A_PAGE
    )
