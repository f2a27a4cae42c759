"""Folders in the official hub layout and checkpoints of ours: what loads, what is new, and what is refused by name."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from argusvl.core.errors import CheckpointError
from argusvl.detection.model.architecture import random_qwen
from argusvl.detection.model.modeling import ArgusForDetection, add_detection_head, load_qwen

HEAD = {"queries": "proposals", "num_queries": 6, "hidden_size": 32, "num_heads": 2, "ffn_size": 32}
HEAD |= {"decoder_num_layers": 1, "caption_decoder_num_layers": 1, "caption_max_tokens": 12}


def stock_folder(kit: Any, folder: Path, *, tied: bool = True, max_shard_size: str = "1GB") -> Path:
    """Written by the stock class itself."""
    torch.manual_seed(5)
    qwen = random_qwen(kit.qwen_config(tied=tied), "sdpa")
    qwen.save_pretrained(folder, max_shard_size=max_shard_size)
    return folder


def names_in(folder: Path) -> set[str]:
    return {name for file in folder.glob("*.safetensors") for name in load_file(str(file))}


def change_weights(file: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    state = load_file(str(file))
    change(state)
    save_file(state, str(file), metadata={"format": "pt"})


def released_config(config: Qwen2_5_VLConfig) -> dict[str, Any]:
    """The same model as the ``config.json`` of released Qwen2.5-VL checkpoints says it: flat, with older names."""
    text, vision = config.text_config, config.vision_config
    both = ("hidden_size", "intermediate_size", "hidden_act")
    plain = (
        *(
            *both,
            "max_position_embeddings",
            "num_attention_heads",
            "num_hidden_layers",
            "num_key_value_heads",
        ),
        *("rms_norm_eps", "vocab_size", "bos_token_id", "eos_token_id"),
    )
    tokens = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    vision_plain = (
        *(*both, "depth", "num_heads", "out_hidden_size", "patch_size", "spatial_merge_size", "window_size"),
        *("fullatt_block_indexes", "tokens_per_second", "temporal_patch_size"),
    )
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "torch_dtype": "bfloat16",
        "tie_word_embeddings": config.tie_word_embeddings,
        "use_sliding_window": False,
        "sliding_window": 32768,
        "max_window_layers": 70,
        "rope_theta": text.rope_parameters["rope_theta"],
        "rope_scaling": {"type": "mrope", "mrope_section": text.rope_parameters["mrope_section"]},
        **{name: getattr(text, name) for name in plain},
        **{name: getattr(config, name) for name in tokens},
        "vision_config": {
            "in_chans": 3,
            "spatial_patch_size": 14,
            **{name: getattr(vision, name) for name in vision_plain},
        },
    }


@pytest.mark.parametrize("tied", [True, False])
def test_official_names_load_with_nothing_new_but_the_head(
    kit: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, tied: bool
) -> None:
    folder = stock_folder(kit, tmp_path, tied=tied)
    names = names_in(folder)
    assert {name.split(".")[0] for name in names} == (
        {"visual", "model"} if tied else {"visual", "model", "lm_head"}
    )
    assert "model.embed_tokens.weight" in names and "visual.merger.mlp.0.weight" in names
    assert not any(name.startswith(("model.visual", "model.language_model")) for name in names)

    with caplog.at_level(logging.INFO):
        model = add_detection_head(folder, HEAD, dtype=torch.float32)
    new = len(list(model.detection_head.parameters()))
    assert f"new, starting at random: detection_head, {new} weights\n" in caplog.text
    torch.manual_seed(5)
    original = random_qwen(kit.qwen_config(tied=tied), "sdpa").state_dict()
    for name, tensor in model.qwen.state_dict().items():
        assert torch.equal(tensor, original[name]), name
    same = model.qwen.lm_head.weight is model.qwen.get_input_embeddings().weight
    assert same == tied


def test_the_released_form_of_the_configuration_means_the_same_model(kit: Any, tmp_path: Path) -> None:
    folder = stock_folder(kit, tmp_path, tied=True)
    batch = kit.collate(kit.sample(kit.scene(0, (56, 84)), kit.scene(1, (84, 56))))
    arguments = kit.stock(batch)
    expected = load_qwen(folder, dtype=torch.float32)(**arguments).logits
    config = released_config(kit.qwen_config(tied=True))
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    model = add_detection_head(folder, HEAD, dtype=torch.float32)
    torch.testing.assert_close(model.qwen(**arguments).logits, expected)


@pytest.mark.parametrize(("key", "value"), [("image_mean", [0.5, 0.5, 0.5]), ("patch_size", 16)])
def test_a_folder_whose_images_are_prepared_otherwise_is_refused_by_name(
    kit: Any, tmp_path: Path, key: str, value: Any
) -> None:
    folder = stock_folder(kit, tmp_path, tied=True)
    stated = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "patch_size": 14, "do_resize": True}
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(stated), encoding="utf-8")
    load_qwen(folder)
    file.write_text(json.dumps(stated | {key: value}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"says {key}") as caught:
        load_qwen(folder)
    assert caught.value.where == str(file)


def test_names_of_transformers_5_load_too(kit: Any, tmp_path: Path) -> None:
    torch.manual_seed(5)
    qwen = random_qwen(kit.qwen_config(tied=False), "sdpa")
    qwen.save_pretrained(tmp_path, save_original_format=False)
    assert any(name.startswith("model.language_model.") for name in names_in(tmp_path))
    loaded = load_qwen(tmp_path)
    assert torch.equal(loaded.lm_head.weight, qwen.lm_head.weight)


def test_shards_load_and_a_missing_or_truncated_one_is_named(kit: Any, tmp_path: Path) -> None:
    folder = stock_folder(kit, tmp_path / "whole", tied=False, max_shard_size="60KB")
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 2 and (folder / "model.safetensors.index.json").is_file()
    add_detection_head(folder, HEAD)

    lacking = shutil.copytree(folder, tmp_path / "lacking")
    (lacking / shards[1].name).unlink()
    with pytest.raises(CheckpointError, match=shards[1].name) as caught:
        load_qwen(lacking)
    assert str(lacking) in str(caught.value) and "What to do" in str(caught.value)

    cut = shutil.copytree(folder, tmp_path / "cut")
    content = shards[1].read_bytes()
    (cut / shards[1].name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=shards[1].name):
        load_qwen(cut)


def test_a_missing_or_unexpected_key_and_another_shape_are_named(kit: Any, tmp_path: Path) -> None:
    folder = stock_folder(kit, tmp_path / "whole", tied=False)
    changes: dict[str, tuple[Callable[[dict[str, torch.Tensor]], None], str]] = {
        "missing": (
            lambda s: s.__delitem__("model.layers.1.mlp.up_proj.weight"),
            r"1 weight \(.*layers\.1\.mlp\.up_proj",
        ),
        "unexpected": (
            lambda s: s.update({"model.layers.7.norm.weight": torch.ones(3)}),
            r"1 weight \(.*layers\.7\.norm\.weight\) unexpected",
        ),
        "shape": (
            lambda s: s.update({"visual.merger.ln_q.weight": torch.ones(5)}),
            r"merger\.ln_q\.weight \[5\] instead of \[32\]\)",
        ),
        "of a subclass": (
            lambda s: s.update({f"inner.{name}": s.pop(name) for name in list(s)}),
            "the model would be partly random",
        ),
    }
    for name, (change, message) in changes.items():
        damaged = shutil.copytree(folder, tmp_path / name)
        change_weights(damaged / "model.safetensors", change)
        with pytest.raises(CheckpointError, match=message):
            load_qwen(damaged)


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no config.json"), ("{", "config.json: is damaged"), ("[]", "config.json: is damaged")],
)
def test_a_folder_without_a_configuration_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        load_qwen(tmp_path)


@pytest.fixture(scope="module")
def saved(kit: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[ArgusForDetection, Path]:
    model = kit.model(tied=False).eval()
    folder = tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    return model, folder


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shards", [1, 2])
def test_what_we_save_the_stock_class_loads(kit: Any, tmp_path: Path, tied: bool, shards: int) -> None:
    model = kit.model(tied=tied).eval()
    model.save_pretrained(tmp_path, max_shard_size="1GB" if shards == 1 else "60KB")
    assert (len(list((tmp_path / "qwen").glob("*.safetensors"))) > 1) == (shards > 1)
    assert not any(
        name.startswith(("model.visual", "model.language_model")) for name in names_in(tmp_path / "qwen")
    )
    stock, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        tmp_path / "qwen", output_loading_info=True, dtype=torch.float32
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert type(stock.model.visual.blocks[0].attn).__name__ == "Qwen2_5_VLVisionAttention"
    batch = kit.collate(kit.sample(kit.scene(0, (112, 84)), kit.scene(1, (84, 56))))
    arguments = kit.stock(batch)
    with torch.no_grad():
        torch.testing.assert_close(
            stock(**arguments).logits, model.qwen(**arguments).logits, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("head", [{}, {"queries": "learned"}, {"detection_enabled": False}])
def test_a_loaded_checkpoint_gives_the_same_outputs(kit: Any, tmp_path: Path, head: dict[str, Any]) -> None:
    model = kit.model(**head).eval()
    model.save_pretrained(tmp_path)
    loaded = ArgusForDetection.from_pretrained(tmp_path)
    assert not loaded.training
    loaded.loss_settings = model.loss_settings
    batch = kit.collate(kit.sample(kit.scene(0, (112, 84))), kit.sample(kit.scene(1, (56, 84))))
    with torch.no_grad():
        ours, theirs = model(**batch), loaded(**batch)
    assert ours.loss_terms.keys() == theirs.loss_terms.keys() and ours.loss_terms
    for name, value in ours.loss_terms.items():
        assert torch.equal(value, theirs.loss_terms[name]), name
    if head.get("detection_enabled", True):
        for name in ("boxes_raw", "objectness_logits", "type_logits", "query_states"):
            assert torch.equal(ours[name], theirs[name]), name
        chosen = torch.tensor([0, 1]), torch.tensor([3, 0])
        assert torch.equal(model.describe(ours, *chosen), loaded.describe(theirs, *chosen))


def test_the_auto_classes_know_our_checkpoints(saved: tuple[ArgusForDetection, Path]) -> None:
    model, folder = saved
    config = AutoConfig.from_pretrained(folder)
    assert config.model_type == "argus_detection" and config.num_queries == model.config.num_queries
    loaded = AutoModel.from_pretrained(folder)
    assert isinstance(loaded, ArgusForDetection)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name


def test_a_given_state_is_written_in_place_of_the_models_own(kit: Any, tmp_path: Path) -> None:
    """An average of weights, say; its tied tensors are two that are equal."""
    model = kit.model(tied=True)
    state = {name: tensor.clone() + 1 for name, tensor in model.state_dict().items()}
    model.save_pretrained(tmp_path, state_dict=state)
    loaded = ArgusForDetection.from_pretrained(tmp_path)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    with pytest.raises(CheckpointError, match="module.qwen"):
        model.save_pretrained(tmp_path, state_dict={f"module.{n}": t for n, t in state.items()})


def test_only_the_main_process_writes(kit: Any, tmp_path: Path) -> None:
    kit.model().save_pretrained(tmp_path / "other", is_main_process=False)
    assert not (tmp_path / "other").exists()


def test_weights_load_in_the_precision_that_is_asked_for(saved: tuple[ArgusForDetection, Path]) -> None:
    loaded = ArgusForDetection.from_pretrained(saved[1], dtype=torch.bfloat16)
    assert {p.dtype for p in loaded.parameters()} == {torch.bfloat16}
