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
