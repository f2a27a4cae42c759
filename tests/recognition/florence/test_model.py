"""Florence-2 from a folder: prompts, pixels, regions, flat memory, and folders that are not one."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from argusvl.core.errors import CheckpointError, ConfigError, DataError, ModelError
from argusvl.recognition.florence.loading import load_florence, model_settings
from argusvl.recognition.florence.model import Florence2, Task
from argusvl.recognition.pipeline.lease import lease

SENTENCES = {
    Task.CAPTION: "What does the image describe?",
    Task.DETAILED_CAPTION: "Describe in detail what is shown in the image.",
    Task.MORE_DETAILED_CAPTION: "Describe with a paragraph what is shown in the image.",
    Task.DETECT: "Locate the objects with category name in the image.",
    Task.DENSE_REGIONS: "Locate the objects in the image, with their descriptions.",
    Task.FIND: "Locate a red car in the image.",
    Task.DESCRIBE_REGION: "What does the region <loc_100><loc_0><loc_500><loc_999> describe?",
}
"""As the model was trained with (Florence-2's model card and its processor)."""


def picture(size: tuple[int, int] = (100, 50), seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def ask(florence: Florence2, task: Task, images: list[Image.Image]) -> list[Any]:
    if task == Task.FIND:
        return list(florence.find(images, "a red car"))
    if task == Task.DESCRIBE_REGION:
        return list(florence.describe_region(images, [(10, 0, 50, 50)] * len(images)))
    return list(florence.ask(task, images))


@pytest.fixture
def heard(tiny_florence: Florence2, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the model is given."""
    calls: list[dict[str, Any]] = []
    real = tiny_florence._model.generate

    def generate(**inputs: Any) -> Tensor:
        calls.append(inputs)
        return real(**inputs)

    monkeypatch.setattr(tiny_florence._model, "generate", generate)
    return calls


def saying(florence: Florence2, monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Has the model answer with known tokens."""
    tokenizer = florence._processor.tokenizer
    ids = [[2, 0, *tokenizer(text, add_special_tokens=False)["input_ids"], 2] for text in answers]
    longest = max(map(len, ids))
    padded = torch.tensor([line + [1] * (longest - len(line)) for line in ids])
    monkeypatch.setattr(florence._model, "generate", lambda **_: padded)
    monkeypatch.setitem(florence._generation, "max_new_tokens", 100)


@pytest.mark.parametrize("task", list(Task))
def test_it_is_asked_as_trained(tiny_florence: Florence2, heard: list[dict[str, Any]], task: Task) -> None:
    ask(tiny_florence, task, [picture(), picture()])
    tokenizer = tiny_florence._processor.tokenizer
    for ids in heard[0]["input_ids"].tolist():
        text = tokenizer.decode([i for i in ids if i != tokenizer.pad_token_id])
        assert text == f"{'<image>' * 5}<s>{SENTENCES[task]}</s>"
    assert heard[0]["do_sample"] is False


def test_pixels_are_the_whole_picture_scaled(tiny_florence: Florence2, heard: list[dict[str, Any]]) -> None:
    image = picture((90, 40))
    tiny_florence.ask(Task.CAPTION, [image])
    given = heard[0]["pixel_values"]
    assert given.dtype == torch.float32 and given.shape == (1, 3, 64, 64)
    scaled = np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC), dtype=np.float64) / 255
    expected = (scaled - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.abs(given[0].permute(1, 2, 0).numpy() - expected).max() < 1e-5


def test_answers_are_in_pixels(tiny_florence: Florence2, monkeypatch: pytest.MonkeyPatch) -> None:
    box = "<loc_0><loc_100><loc_499><loc_999>"
    saying(tiny_florence, monkeypatch, f"car{box}", f"door{box}a cat{box}")
    wide, tall = tiny_florence.ask(Task.DETECT, [picture((200, 100)), picture((50, 400))])
    assert [region.label for region in (*wide.regions, *tall.regions)] == ["car", "door", "a cat"]
    assert wide.regions[0].box_xyxy_px == pytest.approx((0.1, 10.05, 99.9, 99.95))
    assert tall.regions[1].box_xyxy_px == pytest.approx((0.025, 40.2, 24.975, 399.8))
    assert not wide.truncated and wide.raw == f"car{box}"


def test_captions_are_plain_text(tiny_florence: Florence2, monkeypatch: pytest.MonkeyPatch) -> None:
    saying(tiny_florence, monkeypatch, "<cap>A green car, parked.</cap>", "Ein grüner Wagen")
    first, second = tiny_florence.ask(Task.CAPTION, [picture(), picture()])
    assert (first.text, second.text) == ("A green car, parked.", "Ein grüner Wagen")
    assert first.to_dict() == {"text": "A green car, parked.", "truncated": False}


def test_an_answer_that_reaches_the_limit_says_so(tiny_florence: Florence2) -> None:
    assert all(caption.truncated for caption in tiny_florence.ask(Task.CAPTION, [picture()]))


def test_a_batch_gives_what_single_pictures_give(florence_folder: Path) -> None:
    florence = Florence2(florence_folder, max_new_tokens=6, num_beams=2)
    images = [picture((100, 50), seed) for seed in range(3)]
    alone = [florence.ask(Task.CAPTION, [image])[0] for image in images]
    assert florence.ask(Task.CAPTION, images) == alone
    sizes = [(0, 0, 9, 9), (0, 0, 100, 50), (7, 7, 8, 8)]  # prompts of other lengths are padded to one
    together = florence.describe_region(images, sizes)
    assert together == [florence.describe_region([i], [s])[0] for i, s in zip(images, sizes, strict=True)]
    assert florence.ask(Task.CAPTION, []) == []


def test_nothing_of_a_call_is_kept(tiny_florence: Florence2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 004's first entry: memory that grew with every picture."""
    seen: list[weakref.ref[Any]] = []
    real = tiny_florence._model.generate

    def generate(**inputs: Any) -> Tensor:
        output = real(**inputs)
        seen.extend(weakref.ref(value) for value in (*inputs.values(), output) if isinstance(value, Tensor))
        assert not output.requires_grad
        return output

    monkeypatch.setattr(tiny_florence._model, "generate", generate)
    counts = []
    for number in range(8):
        tiny_florence.ask(Task.DETECT, [picture(seed=number)])
        gc.collect()
        counts.append(sum(issubclass(type(value), Tensor) for value in gc.get_objects()))
    assert len(seen) == 8 * 4 and all(reference() is None for reference in seen)
    assert len(set(counts[2:])) == 1


def test_it_is_released_by_a_lease(florence_folder: Path) -> None:
    with lease(lambda d: Florence2(florence_folder, device=d, max_new_tokens=4), name="f") as leased:
        found = leased.run(lambda florence: florence.ask(Task.DETECT, [picture()]))
    assert len(found) == 1 and leased.report is not None and leased.report.model_bytes > 10_000


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f: f.ask(Task.CAPTION, [picture().convert("L")]), "mode L"),
        (lambda f: f.find([picture()], "  "), "words to look for are '  '"),
        (lambda f: f.find([picture()], "car<loc_5>"), "<loc_5> has a meaning of its own"),
        (lambda f: f.find([picture()], "<OD>"), "<OD> has a meaning of its own"),
        (lambda f: f.find([picture()], "</s>"), "</s> has a meaning of its own"),
        (lambda f: f.find([picture()], "x" * 400), "too long for the model's 160 positions"),
        (lambda f: f.describe_region([picture()], []), "0 boxes for 1 pictures"),
        (lambda f: f.describe_region([picture()], [(0, 0, 101, 50)]), "does not lie in a picture of 100×50"),
        (lambda f: f.describe_region([picture()], [(20, 0, 10, 50)]), "does not lie in a picture"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    tiny_florence: Florence2, call: Callable[[Florence2], Any], words: str
) -> None:
    with pytest.raises((DataError, ModelError), match=words):
        call(tiny_florence)


@pytest.fixture
def copy(florence_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(florence_folder, tmp_path / "copy"))


def changed(file: Path, **changes: Any) -> None:
    values = json.loads(file.read_bytes())
    for key, value in changes.items():
        place, inner = values, key.split("__")
        for name in inner[:-1]:
            place = place[name]
        place[inner[-1]] = value
    file.write_text(json.dumps(values))


def lost_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.multi_modal_projector.image_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def cut_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def renamed_tokens(folder: Path) -> None:
    file = folder / "tokenizer.json"
    file.write_text(file.read_text("utf-8").replace("<loc_77>", "<place_77>"), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: shutil.rmtree(f), "no such folder"),
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: changed(f / "config.json", model_type="clip"), "model_type is 'clip'"),
        (lambda f: changed(f / "config.json", auto_map={"AutoModel": "x.Y"}), "never run here"),
        (lambda f: (f / "config.json").write_text("{"), "damaged"),
        (lambda f: (f / "model.safetensors").unlink(), "holds no weights"),
        (cut_weights, "truncated|cannot be read|incomplete"),
        (lost_weight, "1 weights are missing .*image_projection"),
        (lambda f: changed(f / "config.json", text_config__d_model=24), "of another shape"),
        (renamed_tokens, "lacks 1 of 1000 location tokens, e.g. <loc_77>"),
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer"),
        (
            lambda f: changed(f / "processor_config.json", image_processor__image_seq_length=577),
            "makes 5 tokens of a picture of 64×64, the processor leaves room for 577",
        ),
        (lambda f: changed(f / "config.json", image_token_id=7), "has the id 261, the model expects 7"),
    ],
)
def test_what_is_no_florence_is_refused(copy: Path, spoil: Callable[[Path], Any], words: str) -> None:
    spoil(copy)
    with pytest.raises(CheckpointError, match=words) as raised:
        Florence2(copy)
    assert str(copy) in str(raised.value)


