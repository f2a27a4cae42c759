"""A predictions file: one process writes it at a time, and every image's name comes back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from argusvl.cli.predictions_file import PredictionsFile
from argusvl.core.errors import DataError

REQUEST = {"checkpoint": "runs/demo"}


def test_a_second_process_is_refused_and_the_first_is_not_disturbed(tmp_path: Path) -> None:
    out = tmp_path / "found.jsonl"
    with PredictionsFile(out, REQUEST) as first:
        first.write({"image": "a.png"})
        for request in (REQUEST, {"checkpoint": "runs/other"}):
            with pytest.raises(DataError, match=r"found\.jsonl: another process is writing it"):
                PredictionsFile(out, request)
        with pytest.raises(DataError, match="another process is writing it"):
            PredictionsFile(out, REQUEST, resume=True)
        first.write({"image": "b.png"})
    assert [json.loads(line)["image"] for line in out.read_text().splitlines()] == ["a.png", "b.png"]
    assert list(tmp_path.iterdir()) == [out]


def test_a_name_that_is_not_utf8_comes_back_and_is_not_done_twice(tmp_path: Path) -> None:
    out, name = tmp_path / "found.jsonl", os.fsdecode(b"caf\xe9.png")
    with pytest.raises(KeyboardInterrupt), PredictionsFile(out, REQUEST) as begun:
        begun.write({"image": name})
        raise KeyboardInterrupt
    with PredictionsFile(out, REQUEST, resume=True) as going_on:
        assert going_on.done == {name}
    assert os.fsencode(json.loads(out.read_bytes())["image"]) == b"caf\xe9.png"


def test_what_an_interrupted_run_has_left_is_named(tmp_path: Path) -> None:
    out = tmp_path / "found [1].jsonl"
    with pytest.raises(KeyboardInterrupt), PredictionsFile(out, REQUEST) as begun:
        begun.write({"image": "a.png"})
        raise KeyboardInterrupt
    with pytest.raises(DataError, match="an interrupted run has left its results"):
        PredictionsFile(out, REQUEST)
