"""Captions from a closed vocabulary: in prediction, in evaluation, and which descriptions are possible at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from argusvl.core.errors import DataError
from argusvl.detection.data.records import RecordFile
from argusvl.detection.predict import Predictor
from argusvl.detection.predict.captions import CaptionChoice, possible_descriptions
from argusvl.detection.predict.checkpoint import DetectionAssets
from argusvl.detection.predict.inference import RecordQuestions, evaluate_records

TEXTS = ("fan", "fin", "fa")
HIERARCHY = ("挡风板/已安装", "挡风板/未安装", "标签贴纸", "bbu基带处理单元")


def fitting(predictor: Predictor, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Those that the tiny checkpoint's caption decoder has room for."""
    limit = predictor.model.config.caption_max_tokens
    return tuple(t for t in texts if len(predictor.processor.encode(t)) < limit)


def with_assets(predictor: Predictor, **changes: Any) -> Predictor:
    predictor.assets = replace(predictor.assets, **changes)
    return predictor


def stir(predictor: Predictor, seed: int) -> None:
    """Moves the weights of the head, so that it says other things."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in predictor.model.detection_head.parameters():  # type: ignore[union-attr]
            parameter.add_(0.3 * torch.randn_like(parameter))


def said(predictor: Predictor, picture: Path, **how: Any) -> list[str | None]:
    (found,) = predictor.predict_detection(picture, score_threshold=0, **how)
    assert found.captions is not None and len(found) > 1
    return list(found.captions)


@pytest.mark.parametrize(
    ("labels", "vocabulary", "descriptions", "expected"),
    [
        (("a", "b"), "open", None, None),
        (("a", "b"), "closed", None, None),  # captions were asked to be open
        (("a/1", "b"), "closed", ("a/1", "b", "c"), ("a/1", "b")),
        (("x", "y"), "closed", ("a", "b"), ("x", "y")),
        (("a", "b"), "open", ("a/1", "a/2", "b"), ("a/1", "a/2", "b")),
        (("a",), "open", ("a/1", "a/2", "ab/3", "b"), ("a/1", "a/2")),
        (("a", "new"), "open", ("a/1", "b/2"), ("a/1", "new")),
    ],
)
def test_which_descriptions_are_possible(
    labels: tuple[str, ...], vocabulary: Any, descriptions: tuple[str, ...] | None, expected: Any
) -> None:
    assert possible_descriptions(labels, vocabulary, descriptions) == expected


def test_a_closed_vocabulary_is_never_misspelt(predictor: Predictor, scenes: Path) -> None:
    with_assets(predictor, descriptions=fitting(predictor, HIERARCHY))
    pictures = [scenes.parent / f"{k}.png" for k in range(3)]
    chosen = set[str | None]()
    for seed in range(3):
        stir(predictor, seed)
        for picture in pictures:
            captions = said(predictor, picture)
            assert set(captions) <= set(HIERARCHY)
            chosen.update(captions)
    assert len(chosen) > 1


def test_the_switch_lets_captions_be_any_text(predictor: Predictor, scenes: Path) -> None:
    picture = scenes.parent / "0.png"
    free = said(predictor, picture)
    with_assets(predictor, descriptions=fitting(predictor, HIERARCHY))
    assert set(said(predictor, picture)) <= set(HIERARCHY)
    assert said(predictor, picture, open_captions=True) == free
    assert not set(free) <= set(HIERARCHY)


def test_labels_given_at_prediction_are_the_descriptions(predictor: Predictor, scenes: Path) -> None:
    with_assets(predictor, vocabulary="closed", descriptions=("标签贴纸",))
    picture = scenes.parent / "0.png"
    assert set(said(predictor, picture, labels=TEXTS)) <= set(TEXTS)
    (found,) = predictor.predict_detection(picture, labels=TEXTS, captions=False, score_threshold=0)
    assert found.captions is None


def test_a_description_too_long_for_the_decoder_is_named(predictor: Predictor, scenes: Path) -> None:
    long = "bbu" * 40
    with_assets(predictor, vocabulary="closed", descriptions=("标签贴纸",))
    with pytest.raises(DataError, match="has .* tokens with its end, detection_caption_max_tokens is 6"):
        said(predictor, scenes.parent / "0.png", labels=[long])
    # Neither types alone nor free captions need room for it.
    predictor.predict_detection(scenes.parent / "0.png", labels=[long], captions=False)
    said(predictor, scenes.parent / "0.png", labels=[long], open_captions=True)
    with pytest.raises(DataError, match="no description to choose captions from"):
        CaptionChoice.of((), ("a",), "open", predictor.processor, 6)


def test_what_is_found_as_a_label_is_described_as_one(predictor: Predictor, scenes: Path) -> None:
    with_assets(predictor, labels=("a", "b", "c"), descriptions=("a/1", "b/2", "a/2", "b/1", "a", "c"))
    seen = set[str]()
    for seed in range(4):
        stir(predictor, seed)
        (found,) = predictor.predict_detection(scenes.parent / f"{seed}.png", score_threshold=0)
        assert found.captions is not None
        for label, caption in zip(found.labels, found.captions, strict=True):
            assert caption is not None and caption.split("/")[0] == label
        seen.update(found.labels)
    assert len(seen) > 1


def test_a_closed_vocabulary_leaves_nothing_to_decode(predictor: Predictor, scenes: Path) -> None:
    with_assets(predictor, vocabulary="closed", labels=TEXTS, descriptions=TEXTS)
    written: list[int] = []
    predictor.model.detection_head.captioner.token_output.register_forward_pre_hook(  # type: ignore[union-attr]
        lambda _module, args: written.append(len(args[0]))
    )
    (found,) = predictor.predict_detection(scenes.parent / "0.png", score_threshold=0)
    assert found.captions == found.labels and written == []


def test_captions_are_given_as_the_vocabulary_writes_them(predictor: Predictor, scenes: Path) -> None:
    """Decoding tokens would strip the spaces; the vocabulary's own text comes back."""
    odd = (" a ", "b ")
    with_assets(predictor, vocabulary="closed", labels=odd, descriptions=odd)
    assert set(said(predictor, scenes.parent / "0.png")) <= set(odd)


def test_an_evaluation_describes_by_the_vocabulary(predictor: Predictor, scenes: Path) -> None:
    questions = RecordQuestions(RecordFile(scenes), predictor.processor, predictor.assets.limits)
    descriptions = fitting(predictor, HIERARCHY)
    result = evaluate_records(
        predictor.model,
        questions,
        labels=predictor.assets.labels,
        vocabulary="open",
        batch_size=4,
        descriptions=descriptions,
        describe_above=0.0,
    )
    captions = {c for p in result.predictions for c in p.captions or ()}
    assert captions <= set(descriptions) and captions


def test_an_older_checkpoint_chooses_from_its_labels(checkpoint: Path) -> None:
    file = checkpoint / "argus.json"
    content = json.loads(file.read_text("utf-8"))
    for key in ("descriptions", "calibration", "calibration_note"):
        del content[key]
    file.write_text(json.dumps(content), "utf-8")
    old = DetectionAssets.load(checkpoint)
    assert old.descriptions is None and old.calibration is None and "without" in old.calibration_note
    file.write_text(json.dumps(content | {"vocabulary": "closed"}), "utf-8")
    assert DetectionAssets.load(checkpoint).descriptions == old.labels
