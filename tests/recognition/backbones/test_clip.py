"""CLIP's texts: logits are those of the whole model, and what cannot be a text is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from samples import make_category, opened
from transformers import CLIPModel, CLIPTokenizer

from argusvl.cli.main import run
from argusvl.core.errors import CheckpointError, ModelError
from argusvl.recognition.backbones.clip import ClipBackbone

CPU = torch.device("cpu")
CLASSES = ("cat", "dog", "ship 2")


@pytest.fixture(scope="module")
def folder(hub_folders: dict[str, Path]) -> Path:
    return hub_folders["clip-vit-b32"]


@pytest.fixture(scope="module")
def backbone(folder: Path) -> ClipBackbone:
    return ClipBackbone(str(folder), device=CPU)


@pytest.fixture(scope="module")
def batch(backbone: ClipBackbone, pictures: list[Image.Image]) -> torch.Tensor:
    return torch.stack([backbone.preprocess(image) for image in pictures])


def test_logits_are_those_of_the_model(backbone: ClipBackbone, batch: torch.Tensor, folder: Path) -> None:
    classifier = backbone.zero_shot_classifier(CLASSES, "a {}.")
    tokens = CLIPTokenizer.from_pretrained(folder)(
        [f"a {name}." for name in CLASSES], padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        expected = CLIPModel.from_pretrained(folder).eval()(pixel_values=batch, **tokens).logits_per_image
    logits = classifier(backbone.embed(batch))
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-5)
    # Cosines: the length of a vector of a picture says nothing.
    torch.testing.assert_close(classifier(backbone.embed(batch) * 7), logits)


def test_a_class_does_not_depend_on_the_others(backbone: ClipBackbone) -> None:
    alone, beside = (
        backbone.zero_shot_classifier(names, "{}")(torch.eye(24))[:, 0]
        for names in (["a"], ["a", "a very long name"])
    )
    torch.testing.assert_close(alone, beside, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("names", "template", "message"),
    [
        ([], "a {}.", "zero-shot classes are \\[\\]"),
        (["cat", "cat"], "a {}.", "zero-shot classes are"),
        (["cat"], "a cat", "the template is 'a cat'"),
        (["cat"], "{} {}", "the template is"),
        (["cat", "x" * 40], "a {}.", r"'a x+\.' has 44 tokens, the text tower takes 24"),
    ],
)
def test_what_cannot_be_a_text_is_refused(
    backbone: ClipBackbone, names: list[str], template: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        backbone.zero_shot_classifier(names, template)


def test_without_a_tokenizer_there_are_vectors(folder: Path, tmp_path: Path, batch: torch.Tensor) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "clip"))
    (copied / "tokenizer.json").unlink()
    backbone = ClipBackbone(str(copied), device=CPU)
    assert backbone.embed(batch).shape == (4, 24)
    with pytest.raises(CheckpointError, match="no tokenizer"):
        backbone.zero_shot_classifier(CLASSES)
    (copied / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="the tokenizer cannot be loaded"):
        backbone.zero_shot_classifier(CLASSES)


def test_a_vision_tower_alone_gives_vectors_but_no_classes(
    folder: Path, tmp_path: Path, batch: torch.Tensor, backbone: ClipBackbone
) -> None:
    from transformers import CLIPConfig, CLIPVisionModelWithProjection

    config = CLIPConfig.from_pretrained(folder).vision_config
    config.projection_dim = 24
    CLIPVisionModelWithProjection.from_pretrained(folder, config=config).save_pretrained(tmp_path / "tower")
    shutil.copy(folder / "preprocessor_config.json", tmp_path / "tower")
    tower = ClipBackbone(str(tmp_path / "tower"), device=CPU)
    torch.testing.assert_close(tower.embed(batch), backbone.embed(batch))
    with pytest.raises(CheckpointError, match="model_type is 'clip_vision_model', expected 'clip'"):
        tower.zero_shot_classifier(CLASSES)


def test_a_table_s_zero_shots_are_those_of_the_names(
    folder: Path, backbone: ClipBackbone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_category(tmp_path / "data", "animals", {"cat": 1, "dog": 1}, queries=2)
    words = ["recognize", "table", str(data), "--backbone", f"clip-vit-b32:{folder}"]
    assert run([*words, "--cache", str(tmp_path / "c"), "--shots", "0,1", "--seeds", "2", "--json"]) == 0
    rows = {row["shots"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    classify = backbone.zero_shot_classifier(["cat", "dog"])
    right = []
    for number, label in enumerate(("cat", "dog")):
        for file in (data / "animals" / "6.preprocessed" / label).iterdir():
            pixels = backbone.preprocess(opened(file.read_bytes()))
            right.append(int(classify(backbone.embed(pixels[None])).argmax()) == number)
    assert rows[0]["accuracy"] == pytest.approx(sum(right) / len(right), abs=1e-6)
    assert set(rows) == {0, 1}
