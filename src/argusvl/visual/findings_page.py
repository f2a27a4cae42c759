"""Findings as a part of a page."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from argus_doctor.findings import Finding, by_kind

SHOWN_IN_A_PAGE = 100
"""Of a kind; a reader wants examples, and programs have JSON."""


def findings_html(findings: Sequence[Finding], pictured: Collection[str] = ()) -> str:
    """The findings by kind as a part of a page, whose style sheet has their classes.

    Args:
        findings: In any order.
        pictured: Slugs of those whose pictures the page shows: they get a button for it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("argusvl.visual", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("findings.html.jinja")
    return template.render(
        kinds=by_kind(findings, frequent_first=True), pictured=pictured, most=SHOWN_IN_A_PAGE
    )
