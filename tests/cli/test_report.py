from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from argusvl.cli import report
from argusvl.task_parts import AttentionMap, Probed
from argusvl.visual.sections import TaskReport


def test_a_runs_report_is_written_into_its_folder(argus: Any, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"before": {"AP50": 0.0}, "after": {"AP50": 0.875}}')
    assert argus("report", tmp_path, "--json").json == {"report": str(tmp_path / "report.html")}
    assert "0.875" in (tmp_path / "report.html").read_text(encoding="utf-8")
    argus("report", tmp_path, "--out", tmp_path / "x" / "other.html")
    assert (tmp_path / "x" / "other.html").is_file()


def write_log(run: Path, *log: dict[str, float]) -> None:
    """The last checkpoint of a run, with what was logged of each step."""
    (run / f"checkpoint-{len(log)}").mkdir()
    history = [{"step": step, **entry} for step, entry in enumerate(log, 1)]
    state = json.dumps({"global_step": len(log), "log_history": history})
    (run / f"checkpoint-{len(log)}" / "trainer_state.json").write_text(state)


def test_only_a_report_is_replaced_by_a_report(argus: Any, tmp_path: Path) -> None:
    write_log(tmp_path, *({"loss": 1.0 / step} for step in range(1, 9)))
    mine, charts = tmp_path / "thesis.html", tmp_path / "charts"
    mine.write_text("<title>Argus in my thesis</title>")
    assert "thesis.html: is there already" in argus("report", tmp_path, "--out", mine, code=2).err
    assert mine.read_text() == "<title>Argus in my thesis</title>"
    for _ in range(2):  # it is made anew where it was made before
        argus("report", tmp_path)
    argus("report", tmp_path, "--out", mine, "--charts", charts, "--overwrite")
    drawn = next(charts.glob("*.png"))
    drawn.write_bytes(b"retouched by hand")
    assert "--overwrite" in argus("report", tmp_path, "--charts", charts, code=2).err
    assert drawn.read_bytes() == b"retouched by hand"


def test_a_folder_that_is_no_run_is_the_users_mistake(argus: Any, tmp_path: Path) -> None:
    assert "no such folder" in argus("report", tmp_path / "none", code=2).err
    assert not list(tmp_path.iterdir())


def test_a_run_whose_pictures_are_gone_has_a_report_that_says_so(argus: Any, tmp_path: Path) -> None:
    image = {"image": "gone.jpg", "width": 4, "height": 3, "chosen": "errors", "truth": [], "predictions": []}
    counted = {"score_threshold": 0.3, "images_total": 1, "kinds": {}, "confusion": {}, "misdescribed": []}
    (tmp_path / "gallery.json").write_text(json.dumps({**counted, "images": [image]}))
    assert "gone.jpg: no such image file" in argus("report", tmp_path).err
    assert "1 picture is left out" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_run_without_an_evaluation_has_a_report_of_its_training(argus: Any, tmp_path: Path) -> None:
    write_log(tmp_path, {"loss": 2.0}, {"loss": 1.0, "eval_AP50": 0.25})
    assert f"argus eval {tmp_path} DATA --out" in argus("report", tmp_path).err
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "0.250" in html and "while training, at step 2" in html
    assert "is a folder" in argus("report", tmp_path, "--out", tmp_path, code=2).err


def test_a_damaged_file_is_the_users_mistake_and_leaves_no_report(argus: Any, tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text('{"AP50": ')
    assert "figures.json: is damaged: malformed JSON" in argus("report", tmp_path, code=2).err
    assert not (tmp_path / "report.html").exists()


def test_a_model_is_looked_into_where_that_is_asked(
    argus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU())
    asked: list[Path] = []

    def probe(checkpoint: Path, config: object, *, device: str) -> Probed:
        asked.append(checkpoint)
        batch = torch.ones(3, 2)
        return Probed(
            model,
            forward=lambda: model(batch),
            loss=lambda: float(model(batch).square().mean()),
            attention=lambda: [AttentionMap(Image.new("RGB", (64, 48)), np.ones((2, 3, 4)), "a.jpg")],
            batch="three records",
        )

    parts = {"probe": probe, "report": lambda _: TaskReport()}
    monkeypatch.setattr(report, "task_part", lambda _, part: parts[part])
    monkeypatch.setattr(report, "load_run_config", lambda _: None)
    monkeypatch.setattr(report, "find_checkpoint", lambda run: run / "best")
    (tmp_path / "summary.json").write_text('{"after": {"AP50": 0.875}}')
    said = argus("report", tmp_path, "--landscape", "--charts", tmp_path / "charts").err
    assert "charts written to" in said
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    for shown in ("Features by layer", "three records", "Attention over the picture", "Loss landscape"):
        assert shown in html
    assert asked == [tmp_path / "best"]
    written = {path.name for path in (tmp_path / "charts").iterdir()}
    assert {"loss-landscape.png", "features-by-layer.svg", "attention-a-jpg.png"} <= written
    # What took minutes is not written over by a report without it.
    assert "--probe" in argus("report", tmp_path, code=2).err
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
    argus("report", tmp_path, "--overwrite")
    assert "Features by layer" not in (tmp_path / "report.html").read_text(encoding="utf-8")
