"""The static page at ``/``: its files are read once, and a path is looked up in a table and never on the disk."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path

import argusvl.visual
from argusvl.core.files import read_bytes

PAGE = Path(__file__).parent / "page"
COLOURS = Path(argusvl.visual.__file__).parent / "templates" / "colours.css"
"""Those of the reports: both look the same."""

_TEXT = ("text/", "application/javascript", "application/json", "image/svg+xml")


def page_files(folder: Path = PAGE, also: Sequence[Path] = (COLOURS,)) -> dict[str, tuple[bytes, str]]:
    """Path → content and media type of the files of a folder, and of others; ``/`` is its ``index.html``."""
    found: dict[str, tuple[bytes, str]] = {}
    files = {
        file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()
    }
    for name, file in (files | {file.name: file for file in also}).items():
        if file.suffix in (".py", ".pyc"):
            continue
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        content = read_bytes(file), f"{kind}; charset=utf-8" if kind.startswith(_TEXT) else kind
        found[f"/{name}"] = content
        if name == "index.html":
            found["/"] = content
    return found
