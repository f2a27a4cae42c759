"""`argus doctor list` and `explain`: tables for people, JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from argus_doctor.findings import catalogue, entry_of
from argusvl.cli.doctor import explain
from argusvl.cli.main import run


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["slug"] for one in listed] == list(catalogue())
    assert run(["doctor", "list"]) == 0
    output = capsys.readouterr()
    assert not output.err
    for one, line in zip(listed, output.out.splitlines(), strict=True):
        assert line.split()[:2] == [one["id"], one["slug"]] and one["title"] in line


def test_every_entry_can_be_explained_by_its_id_and_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    for entry in catalogue().values():
        assert entry_of(entry.id) is entry_of(entry.slug) is entry
        explain(entry.id)
        shown = capsys.readouterr().out
        assert entry.id in shown and "What to do" in shown


def test_explain_shows_the_change_in_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "explain", "learning-rate-too-high"]) == 0
    assert "*_lr: × 0.1" in capsys.readouterr().out
    assert run(["doctor", "explain", "learning-rate-too-high", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["slug"] == "learning-rate-too-high"


def test_an_unknown_id_is_refused_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "explain", "mode-colapse"]) == 2
    assert "did you mean 'mode-collapse'" in capsys.readouterr().err
    assert run(["doctor", "explain", "Z-999"]) == 2
    assert "argus doctor list" in capsys.readouterr().err


def test_log_names_the_cause_and_exits_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "train.log"
    log.write_text("step 1 loss 2.0\nTraceback (most recent call last):\nMemoryError: x\n")
    assert run(["doctor", "log", str(log), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"cause", "where", "findings", "curves"} and found["curves"] == {"loss": 1}
    assert (found["cause"], found["where"]) == ("host_oom", "train.log:3")
    assert found["findings"][0]["id"] == "N-502"
    assert run(["doctor", "log", str(log)]) == 1
    assert "MemoryError" in capsys.readouterr().out


def test_log_of_a_healthy_run_exits_with_zero_and_a_missing_one_with_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "train.log"
    log.write_text("step 1 loss 2.0\nstep 2 loss 1.0\nTraining complete\n")
    assert run(["doctor", "log", str(log), "--json"]) == 0
    told = {"cause": "none", "where": "", "findings": [], "curves": {"loss": 2}}
    assert json.loads(capsys.readouterr().out) == told
    assert run(["doctor", "log", str(log)]) == 0
    assert "Curves read: loss (2)." in capsys.readouterr().err
    log.write_text("Dear diary, today loss: the dog.\n")
    assert run(["doctor", "log", str(log)]) == 0
    assert "No curve was recognised" in capsys.readouterr().err
    assert run(["doctor", "log", str(tmp_path / "none")]) == 2
    assert "What to do" in capsys.readouterr().err
