"""`argus init`: the configuration alone on stdout, and exit code 2 for what it cannot be written for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from argusvl.tasks import load_run_config


def test_what_is_written_validates_as_it_is(argus: Any, scenes: Path, tmp_path: Path) -> None:
    shown = argus("init", scenes, "--model", "random")
    (tmp_path / "my.yaml").write_text(shown.out, "utf-8")
    assert shown.out.startswith("# By `argus init`")
    assert "Note: there are no held-out records" in shown.err
    argus("train", tmp_path / "my.yaml", "--validate-only")


@pytest.mark.parametrize("model", ["random", "gone"])
def test_mistakes_leave_stdout_empty(argus: Any, tmp_path: Path, model: str) -> None:
    shown = argus("init", tmp_path / "absent", "--model", model, code=2)
    assert shown.out == "" and "What to do" in shown.err


def test_lora_trains_adapters_in_a_qwen_folder(
    argus: Any, scenes: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    written = argus("init", scenes, "--model", tiny_checkpoint / "qwen", "--lora").out
    (tmp_path / "my.yaml").write_text(written, "utf-8")
    peft = load_run_config(tmp_path / "my.yaml").model_dump()["model"]["peft"]
    assert peft["peft_method"] == "lora" and peft["peft_options"]["r"] == 16
    argus("train", tmp_path / "my.yaml", "--validate-only")
    said = argus("init", scenes, "--model", tiny_checkpoint, "--lora", code=2).err
    assert "name its folder by --model" in said
