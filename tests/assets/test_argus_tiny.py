"""The base that ships: small, in the official format, and able to find and describe what it was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration
from transformers.tokenization_utils_tokenizers import TokenizersBackend

import shapes
from argusvl.assets import MODELS
from argusvl.cli.main import run
from argusvl.detection.data.sampling.tokenizer import load_tokenizer, train_tokenizer
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.model.vocabulary_transfer import transfer_vocabulary

FOLDER = MODELS["argus-tiny"]


def test_it_holds_nothing_of_its_training() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
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


@pytest.mark.parametrize("kinds", [["bishop", "black-king", "white-pawn"], ["红细胞", "白细胞", "血小板"]])
def test_kinds_that_it_never_saw_are_not_the_same_to_it(kinds: list[str]) -> None:
    model = ArgusForDetection.from_pretrained(FOLDER, dtype=torch.float32)
    old, new = load_tokenizer(FOLDER / "qwen"), train_tokenizer(kinds, 512)
    transfer_vocabulary(model.qwen, old, new)
    assert alike(model, new, kinds) < 0.95


def alike(model: ArgusForDetection, tokenizer: TokenizersBackend, kinds: list[str]) -> float:
    """The highest cosine of two labels as the type score has them."""
    ids = [torch.tensor(tokenizer.encode(kind, add_special_tokens=False)) for kind in kinds]
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-100)
    assert model.detection_head is not None
    with torch.no_grad():
        labels = model.detection_head.type_scorer.encode_labels(padded, model.get_input_embeddings())
    return float((labels @ labels.T - 2 * torch.eye(len(kinds))).max())


def test_it_finds_and_describes_drawn_things(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet_logging: None
) -> None:
    shapes.generate(tmp_path / "data", images=40, seed=77, width=336, height=252)
    assert run(["eval", "argus-tiny", str(tmp_path / "data" / "train.jsonl"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["AP50_agnostic"] > 0.6 and figures["recall"] > 0.75 and figures["caption_exact"] > 0.35
