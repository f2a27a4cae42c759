"""How messages say names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

LONGEST_NAME = 200
"""Characters of a name that are shown in texts."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` with the closest known name, or nothing where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def listed(items: Sequence[str], most: int = 3) -> str:
    """The first items on one line, and how many more there are."""
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"


def printable(text: str) -> str:
    """The text, with halves of characters (JSON can hold them, files cannot) as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def show_name(name: object) -> str:
    """A file's name or a label for texts, without its middle where it is very long."""
    text, half = str(name), LONGEST_NAME // 2
    return text if len(text) <= LONGEST_NAME else f"{text[:half]}…{text[-half:]}"