def test_folders_with_an_older_layout_are_read(copy: Path, tiny_florence: Florence2) -> None:
    """Before transformers 5, the image processor stood in a file of its own and the special tokens in a mapping."""
    file = copy / "processor_config.json"
    values = json.loads(file.read_bytes())["image_processor"]
    file.unlink()
    (copy / "preprocessor_config.json").write_text(json.dumps(values))
    changed(copy / "tokenizer_config.json", extra_special_tokens={"image_token": "<image>"})
    old = Florence2(copy, max_new_tokens=6)
    assert old.ask(Task.DETECT, [picture()]) == tiny_florence.ask(Task.DETECT, [picture()])


def test_half_precision_weights_are_loaded_as_float32_and_in_evaluation_mode(copy: Path) -> None:
    model, _ = load_florence(copy)
    model.half().save_pretrained(copy)
    florence = Florence2(copy, max_new_tokens=4)
    assert {p.dtype for p in florence._model.parameters()} == {torch.float32}
    assert not any(module.training for module in florence._model.modules())


@pytest.mark.parametrize("limit", [0, 160])
def test_a_limit_that_the_decoder_does_not_allow_is_refused(florence_folder: Path, limit: int) -> None:
    with pytest.raises(ConfigError, match="the decoder has 160 positions"):
        Florence2(florence_folder, max_new_tokens=limit)


def test_settings_tell_one_model_from_another(florence_folder: Path, copy: Path) -> None:
    assert model_settings(copy) == model_settings(florence_folder)
    changed(copy / "config.json", text_config__scale_embedding=True)
    assert model_settings(copy) != model_settings(florence_folder)
