"""JSON that knows its lines.

``json`` forgets where a value stood, and a finding in an annotation file of a thousand boxes is of little use without
a line. Lines are looked for only when one is asked for, so that a file without findings costs no more than before.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from argus_doctor.findings import Finding
from argusvl.core.strict_json import MalformedJsonError, decode_json, members, skip_spaces
from argusvl.detection.data.findings import finding
from argusvl.detection.data.formats.text import decode_text

KeyPath = tuple["str | int", ...]
"""Keys and positions from the document's root: ``("annotations", 17)``."""


@dataclass(slots=True, eq=False)
class JsonText:
    """A decoded document and its text; findings name its file ``where``, ``warnings`` say what is odd about that."""

    where: str
    text: str
    value: Any
    warnings: Sequence[Finding] = ()
    _starts: dict[KeyPath, dict[str | int, int]] = field(default_factory=dict, repr=False)
    _lines: list[int] = field(default_factory=list, repr=False)

    def place(self, *path: str | int) -> str:
        """``file:line`` of a value; of the nearest one around it where there is none."""
        if not self._lines:
            self._lines = [i for i, c in enumerate(self.text) if c == "\n"]
        return f"{self.where}:{bisect.bisect_left(self._lines, self._start(path)) + 1}"

    def _start(self, path: KeyPath) -> int:
        position = skip_spaces(self.text, 0)
        for depth, step in enumerate(path):
            parent = path[:depth]
            if parent not in self._starts:
                self._starts[parent] = dict(members(self.text, position))
            children = self._starts[parent]
            if step not in children:
                break
            position = children[step]
        return position


def parse_json(content: bytes, where: str) -> JsonText | Finding:
    """Parses the bytes of a file, which findings name ``where``; a finding says why they are no document."""
    text, findings = decode_text(content, where)
    if text is None:
        return findings[0]
    try:
        return JsonText(where, text, decode_json(text), findings)
    except MalformedJsonError as error:
        return finding("malformed-annotation", f"{where}:{error.line}", str(error))
