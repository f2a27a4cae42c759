"""The base that ships: small, in the official format, and able to find and describe what it was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

from argusvl.assets import MODELS
from argusvl.cli.main import run
from argusvl.synthetic import generator_of

FOLDER = MODELS["argus-tiny"]


def test_it_takes_at_most_12_mib_and_holds_nothing_of_its_training() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12 * 2**20
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".jinja"}
    with safe_open(FOLDER / "model.safetensors", "pt") as head:
        assert {str(head.get_slice(name).get_dtype()) for name in head.keys()} == {"BF16"}  # noqa: SIM118
    assert str(Path.home()) not in (FOLDER / "argus.json").read_text("utf-8")


def test_its_language_model_and_tower_are_plain_qwen() -> None:
    model, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        FOLDER / "qwen", dtype=torch.float32, output_loading_info=True
    )
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "qwen")
    assert model.config.image_token_id == tokenizer.convert_tokens_to_ids("<|image_pad|>")
    # Everyday characters are tokens of their own: a user's Chinese description is not spelled in bytes.
    text = "螺丝连接点未拧紧，光缆弯曲半径不合格"
    assert len(tokenizer(text)["input_ids"]) <= len(text)


def test_it_finds_and_describes_drawn_things(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet_logging: None
) -> None:
    generator_of("shapes")(tmp_path / "data", images=40, seed=77, width=336, height=252)
    assert run(["eval", "argus-tiny", str(tmp_path / "data" / "train.jsonl"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["AP50_agnostic"] > 0.6 and figures["recall"] > 0.75 and figures["caption_exact"] > 0.35
