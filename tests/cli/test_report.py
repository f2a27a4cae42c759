from __future__ import annotations

import json
from pathlib import Path

import pytest

from argusvl.cli.main import run
from argusvl.visual.sections import TaskReport

pytestmark = pytest.mark.usefixtures("quiet_logging")


def test_a_runs_report_is_written_into_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "summary.json").write_text('{"before": {"AP50": 0.0}, "after": {"AP50": 0.875}}')
    assert run(["report", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(tmp_path / "report.html")}
    assert "0.875" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert run(["report", str(tmp_path), "--out", str(tmp_path / "x" / "other.html")]) == 0
    assert (tmp_path / "x" / "other.html").is_file()


def test_only_a_report_is_replaced_by_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = [{"step": step, "loss": 1.0 / step} for step in range(1, 9)]
    (tmp_path / "checkpoint-8").mkdir()
    (tmp_path / "checkpoint-8" / "trainer_state.json").write_text(
        json.dumps({"global_step": 8, "log_history": log})
    )
    mine, charts = tmp_path / "thesis.html", tmp_path / "charts"
    mine.write_text("<title>Argus in my thesis</title>")
    assert run(["report", str(tmp_path), "--out", str(mine)]) == 2
    assert "thesis.html: is there already" in capsys.readouterr().err
    assert mine.read_text() == "<title>Argus in my thesis</title>"
    for _ in range(2):  # it is made anew where it was made before
        assert run(["report", str(tmp_path)]) == 0
    assert run(["report", str(tmp_path), "--out", str(mine), "--charts", str(charts), "--overwrite"]) == 0
    drawn = next(charts.glob("*.png"))
    drawn.write_bytes(b"retouched by hand")
    assert run(["report", str(tmp_path), "--charts", str(charts)]) == 2
    assert drawn.read_bytes() == b"retouched by hand"
    assert "--overwrite" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_the_users_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_run_whose_pictures_are_gone_has_a_report_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = {"image": "gone.jpg", "width": 4, "height": 3, "chosen": "errors", "truth": [], "predictions": []}
    counted = {"score_threshold": 0.3, "images_total": 1, "kinds": {}, "confusion": {}, "misdescribed": []}
    gallery = {**counted, "images": [image]}
    (tmp_path / "gallery.json").write_text(json.dumps(gallery))
    assert run(["report", str(tmp_path)]) == 0
    assert "gone.jpg: no such image file" in capsys.readouterr().err
    assert "1 picture is left out" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_run_without_an_evaluation_has_a_report_of_its_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "eval_AP50": 0.25}]
    (tmp_path / "checkpoint-2").mkdir()
    state = {"global_step": 2, "log_history": log}
    (tmp_path / "checkpoint-2" / "trainer_state.json").write_text(json.dumps(state))
    assert run(["report", str(tmp_path)]) == 0
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "0.250" in html and "while training, at step 2" in html
    assert f"argus eval {tmp_path} DATA --out" in "".join(capsys.readouterr().err.split("\n"))
    assert run(["report", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_a_damaged_file_is_the_users_mistake_and_leaves_no_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "figures.json").write_text('{"AP50": ')
    assert run(["report", str(tmp_path)]) == 2
    assert "figures.json: is damaged: malformed JSON" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_a_model_is_looked_into_where_that_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    import torch
    from PIL import Image

    from argusvl.cli import report
    from argusvl.task_parts import AttentionMap, Probed

    model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU())
    asked: list[Path] = []

    def probe(checkpoint: Path, config: object, *, device: str) -> Probed:
        asked.append(checkpoint)
        batch = torch.ones(3, 2)
        heads = np.ones((2, 3, 4))
        return Probed(
            model,
            lambda: model(batch),
            lambda: float(model(batch).square().mean()),
            lambda: [AttentionMap(Image.new("RGB", (64, 48)), heads, "a.jpg")],
            "three records",
        )

    monkeypatch.setattr(
        report, "task_part", lambda _, part: probe if part == "probe" else lambda _: TaskReport()
    )
    monkeypatch.setattr(report, "load_run_config", lambda _: None)
    monkeypatch.setattr(report, "find_checkpoint", lambda run: run / "best")
    (tmp_path / "summary.json").write_text('{"after": {"AP50": 0.875}}')
    assert run(["report", str(tmp_path), "--landscape", "--charts", str(tmp_path / "charts")]) == 0
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    for shown in ("Features by layer", "three records", "Attention over the picture", "Loss landscape"):
        assert shown in html
    assert asked == [tmp_path / "best"]
    written = {path.name for path in (tmp_path / "charts").iterdir()}
    assert {"loss-landscape.png", "features-by-layer.svg", "attention-a-jpg.png"} <= written
    assert "charts written to" in capsys.readouterr().err
    # What took minutes is not written over by a report without it.
    assert run(["report", str(tmp_path)]) == 2
    assert "--probe" in capsys.readouterr().err
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
    assert run(["report", str(tmp_path), "--overwrite"]) == 0
    assert "Features by layer" not in (tmp_path / "report.html").read_text(encoding="utf-8")
