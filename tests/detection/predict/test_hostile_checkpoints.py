"""Checkpoints that somebody has changed: each is refused by name, in time, and never used without a word."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from argusvl.assets import model_folder
from argusvl.core.errors import ArgusError
from argusvl.detection.data.sampling.tokenizer import load_tokenizer, vocabulary_digest
from argusvl.detection.predict import Predictor
from argusvl.manipulation.predict import HandPredictor


def edited(file: Path, edit: Callable[[Any], Any]) -> None:
    value = json.loads(file.read_text("utf-8"))
    changed = edit(value)
    file.write_text(json.dumps(value if changed is None else changed), encoding="utf-8")


def put(key: str, value: Any) -> Callable[[Any], None]:
    *outer, last = key.split(".")

    def edit(config: Any) -> None:
        for name in outer:
            config = config[name]
        config[last] = value

    return edit


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


@pytest.fixture
def hands(tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder("argus-hand"), tmp_path / "hands"))


def changed_weights(file: Path, change: Callable[[torch.Tensor], torch.Tensor], like: str) -> str:
    state = load_file(file)
    name = next(name for name in state if re.search(like, name))
    save_file(state | {name: change(state[name])}, file, metadata={"format": "pt"})
    return name


def with_nan(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.clone()
    tensor.view(-1)[-1] = torch.nan
    return tensor


@pytest.mark.parametrize("like", ["captioner", "queries", "type_scorer"])
def test_weights_of_the_head_that_are_no_numbers_are_refused(like: str, checkpoint: Path) -> None:
    name = changed_weights(checkpoint / "model.safetensors", with_nan, like)
    with pytest.raises(ArgusError, match=f"{re.escape(name)}' holds values that are not finite"):
        Predictor.from_pretrained(checkpoint)


@pytest.mark.parametrize("like", ["embed_tokens", r"visual\.blocks\.0\..*bias"])
def test_weights_of_the_stock_part_that_are_no_numbers_are_refused(like: str, checkpoint: Path) -> None:
    changed_weights(checkpoint / "qwen" / "model.safetensors", with_nan, like)
    with pytest.raises(ArgusError, match="holds values that are not finite"):
        Predictor.from_pretrained(checkpoint)


@pytest.mark.parametrize("part", ["model.safetensors", "qwen/model.safetensors"])
def test_weights_that_are_whole_numbers_are_refused(part: str, checkpoint: Path) -> None:
    changed_weights(checkpoint / part, lambda tensor: tensor.long(), "weight")
    with pytest.raises(ArgusError, match="is stored as I64"):
        Predictor.from_pretrained(checkpoint)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nms_iou", -5),
        ("nms_iou", 1e12),
        ("nms_iou", "0.5"),
        ("decoder_num_layers", 10**12),
        ("caption_decoder_num_layers", 10**12),
        ("hidden_size", 0),
        ("hidden_size", 999_984),
        ("num_heads", 3),
        ("queries", "guesses"),
        ("dropout", 7),
        ("caption_max_tokens", -1),
        ("detection_enabled", "yes"),
        ("adapter_base", []),
        ("qwen_config", None),
        ("qwen_config", 7),
        ("qwen_config.text_config.num_hidden_layers", 10**12),
    ],
)
def test_a_head_that_cannot_be_is_refused(key: str, value: Any, checkpoint: Path) -> None:
    edited(checkpoint / "config.json", put(key, value))
    with pytest.raises(ArgusError):
        Predictor.from_pretrained(checkpoint)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("text_config.num_hidden_layers", 10**12),
        ("text_config.num_hidden_layers", 3),
        ("text_config.num_attention_heads", 0),
        ("text_config.num_attention_heads", 7),
        ("text_config.num_key_value_heads", 3),
        ("text_config.vocab_size", -1),
        ("text_config.vocab_size", 10**12),
        ("text_config.rms_norm_eps", -1.0),
        ("text_config.hidden_act", "nothing"),
        ("text_config", None),
        ("text_config", []),
        ("vision_config", "big"),
        ("vision_config.depth", 10**12),
        ("vision_config.patch_size", 0),
        ("vision_config.spatial_merge_size", 0),
        ("vision_config.window_size", 0),
        ("vision_config.num_heads", 5),
        ("vision_config.in_channels", 4),
        ("vision_config.fullatt_block_indexes", None),
        ("vision_config.hidden_act", 3),
        ("image_token_id", -7),
        (
            "text_config.rope_parameters",
            {"rope_theta": 1e6, "rope_type": "default", "mrope_section": [1, 1, 1]},
        ),
        ("model_type", ["qwen2_5_vl"]),
        ("model_type", None),
    ],
)
def test_a_stock_part_that_cannot_be_is_refused(key: str, value: Any, checkpoint: Path) -> None:
    edited(checkpoint / "qwen" / "config.json", put(key, value))
    with pytest.raises(ArgusError):
        Predictor.from_pretrained(checkpoint)


@pytest.mark.parametrize("value", [None, [], "x", {"eos_token_id": "x"}])
def test_a_damaged_generation_config_is_refused(value: Any, checkpoint: Path) -> None:
    (checkpoint / "qwen" / "generation_config.json").write_text(json.dumps(value))
    with pytest.raises(ArgusError):
        Predictor.from_pretrained(checkpoint)


def test_a_tokenizer_with_other_ids_is_refused(checkpoint: Path) -> None:
    def swap(tokenizer: Any) -> None:
        vocabulary = tokenizer["model"]["vocab"]
        first, second = list(vocabulary)[40:42]
        vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]

    digest = vocabulary_digest(load_tokenizer(checkpoint / "qwen"))
    edited(checkpoint / "argus.json", put("vocabulary_digest", digest))
    Predictor.from_pretrained(checkpoint)
    edited(checkpoint / "qwen" / "tokenizer.json", swap)
    with pytest.raises(ArgusError, match="not that of training"):
        Predictor.from_pretrained(checkpoint)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10**10 }}",
        "{% set n = namespace(x='a') %}{% for i in range(99999) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    ],
)
def test_an_endless_chat_template(template: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from argusvl.detection.data.sampling import template_limits

    short = template_limits._SCRIPT.replace("(10, 10)", "(2, 2)")
    monkeypatch.setattr(template_limits, "_SCRIPT", short)
    (checkpoint / "qwen" / "chat_template.jinja").write_text(template)
    with pytest.raises(ArgusError, match="more time or memory"):
        Predictor.from_pretrained(checkpoint)


def test_a_chat_template_in_other_words_is_taken(checkpoint: Path) -> None:
    file = checkpoint / "qwen" / "chat_template.jinja"
    file.write_text("{# the same #}" + file.read_text("utf-8"), encoding="utf-8")
    assert Predictor.from_pretrained(checkpoint).processor.tokenizer.chat_template.startswith(
        "{# the same #}"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_layers", 10**12),
        ("num_layers", 3),
        ("encoder_layers", -1),
        ("encoder_channels", [1]),
        ("hidden_size", 0),
        ("num_heads", 0),
        ("dropout", None),
        ("objects", "box"),
        ("image_size", 31),
        ("model_type", "vit"),
    ],
)
def test_a_hand_model_that_cannot_be_is_refused(key: str, value: Any, hands: Path) -> None:
    edited(hands / "config.json", put(key, value))
    with pytest.raises(ArgusError):
        HandPredictor.from_pretrained(hands)


def test_a_hand_models_weights_are_numbers(hands: Path) -> None:
    whole = hands / "model.safetensors"
    before = whole.read_bytes()
    name = changed_weights(whole, with_nan, "decoder.*weight")
    with pytest.raises(ArgusError, match=f"{re.escape(name)}' holds values that are not finite"):
        HandPredictor.from_pretrained(hands)
    whole.write_bytes(before)
    changed_weights(whole, lambda tensor: tensor.long(), "decoder.*weight")
    with pytest.raises(ArgusError, match="is stored as I64"):
        HandPredictor.from_pretrained(hands)
