"""`argus init`: the configuration alone on stdout, and exit code 2 for what it cannot be written for."""

from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.cli.main import run
from argusvl.tasks import load_run_config

pytestmark = pytest.mark.usefixtures("quiet_logging")


def test_what_is_written_validates_as_it_is(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", str(scenes), "--model", "random"]) == 0
    shown = capsys.readouterr()
    (tmp_path / "my.yaml").write_text(shown.out, "utf-8")
    assert shown.out.startswith("# By `argus init`")
    assert "Note: there are no held-out records" in shown.err
    assert run(["train", str(tmp_path / "my.yaml"), "--validate-only"]) == 0


@pytest.mark.parametrize("model", ["random", "gone"])
def test_mistakes_leave_stdout_empty(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path / "absent"), "--model", model]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "What to do" in shown.err


def test_lora_trains_adapters_in_a_qwen_folder(
    scenes: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", str(scenes), "--model", str(tiny_checkpoint / "qwen"), "--lora"]) == 0
    (tmp_path / "my.yaml").write_text(capsys.readouterr().out, "utf-8")
    peft = load_run_config(tmp_path / "my.yaml").model_dump()["model"]["peft"]
    assert peft["peft_method"] == "lora" and peft["peft_options"]["r"] == 16
    assert run(["train", str(tmp_path / "my.yaml"), "--validate-only"]) == 0
    assert run(["init", str(scenes), "--model", str(tiny_checkpoint), "--lora"]) == 2
    assert "name its folder by --model" in capsys.readouterr().err
