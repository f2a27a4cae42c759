from __future__ import annotations

import json
from pathlib import Path

import pytest

from argusvl.cli.main import run

pytestmark = pytest.mark.usefixtures("quiet_logging")


def test_a_runs_report_is_written_into_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "summary.json").write_text('{"before": {"AP50": 0.0}, "after": {"AP50": 0.875}}')
    assert run(["report", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(tmp_path / "report.html")}
    assert "0.875" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert run(["report", str(tmp_path), "--out", str(tmp_path / "x" / "other.html")]) == 0
    assert (tmp_path / "x" / "other.html").is_file()


def test_a_folder_that_is_no_run_is_the_users_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", str(tmp_path / "none")]) == 2
    assert "no such run folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
