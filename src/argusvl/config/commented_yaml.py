"""A configuration as text for people: each key with its value, and where one was given, why it has it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from argusvl.config.yaml_text import write_yaml
from argusvl.core.wording import printable

_WIDTH = 110
_INDENT = "  "


def write_commented_yaml(
    value: Mapping[str, Any], comments: Mapping[tuple[str, ...], str], head: str = ""
) -> str:
    """YAML text with comments; reads back to the same values.

    Args:
        value: The configuration, with sections.
        comments: Path of a key, e.g. ``("data", "max_pixels")``, → what stands beside it, or above where it is long.
        head: What stands above everything; a line break begins a new line.
    """
    lines = [line for part in head.splitlines() for line in _comment(_harmless(part), "")]
    return "\n".join([*lines, *_lines(value, comments, ())]) + "\n"


def _lines(
    value: Mapping[str, Any], comments: Mapping[tuple[str, ...], str], prefix: tuple[str, ...]
) -> Iterator[str]:
    indent = _INDENT * len(prefix)
    for key, item in value.items():
        path = (*prefix, key)
        comment = _harmless(comments.get(path, ""))
        if isinstance(item, Mapping) and item:
            yield from _comment(comment, indent)
            yield f"{indent}{key}:"
            yield from _lines(item, comments, path)
            continue
        written = [f"{indent}{line}" for line in _entry(key, item)]
        beside = f"{written[-1]} # {comment}"
        if comment and len(written) == 1 and len(beside) <= _WIDTH:
            yield beside
        else:
            yield from _comment(comment, indent)
            yield from written


def _entry(key: str, item: Any) -> list[str]:
    """``key: value``; a list of whole numbers stands on the line."""
    if isinstance(item, list) and item and all(type(one) is int for one in item):
        return [f"{key}: [{', '.join(map(str, item))}]"]
    return write_yaml({key: item}).rstrip("\n").split("\n")


def _comment(text: str, indent: str) -> list[str]:
    return [
        f"{indent}# {line}" for line in textwrap.wrap(text, _WIDTH - len(indent) - 2, break_on_hyphens=False)
    ]


def _harmless(text: str) -> str:
    """On one line, without characters that YAML takes for a line's end or refuses: a label may hold any."""
    return printable(" ".join(text.split()))
