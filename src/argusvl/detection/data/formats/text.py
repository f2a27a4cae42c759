"""Bytes → text, where nobody says in which encoding, and text → JSON that knows its lines.

Files of one archive come from several machines: UTF-8 with and without a byte order mark, UTF-16 from Windows, GBK from
Chinese Windows. A byte order mark and valid UTF-8 are certain. Anything else is a guess, which is taken only where
every character is one of the common Chinese ones, and then it is said; what is left is a finding.

``json`` forgets where a value stood, and a finding in an annotation file of a thousand boxes is of little use without
a line. Lines are looked for only when one is asked for, so that a file without findings costs no more than before.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from argus_doctor.findings import Finding
from argusvl.config.yaml_text import BoundedLoader, yaml_problem
from argusvl.core.errors import DataError
from argusvl.core.files import read_bytes
from argusvl.core.strict_json import MalformedJsonError, decode_json, members, skip_spaces
from argusvl.detection.data.findings import finding


def decode_text(content: bytes, where: str) -> tuple[str | None, list[Finding]]:
    """Decodes the bytes of a file, which findings name ``where``.

    Returns:
        The text, ``None`` where it cannot be read; and why it cannot, or that its encoding was guessed.
    """
    # By its mark; UTF-16 without one shows by the zero bytes of ASCII, which JSON and XML begin with.
    encoding = json.detect_encoding(content)
    try:
        return content.decode(encoding), []
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"is neither UTF-8 ({error.reason} at byte {error.start}) nor surely another encoding"
        if encoding != "utf-8":
            problem = f"begins as {encoding}, but is not: {error.reason} at byte {error.start}"
            return None, [finding("unknown-encoding", f"{where}:{line}", problem)]
    try:
        # GB2312 is the common part of GBK: both bytes of a character lie above 0xA0, which text in a Western
        # encoding, with single accented letters between ASCII ones, does not meet.
        text = content.decode("gb2312")
    except UnicodeDecodeError:
        return None, [finding("unknown-encoding", f"{where}:{line}", problem)]
    sample = "".join(c for c in text if ord(c) > 127)[:12]
    return text, [finding("encoding-guessed", where, f"is not UTF-8 and was read as GBK: {sample!r}, …")]


def read_content(path: Path, where: str) -> bytes | Finding:
    """The bytes of a file of the source, or why it cannot be read."""
    try:
        return read_bytes(path)
    except OSError as error:
        text = f"cannot be read: {error.strerror}"
        return finding("malformed-annotation", where, text, remedy="check the file")


def read_text(path: Path, where: str) -> tuple[str | None, list[Finding]]:
    """Reads and decodes a file, see :func:`decode_text`."""
    content = read_content(path, where)
    return (None, [content]) if isinstance(content, Finding) else decode_text(content, where)


def read_mapping(path: Path) -> tuple[dict[Any, Any], list[Finding]]:
    """The keys of a YAML or JSON file without which nothing can be read, and what is odd about it.

    Raises:
        DataError: It cannot be read, or holds no keys.
    """
    text, odd = require_text(path)
    if path.suffix.lower() == ".json":
        try:
            decode_json(text)  # YAML takes the last of two equal keys
        except MalformedJsonError as error:
            raise DataError(str(error), where=f"{path}:{error.line}", remedy="correct it") from None
    try:
        value = yaml.load(text, Loader=BoundedLoader)  # JSON is YAML
    except (yaml.YAMLError, ValueError) as error:
        what, where = yaml_problem(error, path)
        raise DataError(what, where=where, remedy="correct it") from None
    if not isinstance(value, dict):
        raise DataError("holds no keys", where=path, remedy="write key: value, one a line")
    return value, odd


def require_text(path: Path) -> tuple[str, list[Finding]]:
    """The text of such a file, and what is odd about it.

    Raises:
        DataError: It cannot be read or decoded.
    """
    text, findings = read_text(path, path.name)
    if text is None:
        raise DataError(findings[0].what, where=path.with_name(findings[0].where), remedy="save it as UTF-8")
    return text, findings


# --- JSON -----------------------------------------------------------------------------------------------------------

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
