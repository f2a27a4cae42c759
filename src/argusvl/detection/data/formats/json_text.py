"""JSON that knows its lines.

``json`` forgets where a value stood, and a finding in an annotation file of a thousand boxes is of little use without
a line. Lines are looked for only when one is asked for, so that a file without findings costs no more than before.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from argusvl.detection.data.findings import Finding, finding
from argusvl.detection.data.formats.text import decode_text

_WHITESPACE = " \t\n\r"
_DECODER = json.JSONDecoder()

Path = tuple["str | int", ...]
"""Keys and positions from the document's root: ``("annotations", 17)``."""


@dataclass(slots=True, eq=False)
class JsonText:
    """A decoded document and its text.

    Attributes:
        where: Its file, named in findings.
        text: The text.
        value: What it says.
        warnings: What is odd about the file itself.
    """

    where: str
    text: str
    value: Any
    warnings: tuple[Finding, ...] = ()
    _starts: dict[Path, dict[str | int, int]] = field(default_factory=dict, repr=False)
    _lines: list[int] = field(default_factory=list, repr=False)

    def place(self, *path: str | int) -> str:
        """``file:line`` of a value; of the nearest one around it where there is none."""
        return f"{self.where}:{self.line(*path)}"

    def line(self, *path: str | int) -> int:
        """The line that a value begins on, from 1."""
        if not self._lines:
            self._lines = [i for i, c in enumerate(self.text) if c == "\n"]
        return bisect.bisect_left(self._lines, self._start(path)) + 1

    def _start(self, path: Path) -> int:
        position = _skip(self.text, 0)
        for depth, step in enumerate(path):
            parent = path[:depth]
            if parent not in self._starts:
                self._starts[parent] = _children(self.text, position)
            children = self._starts[parent]
            if step not in children:
                break
            position = children[step]
        return position


def parse_json(content: bytes, where: str) -> JsonText | Finding:
    """Parses a document; a finding says why it is none.

    Args:
        content: The bytes of the file; see :func:`~argusvl.detection.data.formats.text.decode_text`.
        where: The file, named in findings.
    """
    decoded = decode_text(content, where)
    if not decoded.is_usable:
        assert decoded.problem is not None
        return decoded.problem
    try:
        value = json.loads(decoded.text)
    except json.JSONDecodeError as error:
        text = f"malformed JSON: {error.msg} at column {error.colno}"
        return finding("malformed-annotation", f"{where}:{error.lineno}", text)
    except RecursionError:
        return finding("malformed-annotation", where, "malformed JSON: nested too deeply")
    warnings = () if decoded.problem is None else (decoded.problem,)
    return JsonText(where, decoded.text, value, warnings)


def _children(text: str, start: int) -> dict[str | int, int]:
    """Key or position → where its value begins, of the object or array at ``start``."""
    opening = text[start : start + 1]
    starts: dict[str | int, int] = {}
    if opening not in ("{", "["):
        return starts
    position, index = _skip(text, start + 1), 0
    while text[position] not in "}]":
        key: str | int = index
        if opening == "{":
            key, position = _DECODER.raw_decode(text, position)
            position = _skip(text, _skip(text, position) + 1)  # over the colon
        starts[key] = position
        _, position = _DECODER.raw_decode(text, position)
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)
        index += 1
    return starts


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _WHITESPACE:
        position += 1
    return position


def shown(value: Any) -> str:
    """A value as JSON, cut where it is long, for texts."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:79] + "…"


def numbers(value: Any, count: int | None = None) -> list[float] | None:
    """A list of (so many) numbers; ``None`` where it is none."""
    if (
        not isinstance(value, Sequence)
        or isinstance(value, str)
        or (count is not None and len(value) != count)
    ):
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in value):
        return None
    try:
        return [float(v) for v in value]
    except OverflowError:  # a whole number of more than 308 digits
        return None


def side_lengths(width: Any, height: Any) -> tuple[int, int] | None:
    """``(width, height)`` where both are positive whole numbers."""
    sides = numbers([width, height])
    if sides is None or not all(side >= 1 and side.is_integer() for side in sides):
        return None
    return int(sides[0]), int(sides[1])
