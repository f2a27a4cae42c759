"""``argus export``: what other tools load, what ours loads again, and what is left when it fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoTokenizer, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from argusvl.detection.model import modeling
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.predict import Predictor

Adapt = Callable[..., Path]
LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}
STATE = {"trainer_state.json", "optimizer.pt", "training_state", "checkpoint.json"}


@pytest.fixture
def trained(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """The tiny checkpoint with an image processor and a state that only resuming needs."""
    folder = tmp_path / "trained"
    shutil.copytree(tiny_checkpoint, folder)
    size = {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 16}
    Qwen2VLImageProcessorPil(size=size).save_pretrained(folder / "qwen")
    (folder / "training_state").mkdir()
    for name in ("trainer_state.json", "optimizer.pt", "training_state/engine.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def adapt(trained: Path, tmp_path: Path) -> Adapt:
    """The same with an adapter that does something in place of the stock part."""

    def make(method: str = "lora", options: dict[str, Any] = LORA) -> Path:
        model = ArgusForDetection.from_pretrained(trained)
        torch.manual_seed(1)
        model.attach_adapter(method, ["llm", "vision"], options, trained)
        with torch.no_grad():
            for p in model.parameters():
                if p.requires_grad:
                    p.add_(torch.randn_like(p) * 0.05)
        folder = tmp_path / "adapted"
        shutil.copytree(trained, folder)
        (folder / "qwen" / "model.safetensors").unlink()
        (folder / "qwen" / "config.json").unlink()
        model.save_pretrained(folder)
        return folder

    return make


def detected(checkpoint: Path, scenes: Path) -> Any:
    predictor = Predictor.from_pretrained(checkpoint)
    return predictor.predict_detection(scenes.parent / "0.png", score_threshold=0.0, teachers=1)[0]


@torch.no_grad()
def spoken(qwen: Any) -> torch.Tensor:
    ids = torch.arange(5, 25)[None]
    return qwen.eval()(input_ids=ids, use_cache=False).logits


def stock(folder: Path) -> Qwen2_5_VLForConditionalGeneration:
    model, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    return model


def test_a_checkpoint_becomes_a_plain_qwen_that_ours_loads_too(
    argus: Any, trained: Path, scenes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    argus("export", trained, out)
    ours = ArgusForDetection.from_pretrained(trained)
    assert torch.equal(spoken(stock(out)), spoken(ours.qwen))
    assert type(AutoConfig.from_pretrained(out)).__name__ == "Qwen2_5_VLConfig"
    assert AutoTokenizer.from_pretrained(out)("挡风板")["input_ids"]
    assert Qwen2VLImageProcessorPil.from_pretrained(out).size["longest_edge"] == 28 * 28 * 16
    names = {name for file in out.glob("*.safetensors") for name in load_file(file)}
    assert any(name.startswith("visual.") for name in names), "as in released checkpoints"
    assert not STATE & {path.name for path in out.rglob("*")}

    one, other = detected(trained, scenes), detected(out, scenes)
    assert (one.boxes_xyxy_px == other.boxes_xyxy_px).all() and one.captions == other.captions
    again = ArgusForDetection.from_pretrained(out)
    for mine, theirs in zip(ours.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("method", "options"),
    [("lora", LORA), ("lora", LORA | {"use_dora": True}), ("vera", {"r": 8})],
    ids=["lora", "dora", "vera"],
)
def test_a_merged_adapter_is_a_plain_qwen(
    argus: Any, method: str, options: dict[str, Any], adapt: Adapt, scenes: Path, tmp_path: Path
) -> None:
    adapted, out = adapt(method, options), tmp_path / "out"
    argus("export", adapted, out, "--merge")
    assert not (out / "adapter_config.json").exists()
    before = ArgusForDetection.from_pretrained(adapted)
    assert (spoken(stock(out)) - spoken(before.qwen)).abs().max() <= 1e-5
    one, other = detected(adapted, scenes), detected(out, scenes)
    assert abs(one.boxes_xyxy_px - other.boxes_xyxy_px).max() <= 1e-2
    shutil.rmtree(tmp_path / "trained")  # it needs no base
    assert ArgusForDetection.from_pretrained(out).config.adapter_base is None


def test_an_adapter_is_exported_as_pefts_folder(
    argus: Any, adapt: Adapt, trained: Path, scenes: Path, tmp_path: Path
) -> None:
    adapted, out = adapt(), tmp_path / "out"
    assert "an adapter" in argus("export", adapted, out).err
    loaded = peft.PeftModel.from_pretrained(stock(trained / "qwen"), out)
    assert (spoken(loaded) - spoken(ArgusForDetection.from_pretrained(adapted).qwen)).abs().max() <= 1e-5
    assert not (out / "model.safetensors").exists()
    one, other = detected(adapted, scenes), detected(out, scenes)
    assert (one.boxes_xyxy_px == other.boxes_xyxy_px).all()
    argus("export", out, tmp_path / "merged", "--merge")
    assert (spoken(stock(tmp_path / "merged")) - spoken(loaded)).abs().max() <= 1e-5


def test_a_merged_adapter_of_a_half_precision_base_is_rounded_once(
    argus: Any, trained: Path, adapt: Adapt, tmp_path: Path
) -> None:
    base, out = trained / "qwen", tmp_path / "out"
    half = Qwen2_5_VLForConditionalGeneration.from_pretrained(base, dtype=torch.bfloat16)
    half.save_pretrained(base)
    adapted = adapt()
    argus("export", adapted, out, "--merge")
    exact = ArgusForDetection.from_pretrained(adapted, dtype=torch.float32)
    exact.merge_adapter()
    name = "model.language_model.layers.0.self_attn.q_proj.weight"
    found = stock(out).state_dict()[name]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, exact.qwen.state_dict()[name].bfloat16())


def test_a_base_that_was_moved_is_given_and_the_type_of_the_weights_chosen(
    argus: Any, adapt: Adapt, trained: Path, tmp_path: Path
) -> None:
    adapted, moved, out = adapt(), tmp_path / "moved", tmp_path / "out"
    trained.rename(moved)
    said = argus("export", adapted, out, "--merge", code=2).err
    assert f"none at {trained / 'qwen'}" in said and not out.exists()
    argus("export", adapted, out, "--merge", "--base", moved, "--dtype", "bfloat16")
    assert {t.dtype for t in load_file(out / "model.safetensors").values()} == {torch.bfloat16}
    assert json.loads((out / "config.json").read_text("utf-8"))["dtype"] == "bfloat16"
    assert stock(out).dtype == torch.bfloat16


def test_what_is_there_is_not_overwritten(argus: Any, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    assert "is there already, and not empty" in argus("export", trained, out, code=2).err
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    (out / "mine.txt").unlink()
    argus("export", trained, out)


def test_a_failed_export_leaves_nothing(
    argus: Any, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr(modeling, "save_file", full)
    before = sorted(tmp_path.iterdir())
    assert "No space left" in argus("export", trained, tmp_path / "out", code=2).err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--base", "somewhere"], "has no adapter, and so no base"), (["--dtype", "float8"], "float8")],
)
def test_options_that_cannot_be_are_refused(
    argus: Any, options: list[str], message: str, trained: Path, tmp_path: Path
) -> None:
    assert message in argus("export", trained, tmp_path / "out", *options, code=2).err


def test_an_adapter_that_cannot_be_merged_says_so(argus: Any, adapt: Adapt, tmp_path: Path) -> None:
    adapted = adapt("lily", {"r": 4})
    said = argus("export", adapted, tmp_path / "out", "--merge", code=2).err
    assert "PEFT cannot merge this adapter, of method lily" in said
    said = argus("export", adapted, tmp_path / "out", "--dtype", "bfloat16", code=2).err
    assert "weights stay as they are" in said
    argus("export", adapted, tmp_path / "out")


def test_what_is_no_checkpoint_is_named(argus: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert "no checkpoint" in argus("export", tiny_checkpoint / "qwen", tmp_path / "out", code=2).err
