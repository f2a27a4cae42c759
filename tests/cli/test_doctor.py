"""`argus doctor list` and `explain`: tables for people, JSON for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from argus_doctor.findings import catalogue, entry_of
from argusvl.cli.doctor import explain


def test_list_names_everything(argus: Any) -> None:
    listed = argus("doctor", "list", "--json").json
    assert [one["slug"] for one in listed] == list(catalogue())
    output = argus("doctor", "list")
    assert not output.err
    for one, line in zip(listed, output.out.splitlines(), strict=True):
        assert line.split()[:2] == [one["id"], one["slug"]] and one["title"] in line


def test_every_entry_can_be_explained_by_its_id_and_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    for entry in catalogue().values():
        assert entry_of(entry.id) is entry_of(entry.slug) is entry
        explain(entry.id)
        shown = capsys.readouterr().out
        assert entry.id in shown and "What to do" in shown


def test_explain_shows_the_change_in_the_configuration(argus: Any) -> None:
    assert "*_lr: × 0.1" in argus("doctor", "explain", "learning-rate-too-high").out
    found = argus("doctor", "explain", "learning-rate-too-high", "--json").json
    assert found["slug"] == "learning-rate-too-high"


def test_an_unknown_id_is_refused_with_the_nearest_name(argus: Any) -> None:
    assert "did you mean 'mode-collapse'" in argus("doctor", "explain", "mode-colapse", code=2).err
    assert "argus doctor list" in argus("doctor", "explain", "Z-999", code=2).err


def test_log_names_the_cause_and_exits_with_one(argus: Any, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("step 1 loss 2.0\nTraceback (most recent call last):\nMemoryError: x\n")
    found = argus("doctor", "log", log, "--json", code=1).json
    assert set(found) == {"cause", "where", "findings", "curves"} and found["curves"] == {"loss": 1}
    assert (found["cause"], found["where"]) == ("host_oom", "train.log:3")
    assert found["findings"][0]["id"] == "N-502"
    assert "MemoryError" in argus("doctor", "log", log, code=1).out


def test_log_of_a_healthy_run_exits_with_zero_and_a_missing_one_with_two(argus: Any, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("step 1 loss 2.0\nstep 2 loss 1.0\nTraining complete\n")
    told = {"cause": "none", "where": "", "findings": [], "curves": {"loss": 2}}
    assert argus("doctor", "log", log, "--json").json == told
    assert "Curves read: loss (2)." in argus("doctor", "log", log).err
    log.write_text("Dear diary, today loss: the dog.\n")
    assert "No curve was recognised" in argus("doctor", "log", log).err
    assert "What to do" in argus("doctor", "log", tmp_path / "none", code=2).err
