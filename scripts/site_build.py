"""The documentation site: gathers its pages, builds them, and checks every link and anchor of what was built.

The pages in ``docs/`` are written by hand. The others are made here from what they speak of, so that they cannot lag
behind it: the command line from each verb's ``--help``, the configuration from the fields' docstrings, the failures
from the catalogue, the benchmarks from their result files, the Python reference from the docstrings.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

from benchmarks_page import page as benchmarks_page
from failures_page import page as failures_page
from reference_pages import cli_page, configuration_page, python_pages
from site_links import broken_links

ROOT = Path(__file__).parents[1]
PAGES, SITE = ROOT / "build" / "docs", ROOT / "build" / "site"
# What is read where it is in the repository, and is a page of the site as well.
ELSEWHERE = {"CONTRIBUTING.md": "contributing.md", "packages/argus-doctor/README.md": "argus-doctor.md"}


def gather() -> None:
    """Every page into ``build/docs``."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES)
    for source, name in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        (PAGES / name).write_text(text.replace("](docs/", "]("), encoding="utf-8")
    made = {
        "benchmarks.md": benchmarks_page(),
        "failures.md": failures_page(),
        "reference/cli.md": cli_page(),
        "reference/configuration.md": configuration_page(),
        **python_pages(),
    }
    for name, text in made.items():
        (PAGES / name).parent.mkdir(exist_ok=True)
        (PAGES / name).write_text(text, encoding="utf-8")
    for file in PAGES.rglob("*.md"):
        text = file.read_text(encoding="utf-8")
        for source, name in ELSEWHERE.items():
            text = text.replace(f"](../{source}", f"]({name}")
        file.write_text(_with_formulae(text), encoding="utf-8")


def _with_formulae(text: str) -> str:
    """LaTeX between ``$$`` (a block) or in ``$`…`$`` (in a line) as MathML, which browsers draw by themselves."""
    text = re.sub(r"^\$\$\n(.+?)\n\$\$$", lambda m: _block(m[1]), text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\$`([^`\n]+)`\$", lambda m: f"<span>{_spread(convert(m[1]))}</span>", text)


def _block(latex: str) -> str:
    return f'<div class="formula">{_spread(convert(" ".join(latex.split()), display="block"))}</div>'


def _spread(mathml: str) -> str:
    # Markdown would read these signs, which are text of the formula, as its own.
    return mathml.replace("*", "&#42;").replace("_", "&#95;")


def missing_from_navigation() -> list[str]:
    """Pages that no chapter leads to."""

    def named(chapter: Any) -> Iterator[str]:
        if isinstance(chapter, str):
            yield chapter
        for part in chapter if isinstance(chapter, list) else []:
            for target in part.values():
                yield from named(target)

    navigation = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    return sorted({str(f.relative_to(PAGES)) for f in PAGES.rglob("*.md")} - {*named(navigation)})


def main() -> int:
    """Gathers, builds, checks."""
    gather()
    if lost := missing_from_navigation():
        print(f"in no chapter of zensical.toml: {', '.join(lost)}", file=sys.stderr)
        return 1
    shutil.rmtree(SITE, ignore_errors=True)
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict", "--clean"]
    if (code := subprocess.run(command, cwd=ROOT, check=False).returncode) != 0:
        return code
    broken = [line for line in broken_links(SITE) if not line.startswith("404.html")]
    for line in broken:
        print(f"leads nowhere: {line}", file=sys.stderr)
    print(f"{SITE / 'index.html'}; the search works where a server shows it:")
    print(f"{sys.executable} -m http.server --bind 127.0.0.1 --directory {SITE} 8001")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
