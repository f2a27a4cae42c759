"""Links and anchors of a built site: which of them lead nowhere."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Links(HTMLParser):
    """Where a page leads to, and what in it can be led to."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.anchors: set[str] = {""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Of a tag: what it leads to, and its name."""
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in ("href", "src"):
                self.targets.add(value)


def broken_links(site: Path) -> list[str]:
    """Links of a built site that lead nowhere.

    Args:
        site: Folder of the site.

    Returns:
        A line for each: the page, and where it leads.
    """
    pages = {file: _read(file) for file in sorted(site.rglob("*.html"))}
    broken = []
    for file, page in pages.items():
        for target in sorted(page.targets):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            place = file if not parts.path else (file.parent / unquote(parts.path)).resolve()
            if parts.path.startswith("/"):
                place = site / unquote(parts.path).lstrip("/")
            if place.is_dir():
                place /= "index.html"
            anchors = pages[place].anchors if place in pages else {""}
            if not place.is_file() or unquote(parts.fragment) not in anchors:
                broken.append(f"{file.relative_to(site)}: {target}")
    return broken


def _read(file: Path) -> _Links:
    links = _Links()
    links.feed(file.read_text(encoding="utf-8"))
    return links
