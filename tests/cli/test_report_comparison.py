"""`argus report RUN RUN` and `argus runs`: what is said of several runs, and what of those that cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from argusvl.core.files import lock_file

BOX = [10, 10, 60, 60]
NAMES = ["ace" if k % 2 else "<ten>" for k in range(40)]
"""Of the one object of each picture."""


def write_lines(file: Path, values: Iterable[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(one) + "\n" for one in values))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    lines = []
    for k, name in enumerate(NAMES):
        Image.new("RGB", (100, 80), (k, 90, 120)).save(folder / f"{k}.png")
        lines.append({"images": [f"{k}.png"], "objects": [{"bbox_2d": BOX, "desc": name}]})
    write_lines(folder / "val.jsonl", lines)
    return folder / "val.jsonl"


def make_run(
    folder: Path, data: Path | None, right: int = 0, *, ended: bool = True, rate: float = 0.1
) -> Path:
    """A run whose evaluation finds the objects of the first ``right`` pictures."""
    (folder / "checkpoint-4").mkdir(parents=True)
    (folder / "config.yaml").write_text(f"task: detection\ntraining:\n  seed: 1\n  detection_lr: {rate}\n")
    (folder / "environment.json").write_text(json.dumps({"cores": 2}))
    log: list[dict[str, Any]] = [{"step": k, "loss": 1 / k} for k in (1, 2, 3)]
    log.append({"step": 4, "loss": 0.2, "eval_AP50": 0.5})
    state = {"global_step": 4, "log_history": log}
    (folder / "checkpoint-4" / "trainer_state.json").write_text(json.dumps(state))
    found = {"id": "T-901", "kind": "loss-is-flat", "severity": "warning", "where": "loss"}
    found["what"] = f"of {folder.name}"
    events = [{"step": 0, "event": "started"}, {"step": 2, "event": "found", "finding": found}]
    events += [{"step": 4, "event": "stopped", "why": "finished"}] if ended else []
    write_lines(folder / "events.jsonl", events)
    if data is not None:
        evaluate(folder / "test", data, right)
    return folder


def evaluate(folder: Path, data: Path, right: int) -> None:
    folder.mkdir()
    figures = {"task": "detection", "checkpoint": "x", "data": str(data), "AP50": right / 40}
    per_class = {"ace": {"AP50": 0.5, "count": 20}, "<ten>": {"AP50": 0.5, "count": 20}}
    (folder / "figures.json").write_text(json.dumps({**figures, "per_class": per_class}))
    lines = []
    for k, name in enumerate(NAMES):
        found = {"bbox_2d": BOX, "label": name, "score": 0.9, "label_score": 0.9, "desc": name}
        objects = [found] if k < right else []
        lines.append({"image": f"{k}.png", "width": 100, "height": 80, "objects": objects})
    write_lines(folder / "predictions.jsonl", lines)


@pytest.fixture
def compared(argus: Any, tmp_path: Path) -> Callable[..., str]:
    """The page of some runs."""

    def compare(*runs: Path) -> str:
        argus("report", *runs, "--out", tmp_path / "c.html")
        return (tmp_path / "c.html").read_text(encoding="utf-8")

    return compare


def test_runs_are_set_beside_each_other(compared: Any, tmp_path: Path, data: Path) -> None:
    old = make_run(tmp_path / "old", data, 10)
    new = make_run(tmp_path / "new", data, 30, rate=0.2)
    page = compared(old, new)
    assert "detection_lr" in page and "training.seed" not in page  # what differs, and not what is the same
    assert "of old" in page and "of new" in page  # findings
    assert "40 pictures." in page and "1000 draws" in page and "seed 0" in page
    assert page.count("gained") >= 5 and "<ten>" not in page and "&lt;ten&gt;" in page
    assert page.count('class="changed"') == 20 and "-1 errors" in page  # those that changed, and no others
    assert page.count("</svg></div>") == 40  # old and new of each


def test_equal_runs_differ_by_nothing(compared: Any, tmp_path: Path, data: Path) -> None:
    page = compared(make_run(tmp_path / "a", data, 20), make_run(tmp_path / "b", data, 20))
    assert "may be chance" in page and ">gained<" not in page and ">lost<" not in page
    assert "No picture has another number of errors" in page
    assert page.count("The same, as far as") == 3


def test_what_cannot_be_compared_is_a_stated_gap(compared: Any, tmp_path: Path, data: Path) -> None:
    first = make_run(tmp_path / "first", data, 20)
    other_data = data.with_name("other.jsonl")
    other_data.write_bytes(data.read_bytes())
    elsewhere = make_run(tmp_path / "elsewhere", other_data, 20)
    page = compared(first, elsewhere)
    assert "not evaluated on the same data" in page and "other.jsonl" in page and "Is it chance?" not in page
    unmeasured = make_run(tmp_path / "unmeasured", None)
    assert "no evaluation" in compared(first, unmeasured)
    without = make_run(tmp_path / "without", data, 20)
    (without / "test" / "predictions.jsonl").unlink()
    assert "has no predictions" in compared(first, without)
    short = make_run(tmp_path / "short", data, 20)
    predictions = short / "test" / "predictions.jsonl"
    whole = predictions.read_text()
    predictions.write_text("".join(whole.splitlines(keepends=True)[:9]))
    assert "predictions of 40 and 9 pictures" in compared(first, short)
    predictions.write_text("no JSON\n" + whole)
    assert "the line is damaged" in compared(first, short)
    predictions.write_text(whole.replace('"0.png"', '"renamed.png"'))
    assert "is of other pictures" in compared(first, short)
    running_on = make_run(tmp_path / "cut", data, 20, ended=False)
    assert "cut has not finished: broken off" in compared(first, running_on)
    data.with_name("0.png").unlink()
    more = make_run(tmp_path / "more", data, 0)
    assert "1 could not be opened" in compared(first, more)
    data.unlink()
    assert "Pictures are not compared" in compared(first, more)


def test_where_a_run_shows_nothing_its_precision_cannot_be_compared(
    compared: Any, tmp_path: Path, data: Path
) -> None:
    page = compared(make_run(tmp_path / "some", data, 20), make_run(tmp_path / "nothing", data, 0))
    assert page.count("cannot be said") == 1 and ">lost<" in page and "nan" not in page.split("<main")[1]


def test_what_is_no_run_or_of_another_task_is_the_users_mistake(
    argus: Any, tmp_path: Path, data: Path
) -> None:
    first, second = make_run(tmp_path / "first", data, 20), make_run(tmp_path / "second", data, 20)

    def refused(*arguments: Path | str) -> str:
        said = argus("report", first, *arguments, "--out", tmp_path / "c.html", code=2)
        assert not (tmp_path / "c.html").exists()
        return said.err

    assert "no such folder" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds nothing to report" in refused(tmp_path / "empty")
    assert "the same run twice" in refused(first)
    assert "are of one run" in refused(second, "--probe")
    (second / "config.yaml").write_text("task: manipulation\n")
    (second / "test" / "figures.json").unlink()
    assert "runs of different tasks" in refused(second)
    (second / "config.yaml").write_text("task: detection\n")
    (second / "checkpoint-4" / "trainer_state.json").write_text('{"log_history": [')
    assert "malformed JSON" in refused(second)


def test_runs_are_listed_with_state_and_age(argus: Any, tmp_path: Path, data: Path) -> None:
    make_run(tmp_path / "runs" / "done", data)
    make_run(tmp_path / "runs" / "sweep" / "cut", None, ended=False)
    busy = make_run(tmp_path / "runs" / "busy", None, ended=False)
    damaged = make_run(tmp_path / "runs" / "damaged", None)
    (damaged / "best_checkpoint.json").write_text("{")
    refused = tmp_path / "runs" / "refused"
    refused.mkdir()
    for name in ("run.lock", "train.log"):
        (refused / name).touch()
    best = {"checkpoint": "checkpoint-4", "step": 4, "metric": "AP50", "value": 0.5}
    (tmp_path / "runs" / "done" / "best_checkpoint.json").write_text(json.dumps(best))
    with (busy / "run.lock").open("wb") as lock:
        assert lock_file(lock)
        found = argus("runs", tmp_path / "runs", "--json").json
    listed = {Path(one["folder"]).name: one for one in found}
    states = {name: one["state"] for name, one in listed.items()}
    assert states.pop("damaged").startswith("damaged: ")
    assert states.pop("refused") == "did not start"
    assert states == {"done": "finished", "cut": "broken off", "busy": "running"}
    assert listed["done"]["figures"] == {"AP50": 0.5} and listed["done"]["step"] == 4
    assert "broken off" in argus("runs", tmp_path / "runs").out
    assert "holds no run" in argus("runs", data.parent).err
    assert "no such folder" in argus("runs", tmp_path / "nowhere", code=2).err


def test_without_a_folder_runs_are_looked_for_in_runs(
    argus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "runs holds no run" in argus("runs").err
