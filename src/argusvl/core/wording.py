"""How messages for people say numbers and names."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """``1 image``, ``2 images``: nouns that take an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(name: object) -> str:
    """A name on one line: a line break or another control character in it is shown as its escape."""
    text = str(name)
    return text if text.isprintable() else repr(text)[1:-1]
