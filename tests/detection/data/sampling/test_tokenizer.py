"""The small tokenizer: Qwen2.5-VL's form, hub layout, and the check against a model's config."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from argusvl.core.errors import CheckpointError, ConfigError, ModelError
from argusvl.detection.data.descriptions import scenes_of
from argusvl.detection.data.records import ObjectAnnotation, Record, Scene
from argusvl.detection.data.sampling.tokenizer import (
    FULL_VOCABULARY_START,
    MINIMAL_VOCABULARY,
    check_special_tokens,
    load_tokenizer,
    token_ids_for_config,
    tokenizer_texts,
    train_tokenizer,
)
from argusvl.detection.data.special_tokens import SPECIAL_TOKENS

BYTES_ONLY = train_tokenizer(["a"], MINIMAL_VOCABULARY)


def config_for(tokenizer: TokenizersBackend, **changed: object) -> SimpleNamespace:
    ids = {**token_ids_for_config(tokenizer), **changed}
    return SimpleNamespace(**ids, text_config=SimpleNamespace(**ids, vocab_size=len(tokenizer)))


def test_special_tokens_come_last_in_qwens_order_and_are_single(chat_tokenizer: TokenizersBackend) -> None:
    ids = chat_tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))
    assert ids == list(range(len(chat_tokenizer) - len(SPECIAL_TOKENS), len(chat_tokenizer)))
    assert chat_tokenizer("".join(SPECIAL_TOKENS)).input_ids == ids
    assert chat_tokenizer.eos_token == "<|im_end|>"
    assert chat_tokenizer.pad_token == "<|endoftext|>"
    assert (
        chat_tokenizer.decode([ids[1], *chat_tokenizer("好").input_ids, ids[2]], skip_special_tokens=True)
        == "好"
    )


def test_the_vocabulary_is_no_larger_and_digits_are_tokens(chat_tokenizer: TokenizersBackend) -> None:
    assert len(chat_tokenizer) <= 700
    assert chat_tokenizer.tokenize("1234") == ["1", "2", "3", "4"]


def test_a_description_of_the_corpus_is_short(chat_tokenizer: TokenizersBackend) -> None:
    assert len(chat_tokenizer("螺丝连接点/BBU安装螺丝/连接正确").input_ids) <= 3


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_comes_back_normalised(text: str) -> None:
    assert BYTES_ONLY.decode(BYTES_ONLY(text).input_ids) == unicodedata.normalize("NFC", text)


def test_the_same_texts_give_the_same_tokenizer() -> None:
    texts = [f"{a}{b} {b}{a}" for a in "abcdefgh" for b in "stuvwxyz"]
    first, second = train_tokenizer(texts, 400), train_tokenizer(texts, 400)
    assert first.get_vocab() == second.get_vocab()
    assert first("abst hz").input_ids == second("abst hz").input_ids


def test_saved_in_hub_layout_it_loads_as_the_same(chat_tokenizer: TokenizersBackend, tmp_path: Path) -> None:
    chat_tokenizer.save_pretrained(tmp_path)
    text = (
        '<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>找 [{"bbox_2d": [1, 23]}]<|im_end|>\n'
    )
    for loaded in (AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(tmp_path)):
        assert loaded(text).input_ids == chat_tokenizer(text).input_ids
        assert loaded.decode(loaded(text).input_ids) == text
        assert loaded.chat_template == chat_tokenizer.chat_template
        assert (loaded.eos_token, loaded.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_an_older_hub_folder_loads(chat_tokenizer: TokenizersBackend, tmp_path: Path) -> None:
    chat_tokenizer.save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config["tokenizer_class"] = "Qwen2TokenizerFast"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    loaded = load_tokenizer(tmp_path)
    assert loaded.chat_template
    assert loaded("<|im_end|>12").input_ids == chat_tokenizer("<|im_end|>12").input_ids


def test_the_template_of_an_older_folder_wins(chat_tokenizer: TokenizersBackend, tmp_path: Path) -> None:
    chat_tokenizer.save_pretrained(tmp_path)
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "processor's"}))
    assert load_tokenizer(tmp_path).chat_template == "processor's"
    for damaged in ("{", "[]", "{}"):
        (tmp_path / "chat_template.json").write_text(damaged)
        with pytest.raises(CheckpointError, match="chat_template.json"):
            load_tokenizer(tmp_path)


def test_the_template_renders_qwens_form(chat_tokenizer: TokenizersBackend) -> None:
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "找"}]},
        {"role": "assistant", "content": "[]"},
        {"role": "user", "content": "again"},
    ]
    assert chat_tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|><|vision_start|><|image_pad|><|vision_end|>找"
        "<|im_end|>\n<|im_start|>assistant\n[]<|im_end|>\n"
        "<|im_start|>user\nagain<|im_end|>\n<|im_start|>assistant\n"
    )


def test_too_small_a_vocabulary_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"vocab_size is 200.*270"):
        train_tokenizer(["a"], 200)


def test_texts_hold_every_description_and_coordinates_up_to_the_limit() -> None:
    scene = Scene(("a.jpg",), (ObjectAnnotation((0, 0, 1, 1), "甲"), ObjectAnnotation((0, 0, 1, 1), "乙")))
    record = Record(scene, teachers=(Scene(("b.jpg",), (ObjectAnnotation((0, 0, 1, 1), "丙"),)),))
    texts = list(tokenizer_texts(scenes_of([record]), ["prompt"], max_side=30, seed=0, numbers=100))
    assert {"prompt", "甲", "乙", "丙"} <= set(texts)
    written = [entry for text in texts if text.startswith("[") for entry in json.loads(text)]
    assert len(written) >= 100
    assert {entry["label"] for entry in written} == {"甲", "乙", "丙"}
    assert max(max(entry["bbox_2d"]) for entry in written) == 30
    assert texts == list(tokenizer_texts(scenes_of([record]), ["prompt"], max_side=30, seed=0, numbers=100))


def test_a_model_with_the_tokenizers_own_ids_passes(chat_tokenizer: TokenizersBackend) -> None:
    check_special_tokens(chat_tokenizer, config_for(chat_tokenizer))
    check_special_tokens(
        chat_tokenizer, config_for(chat_tokenizer, eos_token_id=[chat_tokenizer.eos_token_id, 1])
    )


@pytest.mark.parametrize(
    ("key", "token"),
    [
        ("image_token_id", "<|image_pad|>"),
        ("video_token_id", "<|video_pad|>"),
        ("vision_start_token_id", "<|vision_start|>"),
        ("vision_end_token_id", "<|vision_end|>"),
        ("eos_token_id", "<|im_end|>"),
        ("pad_token_id", "<|endoftext|>"),
    ],
)
def test_an_id_that_differs_is_named(chat_tokenizer: TokenizersBackend, key: str, token: str) -> None:
    found = token_ids_for_config(chat_tokenizer)[key]
    with pytest.raises(ModelError) as error:
        check_special_tokens(chat_tokenizer, config_for(chat_tokenizer, **{key: 7}))
    assert token in str(error.value)
    assert "7" in str(error.value)
    assert str(found) in str(error.value)


@pytest.mark.parametrize(
    ("size", "said"), [(151_936, rf"<\|endoftext\|>.*{FULL_VOCABULARY_START}"), (100, "vocabulary 100")]
)
def test_another_vocabulary_than_the_models_is_refused(
    chat_tokenizer: TokenizersBackend, size: int, said: str
) -> None:
    config = config_for(chat_tokenizer)
    config.text_config.vocab_size = size
    with pytest.raises(ModelError, match=said):
        check_special_tokens(chat_tokenizer, config)


def test_the_known_ids_are_those_of_the_released_models() -> None:
    known = dict(zip(SPECIAL_TOKENS, range(FULL_VOCABULARY_START, FULL_VOCABULARY_START + 14), strict=True))
    names = ("im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
    assert [known[f"<|{name}|>"] for name in names] == [151644, 151645, 151652, 151653, 151655, 151656]


def test_a_missing_special_token_is_refused(chat_tokenizer: TokenizersBackend, tmp_path: Path) -> None:
    chat_tokenizer.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        file = tmp_path / name
        file.write_text(file.read_text().replace("<|image_pad|>", "<|picture|>"))
    with pytest.raises(ModelError, match=r"<\|image_pad\|>"):
        check_special_tokens(load_tokenizer(tmp_path), config_for(chat_tokenizer))


@pytest.mark.parametrize("content", [None, "{", ""])
def test_a_folder_without_a_whole_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_tokenizer(tmp_path)
    with pytest.raises(CheckpointError, match="no such folder"):
        load_tokenizer(tmp_path / "absent")
