"""`argus doctor list` and `explain`: tables for people, JSON for programs."""

from __future__ import annotations

import json

import pytest

from argusvl.cli.main import run
from argusvl.doctor.findings import catalogue


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["slug"] for one in listed] == list(catalogue())
    assert run(["doctor", "list"]) == 0
    output = capsys.readouterr()
    assert not output.out
    for one, line in zip(listed, output.err.splitlines(), strict=True):
        assert line.split()[:2] == [one["id"], one["slug"]] and one["title"] in line


def test_explain_works_for_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    for entry in catalogue().values():
        assert run(["doctor", "explain", entry.id, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["slug"] == entry.slug
        assert run(["doctor", "explain", entry.slug]) == 0
        shown = capsys.readouterr().err
        assert entry.id in shown and "What to do" in shown


def test_an_unknown_id_is_refused_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "explain", "mode-colapse"]) == 2
    assert "did you mean 'mode-collapse'" in capsys.readouterr().err
    assert run(["doctor", "explain", "Z-999"]) == 2
    assert "argus doctor list" in capsys.readouterr().err
