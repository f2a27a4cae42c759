"""The language path: what it writes is what the stock model writes, and its boxes are scored as the head's are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.sampling.answers import answer_entries, answer_text
from argusvl.detection.data.sampling.samples import load_scene
from argusvl.detection.predict import Predictor
from argusvl.detection.predict.inference import RecordQuestions
from argusvl.detection.predict.text_path import evaluate_answers

TOKENS = 6


@pytest.fixture
def predictor(predictor: Predictor) -> Predictor:
    """Small random weights repeat one token; larger ones make the text depend on what stands before it."""
    with torch.no_grad():
        for layer in predictor.model.qwen.model.language_model.layers:
            for parameter in layer.parameters():
                parameter.mul_(1 if parameter.dim() == 1 else 20)
    return predictor


def stock_answer(predictor: Predictor, image: Path, prompt: str | None, teachers: int) -> str:
    """What the stock model's own ``generate`` writes about one image, without padding."""
    sample, _ = predictor.question(image, prompt, predictor.load_teachers(teachers))
    batch = predictor._collator(predictor.assets.labels)([sample]).inputs
    given = ("input_ids", "attention_mask", "mm_token_type_ids", "pixel_values", "image_grid_thw")
    written = predictor.model.qwen.generate(
        **{name: batch[name] for name in given},
        generation_config=GenerationConfig(
            max_new_tokens=TOKENS,
            do_sample=False,
            eos_token_id=predictor.processor.end_token_id,
            pad_token_id=0,
        ),
    )
    predictor.model.qwen.model.rope_deltas = None
    ids = written[0, batch["input_ids"].shape[1] :].tolist()
    return str(predictor.processor.tokenizer.decode(ids, skip_special_tokens=True))


@pytest.mark.parametrize(("prompt", "teachers"), [(None, 0), ("只找螺丝", 2)])
def test_prompts_of_different_length_are_answered_together_as_by_the_stock_model_alone(
    predictor: Predictor, scenes: Path, prompt: str | None, teachers: int
) -> None:
    pictures = [scenes.parent / f"{k}.png" for k in range(6)]
    together = predictor.predict_text(pictures, prompt, teachers, max_new_tokens=TOKENS, batch_size=6)
    expected = [stock_answer(predictor, picture, prompt, teachers) for picture in pictures]
    assert [one.text for one in together] == expected
    assert len(set(expected)) > 1


def test_true_answers_score_one(predictor: Predictor, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, limits = RecordFile(scenes), predictor.assets.limits
    texts = []
    for record in records:
        scene = load_scene(record.student, records.root, limits, record.source)
        grids = [(1, h // 14, w // 14) for h, w, _ in (image.shape for image in scene.images)]
        texts.append(answer_text(answer_entries(scene.objects, grids)))
    texts[1] = texts[1][:-1] + ', {"bbox_2d": [1, 2'  # cut after the last object
    waiting = iter(texts)

    def write(**arguments: Any) -> torch.Tensor:
        given = arguments["input_ids"]
        rows = [predictor.processor.encode(next(waiting)) for _ in given]
        answers = [torch.tensor(row) for row in rows]
        padded = torch.nn.utils.rnn.pad_sequence(
            answers, batch_first=True, padding_value=arguments["generation_config"].pad_token_id
        )
        return torch.cat([given, padded], dim=1)

    monkeypatch.setattr(predictor.model.qwen, "generate", write)
    found = evaluate_answers(
        predictor.model.qwen,
        RecordQuestions(records, predictor.processor, limits),
        labels=predictor.assets.labels,
        vocabulary="open",
        batch_size=2,
        max_new_tokens=9,
    )
    figures = found.figures
    assert (figures.images, figures.objects) == (6, 12)
    assert figures.AP50 == figures.recall == figures.caption_exact == pytest.approx(1)
    assert figures.dense_caption_mAP_chrf == pytest.approx(1)
    assert found.images == tuple(f"{k}.png" for k in range(6))
    assert [len(answer.per_image) for answer in found.answers] == [1, 1, 1, 2, 1]
    assert all(detections.scores.tolist() == [1, 1] for detections in found.predictions)
    assert (found.incomplete, found.dropped) == (1, 1)
    assert found.boxes_per_second == pytest.approx(12 / found.seconds)
