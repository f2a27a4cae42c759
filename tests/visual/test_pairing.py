from __future__ import annotations

import unicodedata

import pytest

from argusvl.visual.pairing import LabelledBox, agreement, iou, pair_up

BOX = (0.0, 0.0, 10.0, 10.0)
NEAR = (0.0, 0.0, 10.0, 8.0)
FAR = (20.0, 20.0, 30.0, 30.0)


def test_every_kind_of_answer_has_its_verdict() -> None:
    truth = [LabelledBox(BOX, "a"), LabelledBox(FAR, "b"), LabelledBox((40, 40, 50, 50), "c")]
    predicted = [
        LabelledBox(NEAR, "a", 0.9),
        LabelledBox(FAR, "x", 0.8),
        LabelledBox((60, 0, 70, 9), "d", 0.7),
    ]
    pairs = pair_up(truth, predicted)
    assert [p.verdict for p in pairs] == ["same", "differs", "missed", "extra"]
    assert agreement(pairs) == 0.25


def test_a_truth_takes_the_highest_score_and_the_other_one_is_extra() -> None:
    pairs = pair_up([LabelledBox(BOX, "a")], [LabelledBox(BOX, "b", 0.3), LabelledBox(NEAR, "a", 0.6)])
    assert [(p.verdict, p.predicted.score if p.predicted else None) for p in pairs] == [
        ("same", 0.6),
        ("extra", 0.3),
    ]


def test_equal_boxes_of_two_truths_are_claimed_once_each() -> None:
    same = LabelledBox(BOX, "a", 0.5)
    pairs = pair_up([LabelledBox(BOX, "a"), LabelledBox(BOX, "a")], [same, LabelledBox(BOX, "a", 0.5)])
    assert [p.verdict for p in pairs] == ["same", "same"]


def test_texts_are_compared_after_normalisation() -> None:
    composed, apart = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    assert composed != apart
    assert pair_up([LabelledBox(BOX, composed)], [LabelledBox(BOX, apart, 1.0)])[0].verdict == "same"


def test_nothing_found_where_nothing_is_counts_as_right() -> None:
    assert agreement(pair_up([], [])) == 1.0
    assert iou(BOX, FAR) == 0.0
    assert iou(BOX, NEAR) == pytest.approx(0.8)
