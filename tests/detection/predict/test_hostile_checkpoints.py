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
from argusvl.core.errors import ArgusError, CheckpointError
from argusvl.detection.data.sampling.tokenizer import load_tokenizer, vocabulary_digest
from argusvl.detection.predict import Predictor
from argusvl.manipulation.predict import HandPredictor

Change = Callable[[Path], object]
"""What somebody did to a folder."""


def gone(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def written(name: str, text: str) -> Change:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


def cut(name: str, left: float) -> Change:
    """``left``: so many bytes are left, or such a share of them."""

    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(left if left > 1 else left * len(content))])

    return change


def put(name: str, key: str, value: Any) -> Change:
    """Another value in a JSON file; ``...``: none."""
    *outer, last = key.split(".")

    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text("utf-8"))
        inner = content
        for step in outer:
            inner = inner[step]
        inner[last] = value
        if value is ...:
            del inner[last]
        (folder / name).write_text(json.dumps(content), encoding="utf-8")

    return change


def weights(name: str, change: Callable[[torch.Tensor], torch.Tensor], like: str) -> Change:
    """The first weight whose name is ``like`` that, changed."""

    def change_one(folder: Path) -> None:
        state = load_file(folder / name)
        found = next(weight for weight in state if re.search(like, weight))
        save_file(state | {found: change(state[found])}, folder / name, metadata={"format": "pt"})

    return change_one


def with_nan(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.clone()
    tensor.view(-1)[-1] = torch.nan
    return tensor


def renamed(folder: Path) -> None:
    state = load_file(folder / HEAD)
    state["type_scorer.extra"] = state.pop("type_scorer.log_scale")
    save_file(state, folder / HEAD, metadata={"format": "pt"})


HEAD, STOCK = "model.safetensors", "qwen/model.safetensors"
CONFIG, STOCK_CONFIG, ASSETS = "config.json", "qwen/config.json", "argus.json"
CALIBRATION = {"low": 0.1, "high": 7.0, "bias": -5.5, "type_temperature": 0.6, "images": 9, "predictions": 99}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, "no such checkpoint folder"),
        (gone(STOCK), "holds no weights"),
        (gone(STOCK_CONFIG), f"no {STOCK_CONFIG}"),
        (gone(HEAD), f"no {HEAD} with the detection head"),
        (gone(CONFIG), "no config.json"),
        (gone("qwen/tokenizer.json"), "holds no tokenizer"),
        (gone(ASSETS), "holds no argus.json"),
        *((cut(name, left), f"{name}: is truncated") for name in (HEAD, STOCK) for left in (0, 4, 0.5)),
        *(
            (weights(name, with_nan, like), f"the weight '[^']*{like}[^']*' holds values that are not finite")
            for name, like in (
                *((HEAD, "captioner"), (HEAD, "queries"), (HEAD, "type_scorer")),
                *((STOCK, "embed_tokens"), (STOCK, r"blocks\.0\..*bias")),
            )
        ),
        *((weights(name, torch.Tensor.long, "weight"), "is stored as I64") for name in (HEAD, STOCK)),
        (renamed, r"log_scale\) missing, 1 weight \(type_scorer\.extra\) unexpected"),
        (put(CONFIG, "decoder_num_layers", 1), r"\(queries\.heads\.1.*\) unexpected.*same run"),
        (put(CONFIG, "ffn_size", 40), r"feed_forward.* instead of.*same run"),
        *((written(CONFIG, text), r"config\.json: is damaged") for text in ("{", "[]")),
        (written(CONFIG, '{"model_type": "qwen2_5_vl"}'), "model_type is 'qwen2_5_vl'"),
        (written(STOCK_CONFIG, '{"model_type": "llama"}'), "model_type is 'llama', expected 'qwen2_5_vl'"),
        (cut(ASSETS, 0.5), "is damaged"),
        (written(ASSETS, "[]"), "holds no JSON object"),
        (put(ASSETS, "max_pixels", ...), "field 'max_pixels': Field required"),
        (put(ASSETS, "min_pixels", "many"), "field 'min_pixels': .*integer, found .many"),
        (put(ASSETS, "labels", [""]), r"field 'labels\[0\]': "),
        (put(ASSETS, "vocabulary", "ajar"), "field 'vocabulary': .*'closed', found .ajar"),
        (put(ASSETS, "calibration", {"low": 1.0}), r"field 'calibration\.high': Field required"),
        (put(ASSETS, "calibration", CALIBRATION | {"high": -1.0}), "high': .*greater than 0, found -1.0"),
        (put(ASSETS, "calibration", [1, 2]), "field 'calibration': "),
        (put(ASSETS, "descriptions", []), "field 'descriptions': "),
        (put(ASSETS, "descriptions", [1]), r"field 'descriptions\[0\]': "),
    ],
)
def test_a_damaged_checkpoint_is_named(change: Change, message: str, checkpoint: Path) -> None:
    change(checkpoint)
    with pytest.raises(CheckpointError, match=re.compile(message, re.DOTALL)) as caught:
        Predictor.from_pretrained(checkpoint)
    assert str(checkpoint) in str(caught.value) and caught.value.remedy


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
        ("queries", 3),
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
    put(CONFIG, key, value)(checkpoint)
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
    put(STOCK_CONFIG, key, value)(checkpoint)
    with pytest.raises(ArgusError):
        Predictor.from_pretrained(checkpoint)


@pytest.mark.parametrize("value", [None, [], "x", {"eos_token_id": "x"}])
def test_a_damaged_generation_config_is_refused(value: Any, checkpoint: Path) -> None:
    (checkpoint / "qwen" / "generation_config.json").write_text(json.dumps(value))
    with pytest.raises(ArgusError):
        Predictor.from_pretrained(checkpoint)


def test_a_tokenizer_with_other_ids_is_refused(checkpoint: Path) -> None:
    digest = vocabulary_digest(load_tokenizer(checkpoint / "qwen"))
    put(ASSETS, "vocabulary_digest", digest)(checkpoint)
    Predictor.from_pretrained(checkpoint)
    file = checkpoint / "qwen" / "tokenizer.json"
    tokenizer = json.loads(file.read_text("utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    first, second = list(vocabulary)[40:42]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    file.write_text(json.dumps(tokenizer), encoding="utf-8")
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


@pytest.fixture
def hands(tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder("argus-hand"), tmp_path / "hands"))


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
    put(CONFIG, key, value)(hands)
    with pytest.raises(ArgusError):
        HandPredictor.from_pretrained(hands)


@pytest.mark.parametrize(
    ("change", "message"),
    [(with_nan, "decoder.*weight.*' holds values that"), (torch.Tensor.long, "stored as I64")],
)
def test_a_hand_models_weights_are_numbers(change: Any, message: str, hands: Path) -> None:
    weights(HEAD, change, "decoder.*weight")(hands)
    with pytest.raises(ArgusError, match=message):
        HandPredictor.from_pretrained(hands)
