"""Lists of pictures, on stderr: what of them cannot be used or is odd, and why."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from argusvl.core.terminal import console, say
from argusvl.core.wording import printable

NAMED = 20
"""Pictures that are named here; the JSON and the files name all."""


def print_named(title: str, items: Iterable[tuple[str, str]], *, style: str = "red") -> None:
    """The first pictures, each with its reason, and how many more there are."""
    terminal, named = console(), list(items)
    for path, reason in named[:NAMED]:
        terminal.print(Text.assemble((title, style), f" {printable(path)}: {reason}"), soft_wrap=True)
    if len(named) > NAMED:
        say(f"{title}: {len(named) - NAMED} more")
