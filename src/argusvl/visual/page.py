"""What every page of ours is made with: templates, scripts under a policy that forbids the network, safe JSON."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from argus_doctor.findings import Finding, by_kind
from argusvl.core.files import open_file
from argusvl.visual.fonts import embedded_font
from argusvl.visual.plots import format_number
from argusvl.visual.sections import Section

_HEAD_BYTES = 4096
_FINDINGS_SHOWN = 100  # of a kind; a reader wants examples, and programs have JSON


def page_environment(package: str | None = None) -> Environment:
    """Templates of this package, and before them of another: what is put into them is escaped, and a name that is not
    given is an error.
    """
    packages = [*([package] if package else []), "argusvl.visual"]
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "templates") for name in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"json": json_in_page, "number": shown_number, "bar": bar_percentage}
    return environment


def render_page(
    environment: Environment,
    template: str,
    scripts: Iterable[str],
    sections: Iterable[Section] = (),
    **values: Any,
) -> str:
    """A page on ``page.html.jinja``, with its security policy and the glyphs of whatever it says.

    ``scripts`` are names among the templates; those of ``sections`` may run in it, too.
    """
    assert environment.loader is not None
    sources = {
        name.removesuffix(".js"): Markup(environment.loader.get_source(environment, name)[0])
        for name in scripts
    }
    policy = security_policy([*sources.values(), *(one.script for one in sections if one.script)])
    html = environment.get_template(template).render(scripts=sources, policy=policy, **values)
    head, style, rest = html.partition("<style>\n")
    return f"{head}{style}{embedded_font(html)}\n{rest}"


def findings_html(findings: Sequence[Finding], pictured: Collection[str] = ()) -> Markup:
    """The findings by kind as a part of a page, whose style sheet has their classes.

    Args:
        findings: In any order.
        pictured: Slugs of those whose pictures the page shows: they get a button for it.
    """
    kinds = by_kind(findings, frequent_first=True)
    template = page_environment().get_template("findings.html.jinja")
    return Markup(template.render(kinds=kinds, pictured=pictured, most=_FINDINGS_SHOWN))


def is_page(path: Path) -> bool:
    """Whether a file is a page that Argus has written."""
    try:
        with open_file(path) as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return False
    return re.search(rb"<title>[^<]* \xe2\x80\x93 Argus [a-z ]+</title>", head) is not None


def security_policy(scripts: Iterable[str]) -> str:
    """A policy under which the page can run these scripts, and fetch nothing at all."""
    hashes = [base64.b64encode(hashlib.sha256(s.encode("utf-8")).digest()).decode("ascii") for s in scripts]
    allowed = " ".join(f"'sha256-{h}'" for h in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; font-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def json_in_page(value: Any) -> Markup:
    """JSON that can stand between ``<script>`` and ``</script>``, whatever is in it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # The same JSON, and nothing in it can end the element or begin a comment.
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def shown_number(value: Any) -> str:
    """A table's cell: numbers short, texts as they are, nothing as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return grouped_digits(value)
    return f"{value:.3f}" if 0 <= value <= 1 else format_number(value)


def bar_percentage(value: Any) -> float | None:
    """Percentage of a share, for the bar behind it; ``None`` for what is no share."""
    if isinstance(value, float) and 0 <= value <= 1:
        return round(100 * value, 1)
    return None


def grouped_digits(value: int) -> str:
    """``12 345`` with narrow blanks that do not break."""
    return f"{value:,}".replace(",", "\u202f")
