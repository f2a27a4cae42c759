"""How messages for people say numbers and names; keys of nested mappings by their dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from argus_doctor.wording import listed as listed


def counted(number: int, noun: str) -> str:
    """``1 image``, ``2 images``: nouns that take an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(name: object) -> str:
    """A name on one line: a line break or another control character in it is shown as its escape."""
    text = str(name)
    return text if text.isprintable() else repr(text)[1:-1]


def first_line(error: BaseException) -> str:
    """What a library's error says first; its class where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def listed_below(items: Sequence[str], most: int) -> str:
    """The same with a line for each, begun by a line break."""
    shown = [*items[:most], *([f"and {len(items) - most} more"] if len(items) > most else [])]
    return "".join(f"\n  {line}" for line in shown)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of nested mappings as paths with dots, and their values."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
