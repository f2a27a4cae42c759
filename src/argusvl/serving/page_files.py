"""The static page at ``/``: its files are read once, and a path is looked up in a table and never on the disk."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from argusvl.core.files import read_bytes

PAGE = Path(__file__).parent / "page"
_TEXT = ("text/", "application/javascript", "application/json", "image/svg+xml")


def page_files(folder: Path = PAGE) -> dict[str, tuple[bytes, str]]:
    """Path → content and media type of the files of a folder; ``/`` is its ``index.html``."""
    found: dict[str, tuple[bytes, str]] = {}
    for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if not file.is_file() or file.suffix in (".py", ".pyc"):
            continue
        path = f"/{file.relative_to(folder).as_posix()}"
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        content = read_bytes(file), f"{kind}; charset=utf-8" if kind.startswith(_TEXT) else kind
        found[path] = content
        if path == "/index.html":
            found["/"] = content
    return found
