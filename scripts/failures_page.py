"""Writes the catalogue of what can go wrong as a page, which is not kept in the repository.

python scripts/failures_page.py           # docs/failures.md
python scripts/failures_page.py FILE.md
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

import argusvl  # noqa: F401 - brings its entries
from argus_doctor.findings import Entry, catalogue

PAGE = Path(__file__).parents[1] / "docs" / "failures.md"
_HEAD = """# What can go wrong

Every finding of every verb has an ID of this page; `argus doctor explain ID` shows its entry on the terminal. The
page is made from the catalogue, `catalogue/*.toml` of `argusvl` and of `argus_doctor`, by
`python scripts/failures_page.py`: change it there.

"""
_GROUPS = {
    "C": "Integration",
    "D": "Waiting to bite",
    "E": "Inference and evaluation",
    "G": "Generation",
    "L": "Logs",
    "M": "Memory",
    "N": "Found by number",
    "P": "Positions and processors",
    "T": "Training",
}


def page() -> str:
    """The whole page."""
    entries = sorted(catalogue().values(), key=lambda entry: entry.id)
    parts = [_HEAD]
    for letter, alike in groupby(entries, key=lambda entry: entry.id[0]):
        parts.append(f"## {letter}: {_GROUPS[letter]}\n\n")
        parts += [_section(entry) for entry in alike]
    return "".join(parts).rstrip("\n") + "\n"


def _section(entry: Entry) -> str:
    lines = [
        f"### {entry.id} {_plain(entry.title)}",
        "",
        f"`{entry.slug}`, {entry.severity}. {_plain(entry.symptom)}",
        "",
        *_listed("Cause", entry.causes),
        f"- Found by: {_plain(entry.detector)}",
        *_listed("Could also be", (entry.caveat,) if entry.caveat else ()),
        *_listed("What to do", entry.remedies),
    ]
    if entry.source:
        lines.append(f"- Known from: {_plain(entry.source)}")
    return "\n".join(lines) + "\n\n"


def _listed(title: str, texts: tuple[str, ...]) -> list[str]:
    return [f"- {title}: {_plain(text)}" for text in texts]


def _plain(text: str) -> str:
    """As it is, whatever Markdown makes of its signs."""
    one_line = " ".join(text.split())
    for sign in ("\\", "*", "_", "<", "[", "`", "|"):
        one_line = one_line.replace(sign, f"\\{sign}")
    return one_line


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    file.write_text(page(), encoding="utf-8")
    print(file)
