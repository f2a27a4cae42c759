from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from argusvl.core.errors import DataError
from argusvl.detection.data.records import RecordFile
from argusvl.detection.measure.calibration import Calibration
from argusvl.detection.predict import Predictor
from argusvl.detection.predict.inference import HeadEvaluation, RecordQuestions, evaluate_records

LABELS = ("挡风板", "标签贴纸", "bbu基带处理单元")


def questions_of(predictor: Predictor, scenes: Path, **changes: Any) -> RecordQuestions:
    return RecordQuestions(RecordFile(scenes), predictor.processor, predictor.assets.limits, **changes)


def evaluated(model: Any, questions: RecordQuestions, **how: Any) -> HeadEvaluation:
    return evaluate_records(model, questions, labels=LABELS, vocabulary="open", **{"batch_size": 2, **how})


class Oracle(torch.nn.Module):
    """Answers with the truth of the records, in their order; ``wrong`` objects are described wrongly."""

    def __init__(self, questions: RecordQuestions, wrong: int = 0) -> None:
        super().__init__()
        self.device = torch.device("cpu")
        self.config = SimpleNamespace(
            detection_enabled=True, caption_max_tokens=12, num_queries=4, nms_iou=None
        )
        self.processor = questions.processor
        self.truth = [(t, p) for _, asked in questions for t, p in zip(asked.truth, asked.plans, strict=True)]  # type: ignore[attr-defined]
        self.wrong = wrong
        # A list: the sandbox puts plain attributes back.
        self.described: list[str] = []
        self.at = 0

    def forward(self, **batch: Any) -> Any:
        images = len(batch["student_image_index"])
        self.shown = self.truth[self.at : self.at + images]
        self.at += images
        boxes = torch.full((images, 4, 4), 0.01)
        objectness = torch.full((images, 4), -6.0)
        types = torch.zeros(images, 4, len(LABELS))
        for m, (truth, plan) in enumerate(self.shown):
            for t, (box, text) in enumerate(zip(truth.boxes_xyxy_px, truth.descriptions, strict=True)):
                x1, y1, x2, y2 = box / np.array([*plan.size, *plan.size])
                boxes[m, t] = torch.tensor([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
                objectness[m, t] = 6.0 - t
                types[m, t, LABELS.index(text.split("/")[0])] = 9.0
        return SimpleNamespace(boxes_cxcywh_norm=boxes, objectness_logits=objectness, type_logits=types)

    def describe(self, output: Any, image: Tensor, query: Tensor, max_tokens: int) -> Tensor:
        rows = []
        for m, q in zip(image.tolist(), query.tolist(), strict=True):
            text = "?" if len(self.described) < self.wrong else self.shown[m][0].descriptions[q]
            self.described.append(text)
            rows.append([*self.processor.encode(text), self.processor.end_token_id])
        longest = max(map(len, rows))
        return torch.tensor([row + [-100] * (longest - len(row)) for row in rows])


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_model_that_knows_the_truth_scores_one(predictor: Predictor, scenes: Path, batch_size: int) -> None:
    questions = questions_of(predictor, scenes)
    oracle = Oracle(questions)
    result = evaluated(oracle, questions, batch_size=batch_size)
    figures = result.figures
    assert figures.scalars() == pytest.approx(dict.fromkeys(figures.scalars(), 1.0))
    assert (figures.images, figures.objects) == (6, 12)
    assert len(oracle.described) == 12  # only what the truth claims
    assert result.images == ("0.png", "1.png", "2.png", "3.png", "4.png", "5.png")
    assert [p.image_size for p in result.predictions][:3] == [(160, 120), (120, 160), (200, 90)]
    matched = result.matched
    assert (matched.num_images, matched.num_objects, int(matched.correct.sum())) == (6, 12, 12)
    assert matched.correct.tolist() == (matched.scores > 0.5).tolist()
    assert (matched.type_logits.argmax(1) == matched.types).all() and len(matched.types) == 12


def test_wrong_descriptions_lower_caption_exact_alone(predictor: Predictor, scenes: Path) -> None:
    questions = questions_of(predictor, scenes)
    result = evaluated(Oracle(questions, wrong=3), questions)
    assert result.figures.caption_exact == pytest.approx(9 / 12)
    assert result.figures.recall == pytest.approx(1)


def test_captions_can_be_left_out_or_asked_for_by_score(predictor: Predictor, scenes: Path) -> None:
    questions = questions_of(predictor, scenes)
    silent = Oracle(questions)
    result = evaluated(silent, questions, captions=False)
    assert silent.described == [] and np.isnan(result.figures.caption_exact)
    found = evaluated(predictor.model, questions, describe_above=0.0)
    assert all(c is not None for p in found.predictions for c in p.captions or [None])


def test_evaluation_leaves_no_trace(predictor: Predictor, scenes: Path) -> None:
    model = predictor.model.train()
    model.qwen.model.visual.eval()  # frozen on purpose
    modes = [m.training for m in model.modules()]
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(1)
    expected = random.random(), np.random.rand(), torch.rand(1)
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(1)
    evaluated(model, questions_of(predictor, scenes))
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())
    # What was computed in between must not stand in the way of training.
    sample = questions_of(predictor, scenes)[0][0]
    output = model(**predictor._collator(LABELS)([sample]).inputs)
    output.objectness_logits.sum().backward()


def test_batches_and_workers_do_not_change_the_figures(predictor: Predictor, scenes: Path) -> None:
    def figures(**how: Any) -> dict[str, float]:
        result = evaluated(predictor.model, questions_of(predictor, scenes), **how)
        scores = [float(s) for p in result.predictions for s in p.scores]
        return result.figures.scalars() | {str(k): s for k, s in enumerate(scores)}

    alone = figures(batch_size=1)
    assert figures(batch_size=4) == pytest.approx(alone, abs=1e-5)
    assert figures(batch_size=4, num_workers=1) == pytest.approx(alone, abs=1e-5)


def test_teachers_change_what_is_seen(predictor: Predictor, scenes: Path) -> None:
    alone = questions_of(predictor, scenes)[0][0]
    taught = questions_of(predictor, scenes, teachers=predictor.load_teachers(2))[0][0]
    assert (alone.conversation.num_teachers, taught.conversation.num_teachers) == (0, 2)


def test_the_answer_is_nowhere_in_what_the_model_is_asked(predictor: Predictor, scenes: Path) -> None:
    sample, asked = questions_of(predictor, scenes)[3]
    assert sample.objects == ()
    assert not sample.conversation.answers
    assert [len(t) for t in asked.truth] == [2, 2]


def test_a_bad_record_is_named(predictor: Predictor, scenes: Path, tmp_path: Path) -> None:
    broken = tmp_path / "val.jsonl"
    broken.write_text('{"images": ["gone.png"], "objects": []}\n')
    with pytest.raises(DataError, match=r"gone\.png"):
        evaluated(predictor.model, questions_of(predictor, broken))


def test_calibration_changes_scores_and_no_figure(predictor: Predictor, scenes: Path) -> None:
    calibration = Calibration(0.8, 6.0, 1.0, 0.5, 9, 99)
    before, after = (
        evaluated(predictor.model, questions_of(predictor, scenes), describe_above=0.5, calibration=one)
        for one in (None, calibration)
    )
    assert after.figures.scalars() == before.figures.scalars()
    for name in ("scores", "correct", "images", "types"):
        np.testing.assert_array_equal(getattr(after.matched, name), getattr(before.matched, name))
    for raw, shown in zip(before.predictions, after.predictions, strict=True):
        np.testing.assert_array_equal(shown.boxes_xyxy_px, raw.boxes_xyxy_px)
        np.testing.assert_allclose(shown.scores, calibration.probabilities(raw.scores), rtol=1e-5)
        assert shown.labels == raw.labels and (shown.label_scores > raw.label_scores).all()
        # What is described is decided by the score that is shown.
        assert all(c is not None for c, s in zip(shown.captions or (), shown.scores, strict=True) if s >= 0.5)
