from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from argus_doctor.findings import catalogue


def test_the_page_of_failures_is_made_from_the_catalogue(repository: Path, tmp_path: Path) -> None:
    script = repository / "scripts" / "failures_page.py"
    subprocess.run([sys.executable, script, tmp_path / "failures.md"], check=True)
    page = (tmp_path / "failures.md").read_text(encoding="utf-8")
    assert all(page.count(f"\n### {entry.id} ") == 1 for entry in catalogue().values())


def test_the_page_of_the_watch_says_what_each_detector_is_known_to_get_wrong(repository: Path) -> None:
    page = (repository / "docs" / "doctor.md").read_text(encoding="utf-8")
    for entry in catalogue().values():
        caveat = entry.detector.partition("; ")[2]
        if entry.id.startswith("N-4") and caveat and not caveat.startswith("of the engine"):
            assert entry.id in page, entry.id
